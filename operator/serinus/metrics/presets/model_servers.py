"""Model servers that Prometheus scrapes themselves, behind whatever carries the traffic.

Their own labels name a model, which is the same for two of its versions. What tells versions apart are the labels of
the target: ``namespace`` and ``service``, as the Prometheus Operator gives them by a ServiceMonitor.
"""

import re
from typing import Final

from serinus.api.abort_condition import Timing
from serinus.api.modelversion import BackendRef
from serinus.metrics.presets.preset import IsolatingLabel, Preset
from serinus.metrics.presets.series import Histogram, LabelMatcher, Share, Speed


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

_TRITON_FIRST: Final = Histogram(
    "nv_inference_first_response_histogram_ms_bucket",
    per_second=1000.0,
    usual_bounds=(100.0, 500.0, 2000.0, 5000.0),
    advice="--metrics-config histogram_latencies=true, and model_metrics in the model's config.pbtxt",
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
    histogram=_TRITON_FIRST,
    # Of a model that streams, its first response is the first token. Queues have a counter of time, no histogram.
    timings={Timing.FIRST_TOKEN: _TRITON_FIRST},
    aborted=Share(
        requests="nv_inference_request_success",
        beside="nv_inference_request_failure",
        fixed='reason=~"(?:CANCELED)?"',
    ),
    varying=("model", "version", "reason", "gpu_uuid"),
    versions="25.04 to 26.05",
)
"""The response time is that of the first response; of a model with one response, the whole."""

_VLLM_REQUEST_BOUNDS: Final = (
    *(0.3, 0.5, 0.8, 1.0, 1.5, 2.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 50.0, 60.0),
    *(120.0, 240.0, 480.0, 960.0, 1920.0, 7680.0),
)
_VLLM_FIRST_TOKEN_BOUNDS: Final = (
    *(0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0),
    *(20.0, 40.0, 80.0, 160.0, 640.0, 2560.0),
)
_VLLM_TOKEN_BOUNDS: Final = (
    *(0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 20.0, 40.0, 80.0),
)


def _vllm(series: str, bounds: tuple[float, ...]) -> Histogram:
    return Histogram(
        f"vllm:{series}_bucket", per_second=1.0, usual_bounds=bounds, advice="the bounds are fixed in vLLM"
    )


_VLLM_END_TO_END: Final = _vllm("e2e_request_latency_seconds", _VLLM_REQUEST_BOUNDS)

_VLLM: Final = Preset(
    # vllm-project/vllm, vllm/v1/metrics/loggers.py (names, labels, bounds; of commit 005a810b, which does not have
    # request_time_per_output_token_seconds and inter_token_latency_seconds yet: releases of December 2025 do, with the
    # same bounds), vllm/v1/engine/__init__.py (FINISH_REASON_STRINGS), and of commit 02a69ad2
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
    histogram=_VLLM_END_TO_END,
    timings={
        Timing.FIRST_TOKEN: _vllm("time_to_first_token_seconds", _VLLM_FIRST_TOKEN_BOUNDS),
        # One figure for each request. inter_token_latency_seconds has one for each token, and the tokens of one answer
        # are slow together: no bound on false aborts would hold.
        Timing.OUTPUT_TOKEN: _vllm("request_time_per_output_token_seconds", _VLLM_TOKEN_BOUNDS),
        Timing.END_TO_END: _VLLM_END_TO_END,
        Timing.QUEUE: _vllm("request_queue_time_seconds", _VLLM_REQUEST_BOUNDS),
    },
    # A preempted request is computed anew. One may be preempted several times, so a share of the requests themselves
    # could be more than all of them.
    preempted=Share(requests="vllm:time_to_first_token_seconds_count", beside="vllm:num_preemptions_total"),
    aborted=Share(requests="vllm:request_success_total", bad=(LabelMatcher("finished_reason", re.compile("abort")),)),
    speed=Speed(
        tokens="vllm:generation_tokens_total",
        firsts="vllm:time_to_first_token_seconds_count",
        seconds="vllm:inter_token_latency_seconds_sum",
    ),
    varying=("handler", "method", "model_name", "engine", "finished_reason"),
    versions="V1 engine",
)
"""A stream that breaks after it began has the status of its beginning."""

_SGLANG_REQUEST_BOUNDS: Final = (
    *(0.1, 0.2, 0.4, 0.6, 0.8, 1.0, 2.0, 4.0, 6.0, 8.0, 10.0, 20.0, 40.0, 60.0, 80.0, 100.0, 200.0, 400.0),
    *(600.0, 1200.0, 1800.0, 2400.0),
)
_SGLANG_FIRST_TOKEN_BOUNDS: Final = _SGLANG_REQUEST_BOUNDS[:18]
_SGLANG_QUEUE_BOUNDS: Final = (
    *(0.0, 0.001, 0.005, 0.01, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 15.0, 20.0),
    *(30.0, 40.0, 50.0, 60.0, 70.0, 80.0, 90.0),
    *(float(seconds) for seconds in (*range(100, 1000, 100), *range(1000, 2001, 200), 2500, 3000)),
)


def _sglang(series: str, bounds: tuple[float, ...], advice: str) -> Histogram:
    return Histogram(f"sglang:{series}_bucket", per_second=1.0, usual_bounds=bounds, advice=advice)


_SGLANG_END_TO_END: Final = _sglang(
    "e2e_request_latency_seconds", _SGLANG_REQUEST_BOUNDS, "--bucket-e2e-request-latency of the server"
)

_SGLANG: Final = Preset(
    # sgl-project/sglang of commit 016d8605, python/sglang/srt/observability/metrics_collector.py (names, labels,
    # bounds), and python/sglang/srt/utils/common.py, add_prometheus_track_response_middleware (HTTP responses).
    name="sglang",
    isolation=_TARGET,
    requests="sglang:http_responses_total",
    server_errors=(LabelMatcher("status_code", re.compile("5..")),),
    client_errors=(LabelMatcher("status_code", re.compile("4..")),),
    # Probes are GET; the other series have no method. With --enable-metrics-for-all-schedulers each rank of a tensor
    # parallel group counts the same request: the first one stands for all.
    fixed='method=~"(?:POST)?",tp_rank=~"0?"',
    # The scheduler sets it when it has started.
    presence="sglang:max_total_num_tokens",
    histogram=_SGLANG_END_TO_END,
    timings={
        Timing.FIRST_TOKEN: _sglang(
            "time_to_first_token_seconds",
            _SGLANG_FIRST_TOKEN_BOUNDS,
            "--bucket-time-to-first-token of the server",
        ),
        Timing.END_TO_END: _SGLANG_END_TO_END,
        Timing.QUEUE: _sglang("queue_time_seconds", _SGLANG_QUEUE_BOUNDS, "the bounds are fixed in SGLang"),
    },
    # Its inter_token_latency_seconds has one figure for each token, and its count of tokens grows when a request ends.
    varying=(
        *("endpoint", "exported_endpoint", "method", "is_streaming", "model_name", "engine_type"),
        *("tp_rank", "pp_rank", "dp_rank", "moe_ep_rank"),
    ),
    versions="commit 016d8605",
)
"""A stream that breaks after it began has the status of its beginning. Of an answer in one piece the first token comes
with the last one."""

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


def _tgi(series: str) -> Histogram:
    return Histogram(
        f"{series}_bucket",
        per_second=1.0,
        usual_bounds=tuple(0.0001 * 1.5**power for power in range(1, 36)),
        advice="the bounds are fixed in the router",
    )


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
    histogram=_tgi("tgi_request_duration"),
    timings={
        # The time of inference, from the prefill on, over the number of tokens. Nothing says when the first one came.
        Timing.OUTPUT_TOKEN: _tgi("tgi_request_mean_time_per_token_duration"),
        Timing.END_TO_END: _tgi("tgi_request_duration"),
        Timing.QUEUE: _tgi("tgi_request_queue_duration"),
    },
    # Dropped: the client was gone when the request was taken from the queue, or when a token was to be sent.
    aborted=Share(requests="tgi_request_success", beside="tgi_request_failure", fixed='err=~"(?:dropped)?"'),
    speed=Speed(tokens="tgi_request_generated_tokens_sum", firsts=None, seconds="tgi_request_inference_duration_sum"),
    varying=("err",),
    versions="3.3.7",
)

MODEL_SERVERS: Final = (_BENTOML, _KSERVE, _MLSERVER, _SGLANG, _TGI, _TRITON, _VLLM)
