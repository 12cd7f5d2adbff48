"""Sets the backend weights of a Gateway API GRPCRoute, by the same rules as those of an HTTPRoute."""

from serinus.api.names import GRPC_ROUTE
from serinus.api.route import RouteKind
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.traffic.capabilities import GATEWAY_API
from serinus.kube.kinds import Source
from serinus.kube.routes import grpc_route_record
from serinus.ports.cluster_state import GrpcRouteRecord, RouteRecord
from serinus.routers.backend_refs import backend_refs_patch
from serinus.routers.patching import Operation, PatchingRouter


class GrpcRouteRouter(PatchingRouter):
    """Implements the port ``TrafficRouter`` for GRPCRoutes."""

    kind = RouteKind.GRPC_ROUTE
    source = Source(kind=GRPC_ROUTE, record=GrpcRouteRecord, parse=grpc_route_record)
    can = GATEWAY_API

    @classmethod
    def patch(cls, route: RouteRecord, action: SetWeights) -> list[Operation]:
        """Return the patch of the rule's backendRefs."""
        return backend_refs_patch(route, action)
