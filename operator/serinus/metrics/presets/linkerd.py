"""Linkerd's metrics of the backends of a route, as the proxy that sends a request reports them.

linkerd/linkerd2-proxy (of 2.250, 2.300 and 2.366): linkerd/app/outbound/src/http.rs and
linkerd/http/prom/src/{count_reqs,record_response/response}.rs have the names and the unit,
linkerd/app/outbound/src/metrics.rs and http/logical/policy/route/metrics/labels.rs the labels,
http/logical/policy/route/metrics.rs the bounds.
"""

import re
from typing import Final

from serinus.api.modelversion import BackendRef
from serinus.metrics.presets.preset import IsolatingLabel, Preset
from serinus.metrics.presets.series import Histogram, LabelMatcher


def _namespace(namespace: str, _backend: BackendRef) -> str:
    return namespace


def _name(_namespace: str, backend: BackendRef) -> str:
    return backend.name


LINKERD: Final = Preset(
    name="linkerd",
    isolation=(IsolatingLabel("backend_namespace", _namespace), IsolatingLabel("backend_name", _name)),
    requests="outbound_http_route_backend_response_statuses_total",
    server_errors=(
        LabelMatcher("http_status", re.compile("5..")),
        # Without a status, the proxy had no answer to give; with one, the answer broke off.
        LabelMatcher("error", re.compile(".+")),
    ),
    client_errors=(LabelMatcher("http_status", re.compile("4..")),),
    fixed='backend_kind="Service"',
    # Made at zero when the proxy builds the backend of a route.
    presence="outbound_http_route_backend_requests_total",
    histogram=Histogram(
        "outbound_http_route_backend_response_duration_seconds_bucket",
        per_second=1.0,
        usual_bounds=(0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 10.0),
        advice="the bounds are fixed in the proxy",
    ),
    varying=(
        *(f"parent_{what}" for what in ("group", "kind", "namespace", "name", "port", "section_name")),
        *(f"route_{what}" for what in ("group", "kind", "namespace", "name")),
        *(f"backend_{what}" for what in ("group", "kind", "port", "section_name")),
    ),
    versions="proxy 2.250 to 2.366",
)
"""Counted by the sidecars that send. A gRPC call of an HTTPRoute that fails is a response of status 200, without a sign
of the failure."""
