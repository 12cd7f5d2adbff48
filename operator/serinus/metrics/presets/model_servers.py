"""Model servers that Prometheus scrapes themselves, behind whatever carries the traffic.

Their own labels name a model, which is the same for two of its versions. What tells versions apart are the labels of
the target: ``namespace`` and ``service``, as the Prometheus Operator gives them by a ServiceMonitor.
"""

import re
from typing import Final

from serinus.api.modelversion import BackendRef
from serinus.metrics.presets.preset import Histogram, IsolatingLabel, LabelMatcher, Preset


def _namespace(namespace: str, _backend: BackendRef) -> str:
    return namespace


def _service(_namespace: str, backend: BackendRef) -> str:
    return backend.name


_TARGET: Final = (IsolatingLabel("namespace", _namespace), IsolatingLabel("service", _service))

_PYTHON_BOUNDS: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""Seconds; those of prometheus_client, of which none of these servers gives its own."""

_BENTOML: Final = Preset(
    # bentoml/BentoML 1.4.38, src/bentoml/_internal/server/http/instruments.py (RunnerTrafficMetricsMiddleware, which
    # src/_bentoml_impl/server/app.py installs) and src/bentoml/_internal/utils/metrics.py (bounds).
    name="bentoml",
    isolation=_TARGET,
    requests="bentoml_service_request_total",
    server_errors=(LabelMatcher("http_response_code", re.compile("5..")),),
    client_errors=(LabelMatcher("http_response_code", re.compile("4..")),),
    # The probes of the kubelet are counted, too. A ServiceMonitor gives targets a label "endpoint" of its own.
    fixed=",".join(f'{label}!~"/(?:healthz|livez|readyz)"' for label in ("endpoint", "exported_endpoint")),
    # The first probe makes those of 200 and 500 of each endpoint, at zero.
    presence="bentoml_service_request_total",
    histogram=Histogram(
        "bentoml_service_request_duration_seconds_bucket",
        per_second=1.0,
        usual_bounds=(*(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0), 30.0, 60.0, 120.0, 180.0),
        advice="metrics.duration.buckets of the service",
    ),
    varying=("endpoint", "exported_endpoint", "service_name", "service_version", "runner_name"),
    versions="1.4.38",
)

_MLSERVER: Final = Preset(
    # SeldonIO/MLServer a325e523 (after 1.6), mlserver/rest/app.py and settings.py (prefix);
    # stephenhillier/starlette_exporter 00c9dc8a, starlette_exporter/middleware.py (names and labels).
    name="mlserver",
    isolation=_TARGET,
    requests="rest_server_requests_total",
    server_errors=(LabelMatcher("status_code", re.compile("5..")),),
    client_errors=(LabelMatcher("status_code", re.compile("4..")),),
    # Only predictions: the probe of a model's readiness is counted, too.
    fixed='path=~".+/(?:infer|infer_stream|generate|generate_stream)"',
    presence="rest_server_requests_total",
    histogram=Histogram(
        "rest_server_request_duration_seconds_bucket",
        per_second=1.0,
        usual_bounds=_PYTHON_BOUNDS,
        advice="the bounds are fixed in MLServer",
    ),
    varying=("method", "path", "app_name"),
    versions="1.6",
)

_TRITON: Final = Preset(
    # triton-inference-server/core (of June 2026), src/metrics.cc (names), src/metric_model_reporter.{cc,h} (labels,
    # reasons, bounds), src/constants.h.
    name="triton",
    isolation=_TARGET,
    requests="nv_inference_request_success",
    server_errors=(),
    client_errors=(),
    transport_failures="nv_inference_request_failure",
    # A client that goes away; the other counters have no reason.
    fixed='reason!="CANCELED"',
    # At zero from when the model is loaded.
    presence="nv_inference_request_success",
    histogram=Histogram(
        "nv_inference_first_response_histogram_ms_bucket",
        per_second=1000.0,
        usual_bounds=(100.0, 500.0, 2000.0, 5000.0),
        advice="--metrics-config histogram_latencies=true, and model_metrics in the model's config.pbtxt",
    ),
    varying=("model", "version", "reason", "gpu_uuid"),
    versions="25.04 to 26.05",
)
"""The response time is that of the first response; of a model with one response, the whole."""

_VLLM: Final = Preset(
    # vllm-project/vllm, vllm/v1/metrics/loggers.py (names, labels, bounds), and of commit 02a69ad2
    # vllm/entrypoints/serve/instrumentator/metrics.py, which counts the HTTP responses by
    # trallnag/prometheus-fastapi-instrumentator, src/prometheus_fastapi_instrumentator/{metrics,middleware}.py.
    name="vllm",
    isolation=_TARGET,
    requests="http_requests_total",
    server_errors=(LabelMatcher("status", re.compile("5xx")),),
    client_errors=(LabelMatcher("status", re.compile("4xx")),),
    # The other series have no handler.
    fixed='handler=~"(?:/v1/.+)?",handler!="/v1/models"',
    # At zero from the start, for each reason to finish.
    presence="vllm:request_success_total",
    histogram=Histogram(
        "vllm:e2e_request_latency_seconds_bucket",
        per_second=1.0,
        usual_bounds=(
            *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
            *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
        ),
        advice="the bounds are fixed in vLLM",
    ),
    varying=("handler", "method", "model_name", "engine", "finished_reason"),
    versions="V1 engine",
)
"""A stream that breaks after it began has the status of its beginning."""

_KSERVE: Final = Preset(
    # kserve/kserve 0.20, python/kserve/kserve/metrics.py.
    name="kserve",
    isolation=_TARGET,
    requests="request_predict_seconds_count",
    server_errors=(),
    client_errors=(),
    presence="request_predict_seconds_count",
    histogram=Histogram(
        "request_predict_seconds_bucket",
        per_second=1.0,
        usual_bounds=_PYTHON_BOUNDS,
        advice="the bounds are fixed in the Python runtime",
    ),
    varying=("model_name",),
    versions="0.20",
)
"""The time in ``predict`` only; nothing says which requests failed."""

_TGI: Final = Preset(
    # huggingface/text-generation-inference 3.3.7: router/src/server.rs (names, bounds), router/src/infer/mod.rs and
    # backends/v3/src/{backend,queue}.rs (values of err).
    name="tgi",
    isolation=_TARGET,
    requests="tgi_request_success",
    server_errors=(),
    client_errors=(),
    transport_failures="tgi_request_failure",
    # What the client sent wrongly, and what it no longer waited for; the other series have no err.
    fixed='err!~"validation|template|dropped"',
    presence="tgi_request_count",
    histogram=Histogram(
        "tgi_request_duration_bucket",
        per_second=1.0,
        usual_bounds=tuple(0.0001 * 1.5**power for power in range(1, 36)),
        advice="the bounds are fixed in the router",
    ),
    varying=("err",),
    versions="3.3.7",
)

MODEL_SERVERS: Final = (_BENTOML, _KSERVE, _MLSERVER, _TGI, _TRITON, _VLLM)
