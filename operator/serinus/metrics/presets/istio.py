"""Istio's standard metrics, as the proxy that sends a request reports them.

Names and labels: istio/proxy, source/extensions/filters/http/istio_stats/istio_stats.cc (of 1.20.0, 1.24.0, 1.26.0 and
1.29.0): ``Context`` has the names, ``log`` and ``populatePeerInfo`` the values.
"""

import re
from typing import Final

from serinus.api.modelversion import BackendRef
from serinus.metrics.presets.envoy import ENVOY_BOUNDS, GRPC_CALLERS_FAULT, GRPC_OWN_FAULT
from serinus.metrics.presets.preset import IsolatingLabel, Preset
from serinus.metrics.presets.series import Histogram, LabelMatcher


def _codes(codes: tuple[int, ...]) -> re.Pattern[str]:
    return re.compile("|".join(map(str, codes)))


def _host(namespace: str, backend: BackendRef) -> str:
    return f"{backend.name}.{namespace}"


_PEERS: Final = tuple(
    f"{side}_{what}"
    for side in ("source", "destination")
    for what in (
        *("workload", "workload_namespace", "principal", "app", "version", "cluster"),
        *("canonical_service", "canonical_revision"),
    )
)

ISTIO: Final = Preset(
    name="istio",
    # The host that the route chose. destination_service_namespace says where the pod that answered is: of a request
    # that reached none, as with no healthy endpoint, it is "unknown", and the failure would not be counted.
    isolation=(IsolatingLabel("destination_service", _host, after=r"[.]svc[.].+"),),
    requests="istio_requests_total",
    # A gRPC call that fails is a response of status 200.
    server_errors=(
        LabelMatcher("response_code", re.compile("5..")),
        LabelMatcher("grpc_response_status", _codes(GRPC_OWN_FAULT)),
    ),
    client_errors=(
        LabelMatcher("response_code", re.compile("4..")),
        LabelMatcher("grpc_response_status", _codes(GRPC_CALLERS_FAULT)),
    ),
    # Both ends of a connection report each request; the sender also reports what never arrived.
    fixed='reporter="source"',
    presence="istio_requests_total",
    histogram=Histogram(
        "istio_request_duration_milliseconds_bucket",
        per_second=1000.0,
        usual_bounds=ENVOY_BOUNDS,
        advice="the annotation sidecar.istio.io/statsHistogramBuckets of the sending pods",
    ),
    varying=(
        *_PEERS,
        *("destination_service_name", "destination_service_namespace"),
        *("request_protocol", "response_flags", "connection_security_policy"),
    ),
    versions="1.20 to 1.29",
)
"""Counted by the gateway or the sidecar that sends: not by ztunnel, and not by a waypoint."""
