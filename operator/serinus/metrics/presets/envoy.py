"""Envoy's own statistics of a cluster, as Contour names its clusters."""

import re
from typing import Final

from serinus.api.modelversion import BackendRef
from serinus.metrics.presets.preset import IsolatingLabel, Preset
from serinus.metrics.presets.series import GrpcStatus, Histogram, LabelMatcher, Lifecycle


def _service_port(namespace: str, backend: BackendRef) -> str:
    """Contour's AltStatName: namespace, service and port, joined by underscores, which none of the three contains."""
    return f"{namespace}_{backend.name}_{backend.port}"


ENVOY_BOUNDS: Final = (
    *(0.5, 1.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10000.0),
    *(30000.0, 60000.0, 300000.0, 600000.0, 1800000.0, 3600000.0),
)
"""Milliseconds."""


_NOT_SENT: Final = (
    "envoy_cluster_upstream_rq_pending_failure_eject",
    "envoy_cluster_upstream_rq_pending_overflow",
    "envoy_cluster_upstream_cx_none_healthy",
)
"""Requests that Envoy answered with 503 before it had a connection: refused, too many at once, no endpoint."""

_ENVOY_LIFECYCLE: Final = Lifecycle(
    sent=("envoy_cluster_upstream_rq_total", *_NOT_SENT),
    repeated="envoy_cluster_upstream_rq_retry",
    ended="envoy_cluster_upstream_rq_completed",
    active="envoy_cluster_upstream_rq_active",
    broken=(
        # A backend that breaks an answer off in its midst leaves the class and the status 200: only its connection
        # (HTTP/1) or its stream (HTTP/2) tells. A client that goes away closes from this side, which is not counted.
        "envoy_cluster_upstream_cx_destroy_remote_with_active_rq",
        "envoy_cluster_upstream_rq_rx_reset",
        "envoy_cluster_upstream_rq_timeout",
        "envoy_cluster_upstream_rq_per_try_timeout",
        *_NOT_SENT,
    ),
)

GRPC_CALLERS_FAULT: Final = (1, 3, 5, 6, 7, 9, 11, 16)
"""CANCELLED, INVALID_ARGUMENT, NOT_FOUND, ALREADY_EXISTS, PERMISSION_DENIED, FAILED_PRECONDITION, OUT_OF_RANGE and
UNAUTHENTICATED (grpc.io, Status codes and their use in gRPC)."""

GRPC_OWN_FAULT: Final = (2, 4, 8, 10, 12, 13, 14, 15)
"""The other statuses that are not OK: UNKNOWN, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, UNIMPLEMENTED, INTERNAL,
UNAVAILABLE and DATA_LOSS."""

_ENVOY_GRPC: Final = GrpcStatus(
    calls="envoy_cluster_grpc_total",
    failures="envoy_cluster_grpc_failure",
    client_failures=tuple(f"envoy_cluster_grpc_{code}" for code in GRPC_CALLERS_FAULT),
    unavailable="envoy_cluster_grpc_14",
)


def _merged(namespace: str, backend: BackendRef) -> str:
    """Envoy Gateway's name of a cluster that all routes to a Service share, without the protocol.

    internal/gatewayapi/helpers.go, ``irBackendClusterName``, of 1.9.0.
    """
    return f"service/{namespace}/{backend.name}/{backend.port}"


def _envoy(name: str, label: IsolatingLabel, versions: str) -> Preset:
    """Envoy's own statistics of a cluster.

    Envoy counts a failed connection, a time-out and "no healthy host" as the 503 or 504 that it answers with, so the
    response classes include transport failures. ``upstream_rq_total`` exists from the cluster's start; the response
    classes and the histogram appear with the first response. The statuses of gRPC are counted by the filter
    ``grpc_stats``, which Contour configures.
    """
    return Preset(
        name=name,
        isolation=(label,),
        requests="envoy_cluster_upstream_rq_xx",
        server_errors=(LabelMatcher("envoy_response_code_class", re.compile("5")),),
        client_errors=(LabelMatcher("envoy_response_code_class", re.compile("4")),),
        presence="envoy_cluster_upstream_rq_total",
        histogram=Histogram(
            "envoy_cluster_upstream_rq_time_bucket",
            per_second=1000.0,
            usual_bounds=ENVOY_BOUNDS,
            advice="stats_config.histogram_bucket_settings in Envoy's bootstrap",
        ),
        needs_port=True,
        lifecycle=_ENVOY_LIFECYCLE,
        grpc=_ENVOY_GRPC,
        versions=versions,
    )


_CLUSTER: Final = IsolatingLabel("envoy_cluster_name", _service_port, form="[^_/]+_[^_/]+_[0-9]+")

ENVOY: Final = (
    _envoy("contour", _CLUSTER, "tried with Envoy 1.40"),
    _envoy("envoy", _CLUSTER, "tried with Envoy 1.40"),
    # A cluster for each backend, and not for each rule, exists only with spec.mergeBackends of the EnvoyProxy.
    _envoy(
        "envoy-gateway",
        IsolatingLabel("envoy_cluster_name", _merged, after="(?:/[a-z][a-z0-9]*)?", form="service/[^/]+/[^/]+/[0-9]+"),
        "1.9",
    ),
)
"""One set of statistics under the names of the gateways and of the proxy."""
