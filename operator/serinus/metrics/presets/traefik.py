"""Traefik's metrics of a service, which it makes of each backend of a route.

Names, labels and bounds: traefik/traefik, pkg/observability/metrics/prometheus.go (``initStandardRegistry``) and
pkg/middlewares/metrics/metrics.go (``ServeHTTP``); the name of a service:
pkg/provider/kubernetes/gateway/httproute.go, of 3.2.0, 3.7.5 and 3.7.9.
"""

import re
from typing import Final

from serinus.api.modelversion import BackendRef
from serinus.metrics.presets.envoy import GRPC_CALLERS_FAULT, GRPC_OWN_FAULT
from serinus.metrics.presets.preset import IsolatingLabel, Preset
from serinus.metrics.presets.series import Histogram, LabelMatcher

_ROUTE: Final = "(?:httproute|grpcroute)-.+-[0-9]+-[0-9a-f]{20}-svc-"
"""The route, the gateway, the entry point, the number of the rule, and the hash of its match.

With the hash, which no name can be taken for, it ends at one place only: a Service may be called ``a-svc-b``.
"""

_UNKNOWN: Final = 2
_GRPC_OWN_FAULT: Final = tuple(code for code in GRPC_OWN_FAULT if code != _UNKNOWN)
"""Not UNKNOWN: Traefik also counts a call as that whose status it did not find in the headers (``grpcStatusCode``), and
of most calls that end well it comes in the trailers."""


def _joined(namespace: str, backend: BackendRef) -> str:
    return f"{namespace}-{backend.name}"


def _with_port(namespace: str, backend: BackendRef) -> str:
    return f"{namespace}-{backend.name}-http-{backend.port}@kubernetesgateway"


def _codes(http: str, grpc: tuple[int, ...]) -> re.Pattern[str]:
    """Of a gRPC call, the label has the status instead of the HTTP code, which has three digits."""
    return re.compile("|".join((http, *map(str, grpc))))


def _traefik(name: str, label: IsolatingLabel, versions: str, *, needs_port: bool) -> Preset:
    """Traefik answers a refused connection with 502 and a time-out with 504, which the service counts.

    The series exist from the first response of their kind on.
    """
    return Preset(
        name=name,
        isolation=(label,),
        requests="traefik_service_requests_total",
        server_errors=(LabelMatcher("code", _codes("5..", _GRPC_OWN_FAULT)),),
        # Not 499, which Traefik counts when the client goes away: that is no fault of its request.
        client_errors=(LabelMatcher("code", _codes("4[0-8].|49[0-8]", GRPC_CALLERS_FAULT)),),
        presence="traefik_service_requests_total",
        histogram=Histogram(
            "traefik_service_request_duration_seconds_bucket",
            per_second=1.0,
            usual_bounds=(0.1, 0.3, 1.2, 5.0),
            advice="--metrics.prometheus.buckets of Traefik",
        ),
        needs_port=needs_port,
        varying=("method", "protocol"),
        versions=versions,
    )


TRAEFIK: Final = (
    _traefik(
        "traefik",
        IsolatingLabel("service", _joined, before=_ROUTE, after="-[0-9]+@kubernetesgateway"),
        "from 3.7.6 on",
        needs_port=False,
    ),
    _traefik(
        "traefik-3-2",
        IsolatingLabel("service", _with_port, form=".+-http-[0-9]+@kubernetesgateway"),
        "3.2.0 to 3.7.5",
        needs_port=True,
    ),
)
"""The name of a service was changed in 3.7.6."""
