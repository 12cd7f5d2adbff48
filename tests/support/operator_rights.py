"""Every right that the chart's operator is meant to have, by what gives it."""

from typing import Final

from support.release import Right

_SERINUS: Final = "serinus.dev"
_GATEWAY: Final = "gateway.networking.k8s.io"
_READING: Final = ("list", "watch")


def _on(group: str, kind: str, *verbs: str) -> frozenset[Right]:
    return frozenset(Right(verb, kind, group) for verb in verbs)


ALWAYS: Final = frozenset().union(
    _on(_SERINUS, "rollouts", "get", *_READING, "patch"),
    _on(_SERINUS, "modelversions", *_READING),
    _on(_SERINUS, "models", *_READING, "create"),
    (Right("patch", kind, _SERINUS, "status") for kind in ("rollouts", "modelversions", "models")),
    _on("discovery.k8s.io", "endpointslices", *_READING),
    _on("", "services", "get"),
    _on("batch", "jobs", *_READING),
    _on("events.k8s.io", "events", "create", "patch"),
)
"""Where it manages models, whatever the values say."""

CREATING_JOBS: Final = _on("batch", "jobs", "get", "create") | _on("", "pods", "list")
"""With ``rbac.jobs``."""

REGISTRY_IN_THE_CLUSTER: Final = frozenset().union(
    _on(_SERINUS, "auditrecords", "get", "list", "create"),
    _on(_SERINUS, "models", "get"),
    _on(_SERINUS, "modelversions", "get"),
)
"""With ``config.registry.kind: Kubernetes``."""

_ROUTE_VERBS: Final = ("get", *_READING, "patch")
ROUTERS: Final = {
    "httpRoute": _on(_GATEWAY, "httproutes", *_ROUTE_VERBS),
    "grpcRoute": _on(_GATEWAY, "grpcroutes", *_ROUTE_VERBS),
    "virtualService": _on("networking.istio.io", "virtualservices", *_ROUTE_VERBS),
    "inferenceService": _on("serving.kserve.io", "inferenceservices", *_ROUTE_VERBS),
}
"""With each entry of ``config.routers``."""

MANAGED_ROUTES: Final = _on(_GATEWAY, "httproutes", "create") | {Right("update", "rollouts", _SERINUS, "finalizers")}
"""With ``rbac.managedRoutes``."""

API_SERVER_SLICE: Final = Right("get", "endpointslices", "discovery.k8s.io", name="kubernetes")
API_SERVER_SERVICE: Final = Right("get", "services", name="kubernetes")
IDENTITY: Final = Right("get", "namespaces", name="kube-system")

IN_THE_WHOLE_CLUSTER: Final = _on("", "namespaces", *_READING) | {API_SERVER_SLICE}
"""Without ``namespaces``."""

BY_DEFAULT: Final = ALWAYS | CREATING_JOBS | REGISTRY_IN_THE_CLUSTER | ROUTERS["httpRoute"] | IN_THE_WHOLE_CLUSTER
"""With the chart's own values."""


def on_leases(*names: str) -> frozenset[Right]:
    """Return the rights in the release's namespace, whose Leases have these names."""
    group = "coordination.k8s.io"
    named = {Right(verb, "leases", group, name=name) for name in names for verb in ("get", "update", "create")}
    return frozenset(named | {Right("create", "leases", group)})
