"""Valid manifests at the limits of what the CRDs allow, which must be stored unchanged."""

from typing import Any, Final

from support.manifests.builders import GONE, Manifest, model_version, rollout
from support.manifests.registry import EVERY_MODEL_FIELD, EVERY_RECORD_FIELD, audit_record
from support.manifests.registry import model as registered_model

_DIGEST: Final = "sha256:" + "ab" * 32
_JOB: Final[dict[str, Any]] = {
    "metadata": {"labels": {"team": "payments-ml"}},
    "spec": {
        "backoffLimit": 0,
        "template": {
            "spec": {
                "restartPolicy": "Never",
                "containers": [{"name": "contract", "image": "registry.example/contract:1", "args": ["--strict"]}],
            }
        },
    },
}
_HTTP: Final[dict[str, Any]] = {
    "path": "/v1/predict?dry=1",
    "method": "POST",
    "headers": [{"name": "Content-Type", "value": "application/json"}, {"name": "x-trace", "value": ""}],
    "body": '{"amount": 12.5}',
    "expect": {"status": [200, 204], "json": ["score >= `0`", "score <= `1`"], "maxLatency": "250ms"},
    "attempts": 3,
    "timeout": "5s",
}
_EVERY_STAGE_FIELD: Final[dict[str, Any]] = {
    "name": "canary",
    "traffic": "0.25%",
    "duration": "1h30m",
    "abortOn": ["latency_p95 > 0.2s", "latency_p999 >= 1500ms", "error_rate > 0.005", "client_error_rate >= 2%"],
    "tests": [{"name": "smoke", "http": _HTTP}, {"name": "contract", "job": {"template": _JOB, "timeout": "20m"}}],
    "approval": "Required",
    "judgement": "Sequential",
    "for": "90s",
    "minRequests": 1000,
    "warmup": {"requests": 200},
    "sensitivity": "Careful",
    "blip": "500ms",
    "burst": 20,
    "promotion": "Certified",
    "maxDuration": "48h",
    "onTimeout": "Rollback",
}
_EVERY_FIELD_OF_A_FIELD: Final[dict[str, Any]] = {
    "name": "merchant",
    "dtype": "string",
    "shape": [1],
    "optional": True,
    "min": "0",
    "max": "9",
    "categories": ["a", "b"],
    "open": True,
    "nullable": True,
    "default": "a",
    "maxLength": 64,
    "unit": "EUR",
    "featureRef": "merchant@3",
    "aliases": ["shop"],
}

_EVERY_VERSION_FIELD: Final[dict[str, Any]] = {
    "spec.artifact": {"uri": "s3://m/f.onnx", "digest": _DIGEST, "sizeBytes": 51_200_000, "format": "onnx"},
    "spec.framework": {"name": "pytorch", "version": "2.1.0"},
    "spec.trainingData": [
        {"uri": "s3://data/2026-10", "version": "v2.3", "digest": _DIGEST, "range": "2026-10-01/2026-10-31", "rows": 7}
    ],
    "spec.training": {"duration": "3h24m", "startedAt": "2026-11-01T06:00:00Z", "by": "trainer"},
    "spec.lineage": {
        "code": {"repository": "https://git.example/fraud", "commit": "4f2a9c1"},
        "featureCommit": "0b1e77d",
        "hyperparameters": {"lr": "0.001", "notes": ""},
        "run": {"system": "mlflow", "id": "9c1", "url": "https://mlflow.example/runs/9c1"},
        "parents": ["fraud-detector-v2.2.4"],
    },
    "spec.metrics": [
        {"name": "f1", "value": "0.91", "dataset": "test"},
        {"name": "f1", "value": "-1.5e-3", "dataset": "holdout", "segment": "country=NL"},
    ],
    "spec.signature": {
        "profile": "columnar",
        "inputs": [
            {"name": "amount", "dtype": "float64", "min": "0", "max": "1e9"},
            {"name": "country", "dtype": "string", "optional": True, "categories": ["CH", ""]},
            {"name": "embedding", "dtype": "float32", "shape": [-1, 128]},
            _EVERY_FIELD_OF_A_FIELD,
        ],
        "outputs": [
            {"name": "score", "dtype": "float32", "shape": [1], "min": "0", "max": "1"},
            {"name": "reason", "dtype": "string", "optional": False, "categories": ["amount", "country"]},
            _EVERY_FIELD_OF_A_FIELD,
        ],
        "parameters": [_EVERY_FIELD_OF_A_FIELD],
        "unknownInputs": "Ignore",
        "protocol": "oip-v2",
        "path": "/v2/models/fraud/infer",
    },
    "spec.serving": {
        "backendRef": {"group": "", "kind": "Service", "name": "fraud-detector", "port": 80, "subset": "v2-3-1"}
    },
    "spec.governance": {
        "owner": "payments-ml",
        "purpose": "card fraud score",
        "intendedUse": "online payments",
        "limitations": "not for credit",
        "riskTier": 1,
        "modelCard": "https://models.example/fraud",
        "validatedBy": "model-risk",
        "validationReport": "https://models.example/fraud/report",
        "reviewBy": "2027-11-23",
        "license": "Apache-2.0",
    },
    "spec.changes": "Retrained on October; new merchant features.",
}


def _one_stage(**fields: Any) -> Manifest:
    return rollout({"spec.stages": [{"name": "all", "traffic": "100%", "abortOn": ["error_rate > 1%"], **fields}]})


_TEMPLATE: Final[dict[str, Any]] = {
    "parentRefs": [
        {
            "group": "gateway.networking.k8s.io",
            "kind": "Gateway",
            "namespace": "gateways",
            "name": "public",
            "sectionName": "https",
            "port": 443,
        },
        {"namespace": "gateways", "name": "public", "sectionName": "http"},
        {"group": "", "kind": "Service", "name": "fraud"},
    ],
    "hostnames": ["models.example.com", "*.example.com"],
    "matches": [
        {
            "path": {"type": "Exact", "value": "/v2/models/fraud(1);a=b/infer%20now"},
            "headers": [{"type": "RegularExpression", "name": "X-Team`s", "value": "pay.*"}],
            "queryParams": [{"type": "Exact", "name": "dry", "value": "1"}],
            "method": "POST",
        },
        {"path": {"type": "RegularExpression", "value": "/v[0-9]//.*"}},
        {"path": {"value": "/"}, "headers": [{"name": "x", "value": "1"}, {"name": "y", "value": "1"}]},
        {"path": {"type": "PathPrefix"}},
        {},
    ],
    "labels": {"corp/team": "payments-ml", "empty": ""},
    "annotations": {"corp/contact": "payments, on call"},
}

ACCEPTED: Final[dict[str, Manifest]] = {
    "the usual plan": rollout(),
    "a version with a leading v": rollout({"spec.version": "v2.3.1", "spec.rollbackTo": "v2.2.4"}),
    "a prerelease": rollout({"spec.version": "2.3.1-rc.1", "spec.rollbackTo": "2.3.0-alpha.beta-2.0"}),
    "one stage at 100 %": _one_stage(),
    "100 % with decimals": _one_stage(traffic="100.00%", bake="1h"),
    "fractions of a percent": rollout({"spec.stages[1].traffic": "0.01%"}),
    "two stages at the same share": rollout(
        {
            "spec.stages[3]": {"name": "end", "traffic": "100%", "abortOn": ["error_rate > 1%"]},
            "spec.stages[2]": {"name": "again", "traffic": "5%", "duration": "1h", "abortOn": ["error_rate > 1%"]},
        }
    ),
    "0 % written with decimals": rollout({"spec.stages[0].traffic": "0.00%"}),
    "every field of a stage": rollout({"spec.stages[1]": _EVERY_STAGE_FIELD}),
    "every field beside the stages": rollout(
        {
            "spec.rollbackTo": "2.2.4",
            "spec.metrics": {"source": "eu-west", "preset": "envoy-gateway", "interval": "10s", "window": "1m30s"},
            "spec.guards": "Off",
        }
    ),
    "a managed route with every field": rollout(
        {"spec.route": {"httpRoute": {"name": "fraud", "managed": True, "template": _TEMPLATE}}}
    ),
    "copies of requests in a stage at 0%": rollout(
        {
            "spec.route": {"httpRoute": {"name": "fraud", "managed": True, "template": _TEMPLATE}},
            "spec.stages[0]": {
                "name": "shadow",
                "traffic": "0%",
                "mirror": "12.5%",
                "duration": "1h",
                "abortOn": ["error_rate > stable + 1%"],
            },
        }
    ),
    "a managed route with what it needs": rollout(
        {
            "spec.route": {
                "httpRoute": {"name": "fraud", "managed": True, "template": {"parentRefs": [{"name": "public"}]}}
            }
        }
    ),
    "a route of which it is said that it is not managed": rollout({"spec.route.httpRoute.managed": False}),
    "conditions with and without spaces": rollout(
        {"spec.stages[1].abortOn": ["latency_p95>200ms", " latency_p50  >=  0.5 s ", "error_rate>=0.5%"]}
    ),
    "a query whose name begins like a metric of ours": rollout(
        {"spec.stages[1].abortOn": ["latency_p95_drift > 5%", "error_rate_of_model < 3s", "p95_of_scores > 1"]}
    ),
    "a query whose name begins like another tool's metric": rollout(
        {"spec.stages[1].abortOn": ["latency_avg_drift > 5%", "success_rate_of_batches < 3", "latency_budget < 10"]}
    ),
    "one metric under two limits": rollout(
        {
            "spec.stages[1].abortOn": [
                "error_rate > 1%",
                "error_rate >= 1%",
                "error_rate > 1.1%",
                "client_error_rate > 1%",
            ]
        }
    ),
    "limits that differ in the last digit": rollout(
        {
            "spec.stages[1].abortOn": [
                *("backlog > 999999999999.999999999", "backlog > 999999999999.999999998"),
                *("drift > 0.000000001ms", "drift > 0.000000001s", "drift > 0.000000001%"),
            ]
        }
    ),
    "quantiles and a query named after one": rollout(
        {
            "spec.stages[1].abortOn": [
                *("latency_p95 > 1s", "latency_p95_drift > 1", "latency_p95_of_batches > 1s"),
                *("latency_p99 > 1s", "latency_p50 > 1s"),
            ]
        }
    ),
    "comparisons with the stable version beside limits": rollout(
        {
            "spec.stages[1].abortOn": [
                "error_rate > 1%",
                "error_rate > stable + 1%",
                " client_error_rate>=stable+0.005 ",
                "latency_p95 > 1.2s",
                "latency_p95 > 1.2x stable",
                "latency_p50 > 1 x stable",
            ]
        }
    ),
    "a stage of every word for the judge": rollout(
        {"spec.stages[1].sensitivity": "Careful", "spec.stages[1].blip": "500ms", "spec.stages[1].burst": 3}
    ),
    "requests without an answer": rollout(
        {"spec.stages[1].abortOn": ["unanswered_rate > 1%", "unanswered_rate > stable + 0.5%"]}
    ),
    "the conditions of a language model": rollout(
        {
            "spec.metrics": {"preset": "vllm"},
            "spec.stages[1].abortOn": [
                *("ttft_p95 > 0.75s", "tpot_p990 >= 50ms", "e2e_latency_p50 > 1.5x stable", "queue_time_p95 > 300ms"),
                *("preemption_rate > 5%", "abort_rate > stable + 1%", "tokens_per_second < 20"),
            ],
        }
    ),
    "warm-ups": rollout(
        {
            "spec.stages[1].warmup": {"requests": 200},
            "spec.stages[2].warmup": {"readyFor": "2m"},
        }
    ),
    "a condition that the preset of a later release may have": rollout(
        {"spec.metrics": {"preset": "tensorrt-llm"}, "spec.stages[1].abortOn": ["ttft_p95 > 1s"]}
    ),
    "a named query": rollout({"spec.stages[1].abortOn": ["drift_score > 0.3", "score_floor < 10"]}),
    "the windowed judgement": rollout({"spec.stages[1].judgement": "Observed", "spec.stages[1].for": "2m"}),
    "a maxDuration equal to the duration": rollout({"spec.stages[1].maxDuration": "120m"}),
    "a GRPCRoute": rollout({"spec.route": {"grpcRoute": {"name": "fraud-detector", "ruleName": "predict"}}}),
    "a VirtualService": rollout({"spec.route": {"virtualService": {"name": "fraud-detector", "httpName": "predict"}}}),
    "an InferenceService": rollout({"spec.route": {"inferenceService": {"name": "fraud-detector"}}}),
    "a route of one rule": rollout({"spec.route.httpRoute.ruleName": GONE}),
    "sixteen stages": rollout(
        {
            "spec.stages": [
                *(
                    {"name": f"s{index}", "traffic": f"{index}%", "abortOn": ["error_rate > 1%"]}
                    for index in range(1, 16)
                ),
                {"name": "all", "traffic": "100%", "abortOn": ["error_rate > 1%"]},
            ]
        }
    ),
    "the smallest ModelVersion": model_version({"spec.artifact": GONE, "spec.serving": GONE}),
    "a ModelVersion with every field": model_version(_EVERY_VERSION_FIELD),
    "a chat model, whose names are paths": model_version(
        {
            "spec.signature": {
                "profile": "chat",
                "inputs": [
                    {"name": "messages", "dtype": "object", "shape": [-1]},
                    {"name": "messages[].role", "dtype": "string"},
                    {"name": "messages[].content", "dtype": "string", "optional": True},
                ],
                "outputs": [{"name": "choices[].message.content", "dtype": "string"}],
                "parameters": [{"name": "temperature", "dtype": "float64", "default": "1.0"}],
            }
        }
    ),
    "a start as Python writes it": model_version({"spec.training": {"startedAt": "2024-02-29 06:00:00.25+00:00"}}),
    "a start without an offset": model_version({"spec.training": {"startedAt": "2000-02-29T23:59:59"}}),
    "a Service of a mesh, which has no port": model_version(
        {"spec.serving.backendRef": {"group": "mesh.example", "kind": "Service", "name": "fraud-detector"}}
    ),
    "a ModelVersion with a leading v": model_version({"spec.version": "v2.3.1"}),
    "an upper-case prerelease with a lower-case name": model_version(
        {"spec.version": "2.3.1-RC.1", "metadata.name": "fraud-detector-v2.3.1-rc.1"}
    ),
    "an InferencePool, which has no port": model_version(
        {
            "spec.serving.backendRef": {
                "group": "inference.networking.k8s.io",
                "kind": "InferencePool",
                "name": "fraud-detector-v2-3-1",
            }
        }
    ),
    "a Model without a policy": registered_model("fraud-detector"),
    "a Model with every field": registered_model("fraud-detector", EVERY_MODEL_FIELD),
    "an AuditRecord": audit_record("fraud-detector"),
    "an AuditRecord with every field": audit_record("fraud-detector", 7, **EVERY_RECORD_FIELD),
}
