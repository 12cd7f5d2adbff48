"""Manifests of the end-to-end tests: a model whose versions are served by processes shared by the tests."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from localcluster.parts import gateway
from serinus.api.names import (
    AUDIT_RECORD,
    ENDPOINT_SLICE,
    EVENT,
    HTTP_ROUTE,
    JOB,
    MODEL_VERSION,
    ROLLOUT,
    SERVICE,
    Kind,
    model_version_name,
)
from serinus.api.names import MODEL as MODEL_KIND
from serinus.kube.kinds import collection_path

Manifest = dict[str, Any]

MODEL: Final = "fraud-detector"
RULE: Final = "predict"
PORT: Final = 8080
ERRORS: Final = "error_rate > 0.5%"
LATENCY: Final = "latency_p95 > 500ms"
FOREIGN_MANAGER: Final = "kubectl-patch"

_KINDS: Final[dict[str, Kind]] = {
    one.kind: one
    for one in (
        SERVICE,
        ENDPOINT_SLICE,
        MODEL_VERSION,
        MODEL_KIND,
        AUDIT_RECORD,
        ROLLOUT,
        HTTP_ROUTE,
        JOB,
        EVENT,
    )
}


def collection_of(kind: str, namespace: str) -> str:
    """Return the API path of the objects of a kind in a namespace."""
    return collection_path(_KINDS[kind], namespace)


def backend_of(version: str, model: str = MODEL) -> str:
    """The name of the Service of a version."""
    return f"{model}-v{version.replace('.', '-')}"


def envoy_cluster_of(namespace: str, version: str, model: str = MODEL) -> str:
    """The name of that Service in Envoy's metrics, as set by Contour."""
    return f"{namespace}_{backend_of(version, model)}_{PORT}"


def service(namespace: str, name: str) -> Manifest:
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"ports": [{"name": "http", "port": PORT, "targetPort": PORT}]},
    }


def endpoints(namespace: str, name: str, address: str, *, ready: bool = True) -> Manifest:
    """The EndpointSlice of a Service without a selector, pointing at a process of the test."""
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": PORT, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}}],
    }


def model(namespace: str, name: str = MODEL) -> Manifest:
    """A policy that allows major versions on the same route: the tests' versions are 1.0.0, 2.0.0 and so on."""
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "Model",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"versioning": {"allowMajorInPlace": True}},
    }


def model_version(namespace: str, version: str, model: str = MODEL) -> Manifest:
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": model_version_name(model, version), "namespace": namespace},
        "spec": {
            "model": model,
            "version": version,
            "artifact": {"uri": f"test://{model}/{version}"},
            "serving": {"backendRef": {"name": backend_of(version, model), "port": PORT}},
        },
    }


def backend_ref(name: str, weight: int, **fields: Any) -> Manifest:
    return {"group": "", "kind": "Service", "name": name, "port": PORT, "weight": weight, **fields}


def route(namespace: str, hostname: str, *rules: Manifest, model: str = MODEL, stable: str = "1.0.0") -> Manifest:
    """The team's route: by default one rule with all traffic to the stable version."""
    return {
        "apiVersion": "gateway.networking.k8s.io/v1",
        "kind": "HTTPRoute",
        "metadata": {"name": model, "namespace": namespace},
        "spec": {
            "parentRefs": [
                {
                    "group": "gateway.networking.k8s.io",
                    "kind": "Gateway",
                    "namespace": gateway.NAMESPACE,
                    "name": gateway.NAME,
                }
            ],
            "hostnames": [hostname],
            "rules": list(rules) or [rule(RULE, backend_ref(backend_of(stable, model), 1))],
        },
    }


def rule(name: str, *refs: Manifest, path: str = f"/v2/models/{MODEL}", **fields: Any) -> Manifest:
    return {
        "name": name,
        "matches": [{"path": {"type": "PathPrefix", "value": path}}],
        "backendRefs": list(refs),
        **fields,
    }


def rollout(namespace: str, version: str, stages: Sequence[Manifest], *, model: str = MODEL) -> Manifest:
    return {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "Rollout",
        "metadata": {"name": model, "namespace": namespace},
        "spec": {
            "model": model,
            "version": version,
            "route": {"httpRoute": {"name": model, "ruleName": RULE}},
            "metrics": {"source": "default", "preset": "contour"},
            "stages": list(stages),
        },
    }


def staging(*tests: Manifest) -> Manifest:
    """The stage at 0 %, by default with a health check of the candidate."""
    return {"name": "staging", "traffic": "0%", "tests": list(tests) or [healthy()]}


def canary(duration: str = "5s", **fields: Any) -> Manifest:
    """The stage at 5 %. ``burst: 1``: the tests' faults are independent, so few requests are enough to decide."""
    return {"name": "canary", "traffic": "5%", "duration": duration, **watched(20), **fields}


def production(bake: str = "3s", **fields: Any) -> Manifest:
    return {"name": "production", "traffic": "100%", "bake": bake, **watched(50), **fields}


def watched(requests: int) -> Manifest:
    return {"abortOn": [LATENCY, ERRORS], "minRequests": requests, "burst": 1, "maxDuration": "10m"}


def healthy(name: str = "answers") -> Manifest:
    return {"name": name, "http": {"path": "/healthz", "attempts": 3, "timeout": "2s"}}


def job_until(file: Path, name: str = "gate") -> Manifest:
    """A Job test that runs until the file exists."""
    program = f"import os,time\nwhile not os.path.exists({str(file)!r}): time.sleep(0.05)"
    container = {"name": "wait", "image": "localhost/process", "command": [sys.executable, "-c", program]}
    pod = {"restartPolicy": "Never", "containers": [container]}
    return {"name": name, "job": {"timeout": "5m", "template": {"spec": {"template": {"spec": pod}}}}}


def weights_in(raw: Mapping[str, Any], name: str = RULE) -> dict[str, int]:
    """The weights of a rule by backend."""
    refs = next(rule["backendRefs"] for rule in raw["spec"]["rules"] if rule.get("name") == name)
    return {ref["name"]: ref.get("weight", 1) for ref in refs}
