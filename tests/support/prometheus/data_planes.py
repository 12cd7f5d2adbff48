"""Series in the exact form of each data plane that has a preset: its names, all its labels, its bounds.

From the sources that the preset's module names; `docs/reference/metrics-presets.md` says what was tried on the program.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from support.prometheus.questions import Samples
from support.prometheus.server import History

Labels = dict[str, str]


@dataclass(frozen=True, slots=True)
class Backend:
    """A Service behind the data plane."""

    namespace: str
    name: str
    port: int = 80


@dataclass(frozen=True, slots=True, kw_only=True)
class DataPlane:
    """How a data plane writes down the requests to a backend.

    Attributes:
        requests: the counter of responses.
        buckets: the histogram of response times.
        of_backend: all labels that say which backend, which route and which client.
        good: the labels of responses that are well.
        failed: those of responses that count as failed, one for each way that they can.
        refused: those that count as the client's mistake, likewise.
        failures: the counter of those that failed; empty where ``requests`` has them.
        presence: the counter that is there before the first response; empty where there is none.
        present: its labels beside those of the backend.
        timed: likewise those of the histogram.
        bound: the ``le`` of the bucket that the tests ask about, and the limit that this is.
        by_outcome: whether the histogram has the labels of the responses, too; else these series have only good ones.
        uncounted: labels with which the same requests are reported once more, by another instance.
        routed: labels with which the same backend is reported for another route; empty where the route is not named.
    """

    requests: str
    buckets: str
    of_backend: Callable[[Backend], dict[str, str]]
    good: Labels
    failed: tuple[Labels, ...]
    refused: tuple[Labels, ...]
    bound: tuple[str, str]
    failures: str = ""
    presence: str = ""
    present: Labels = field(default_factory=dict)
    timed: Labels = field(default_factory=dict)
    by_outcome: bool = True
    uncounted: Labels = field(default_factory=dict)
    routed: Callable[[Backend], dict[str, str]] | None = None

    def add(  # noqa: PLR0913 - a builder: what some test changes
        self,
        history: History,
        backend: Backend,
        outcome: Labels,
        samples: Samples,
        *,
        instance: str = "10.0.0.1:9090",
        more: Labels | None = None,
        fast: float = 0.0,
    ) -> None:
        """Add responses of one outcome; ``fast`` is the part of them within the bound."""
        known = list(samples)
        labels = self.of_backend(backend) | {"instance": instance, "job": "gateway"} | (more or {})
        counter = self.failures if self.failures and outcome in self.failed else self.requests
        history.add(counter, labels | outcome, known)
        if outcome != self.good and not self.by_outcome:
            return
        timed = labels | self.timed | (outcome if self.by_outcome else {})
        within = [(at, count * fast) for at, count in known]
        for bound, counts in ((self.bound[0], within), ("+Inf", known)):
            history.add(self.buckets, timed | {"le": bound}, counts)


def _istio(backend: Backend) -> dict[str, str]:
    host = f"{backend.name}.{backend.namespace}.svc.cluster.local"
    peers = {
        f"{side}_{what}": f"{side}-{what}"
        for side in ("source", "destination")
        for what in ("workload", "workload_namespace", "principal", "app", "version", "cluster")
    }
    canonical = {
        f"{side}_canonical_{what}": "latest" for side in ("source", "destination") for what in ("service", "revision")
    }
    return (
        peers
        | canonical
        | {
            "reporter": "source",
            "destination_service": host,
            "destination_service_name": backend.name,
            "destination_service_namespace": backend.namespace,
            "connection_security_policy": "unknown",
        }
    )


def _istio_response(code: str, grpc: str = "", flags: str = "-", **more: str) -> dict[str, str]:
    protocol = "grpc" if grpc else "http"
    return {
        "response_code": code,
        "grpc_response_status": grpc,
        "response_flags": flags,
        "request_protocol": protocol,
    } | more


def _envoy_gateway(backend: Backend) -> dict[str, str]:
    return {"envoy_cluster_name": f"service/{backend.namespace}/{backend.name}/{backend.port}/http"}


def _traefik(backend: Backend) -> dict[str, str]:
    route = "httproute-ml-fraud-svc-gw-infra-shared-ep-web-0-0c0f2a1b3c4d5e6f7a8b"
    return {"service": f"{route}-svc-{backend.namespace}-{backend.name}-1@kubernetesgateway"}


def _traefik_https(backend: Backend) -> dict[str, str]:
    route = "httproute-ml-fraud-svc-gw-infra-shared-ep-websecure-12-ffffffffffffffffffff"
    return {"service": f"{route}-svc-{backend.namespace}-{backend.name}-0@kubernetesgateway"}


def _traefik_3_2(backend: Backend) -> dict[str, str]:
    return {"service": f"{backend.namespace}-{backend.name}-http-{backend.port}@kubernetesgateway"}


def _traefik_response(code: str, method: str = "POST", protocol: str = "http") -> dict[str, str]:
    return {"code": code, "method": method, "protocol": protocol}


def _linkerd(backend: Backend) -> dict[str, str]:
    core = {"group": "core", "kind": "Service", "section_name": ""}
    route = {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "ml", "name": "fraud"}
    parent = core | {"namespace": "ml", "name": "fraud", "port": "80"}
    own = core | {"namespace": backend.namespace, "name": backend.name, "port": str(backend.port)}
    return {
        f"{scope}_{key}": value
        for scope, labels in (("parent", parent), ("route", route), ("backend", own))
        for key, value in labels.items()
    }


def _target(backend: Backend) -> dict[str, str]:
    """Return the labels that the Prometheus Operator gives to a target of a ServiceMonitor."""
    pod = f"{backend.name}-0"
    return {"namespace": backend.namespace, "service": backend.name, "pod": pod, "container": "model"}


def _bento_response(code: str) -> dict[str, str]:
    return {
        "endpoint": "http",
        "exported_endpoint": "/predict",
        "service_name": "fraud",
        "service_version": "x7k",
        "runner_name": "Fraud",
        "http_response_code": code,
    }


def _mlserver_response(code: str) -> dict[str, str]:
    return {"method": "POST", "path": "/v2/models/fraud/infer", "app_name": "mlserver", "status_code": code}


def _vllm_response(status: str) -> dict[str, str]:
    return {"handler": "/v1/chat/completions", "method": "POST", "status": status}


def _sglang_response(status: str) -> dict[str, str]:
    return {"endpoint": "/v1/chat/completions", "method": "POST", "status_code": status}


_TRITON_MODEL: Final = {"model": "fraud", "version": "1"}


def _traefik_plane(
    of_backend: Callable[[Backend], dict[str, str]], routed: Callable[[Backend], dict[str, str]] | None = None
) -> DataPlane:
    return DataPlane(
        requests="traefik_service_requests_total",
        buckets="traefik_service_request_duration_seconds_bucket",
        of_backend=of_backend,
        good=_traefik_response("200"),
        failed=(_traefik_response("502"), _traefik_response("500", "GET"), _traefik_response("13", protocol="grpc")),
        refused=(_traefik_response("422"), _traefik_response("3", protocol="grpc")),
        bound=("0.3", "300ms"),
        routed=routed,
    )


DATA_PLANES: Final[Mapping[str, DataPlane]] = {
    "istio": DataPlane(
        requests="istio_requests_total",
        buckets="istio_request_duration_milliseconds_bucket",
        of_backend=_istio,
        good=_istio_response("200"),
        failed=(
            _istio_response("500", flags="-"),
            # No healthy endpoint: no pod, and so no namespace of one.
            _istio_response("503", flags="UH", destination_service_namespace="unknown", destination_workload="unknown"),
            _istio_response("200", grpc="13"),
        ),
        refused=(_istio_response("404"), _istio_response("200", grpc="3")),
        bound=("250", "250ms"),
        uncounted={"reporter": "destination"},
    ),
    "linkerd": DataPlane(
        requests="outbound_http_route_backend_response_statuses_total",
        buckets="outbound_http_route_backend_response_duration_seconds_bucket",
        of_backend=_linkerd,
        good={"http_status": "200", "error": ""},
        failed=(
            {"http_status": "500", "error": ""},
            {"http_status": "", "error": "FAIL_FAST"},
            {"http_status": "200", "error": "RESET"},
        ),
        refused=({"http_status": "404", "error": ""},),
        bound=("0.25", "250ms"),
        presence="outbound_http_route_backend_requests_total",
        by_outcome=False,
        routed=lambda backend: _linkerd(backend) | {"route_kind": "default", "route_group": "", "route_name": "http"},
    ),
    "envoy-gateway": DataPlane(
        requests="envoy_cluster_upstream_rq_xx",
        buckets="envoy_cluster_upstream_rq_time_bucket",
        of_backend=_envoy_gateway,
        good={"envoy_response_code_class": "2"},
        failed=({"envoy_response_code_class": "5"},),
        refused=({"envoy_response_code_class": "4"},),
        bound=("250", "250ms"),
        presence="envoy_cluster_upstream_rq_total",
        by_outcome=False,
        routed=lambda backend: {"envoy_cluster_name": _envoy_gateway(backend)["envoy_cluster_name"] + "2"},
    ),
    "traefik": _traefik_plane(_traefik, _traefik_https),
    "traefik-3-2": _traefik_plane(_traefik_3_2),
    "bentoml": DataPlane(
        requests="bentoml_service_request_total",
        buckets="bentoml_service_request_duration_seconds_bucket",
        of_backend=_target,
        good=_bento_response("200"),
        failed=(_bento_response("500"), _bento_response("503")),
        refused=(_bento_response("422"),),
        bound=("0.25", "250ms"),
        uncounted={"exported_endpoint": "/livez"},
    ),
    "kserve": DataPlane(
        requests="request_predict_seconds_count",
        buckets="request_predict_seconds_bucket",
        of_backend=_target,
        good={"model_name": "fraud"},
        failed=(),
        refused=(),
        bound=("0.25", "250ms"),
    ),
    "mlserver": DataPlane(
        requests="rest_server_requests_total",
        buckets="rest_server_request_duration_seconds_bucket",
        of_backend=_target,
        good=_mlserver_response("200"),
        failed=(_mlserver_response("500"),),
        refused=(_mlserver_response("422"),),
        bound=("0.25", "250ms"),
        uncounted={"path": "/v2/models/fraud/ready"},
    ),
    "sglang": DataPlane(
        requests="sglang:http_responses_total",
        buckets="sglang:e2e_request_latency_seconds_bucket",
        of_backend=_target,
        good=_sglang_response("200"),
        failed=(_sglang_response("500"), _sglang_response("503")),
        refused=(_sglang_response("400"), _sglang_response("422")),
        bound=("0.4", "400ms"),
        presence="sglang:max_total_num_tokens",
        present={"model_name": "fraud", "engine_type": "unified", "tp_rank": "0", "pp_rank": "0", "dp_rank": "0"},
        timed={"model_name": "fraud", "engine_type": "unified", "is_streaming": "true"},
        by_outcome=False,
        uncounted={"endpoint": "/health", "method": "GET"},
    ),
    "tgi": DataPlane(
        requests="tgi_request_success",
        buckets="tgi_request_duration_bucket",
        of_backend=_target,
        good={},
        failed=({"err": "generation"}, {"err": "overloaded"}),
        refused=(),
        failures="tgi_request_failure",
        bound=("0.25", "250ms"),
        presence="tgi_request_count",
        by_outcome=False,
    ),
    "triton": DataPlane(
        requests="nv_inference_request_success",
        buckets="nv_inference_first_response_histogram_ms_bucket",
        of_backend=_target,
        good=_TRITON_MODEL,
        failed=tuple(_TRITON_MODEL | {"reason": reason} for reason in ("BACKEND", "REJECTED", "OTHER")),
        refused=(),
        failures="nv_inference_request_failure",
        bound=("500", "500ms"),
        timed=_TRITON_MODEL,
        by_outcome=False,
    ),
    "vllm": DataPlane(
        requests="http_requests_total",
        buckets="vllm:e2e_request_latency_seconds_bucket",
        of_backend=_target,
        good=_vllm_response("2xx"),
        failed=(_vllm_response("5xx"),),
        refused=(_vllm_response("4xx"),),
        bound=("0.3", "300ms"),
        presence="vllm:request_success_total",
        present={"model_name": "fraud", "engine": "0", "finished_reason": "stop"},
        timed={"model_name": "fraud", "engine": "0"},
        by_outcome=False,
        uncounted={"handler": "/v1/models"},
    ),
}
"""By preset."""
