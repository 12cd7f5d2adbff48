"""Sets the backend weights of a Gateway API HTTPRoute, whose backends may be Services or InferencePools."""

from serinus.api.route import RouteKind
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.traffic.capabilities import HTTP_ROUTE
from serinus.kube.kinds import HTTP_ROUTES
from serinus.ports.cluster_state import RouteRecord
from serinus.routers.backend_refs import backend_refs_patch
from serinus.routers.patching import Operation, PatchingRouter


class GatewayApiRouter(PatchingRouter):
    """Implements the port ``TrafficRouter`` for HTTPRoutes."""

    kind = RouteKind.HTTP_ROUTE
    source = HTTP_ROUTES
    can = HTTP_ROUTE

    @classmethod
    def patch(cls, route: RouteRecord, action: SetWeights) -> list[Operation]:
        """Return the patch of the rule's backendRefs."""
        return backend_refs_patch(route, action)
