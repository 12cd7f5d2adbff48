"""The backendRefs of the Gateway API: HTTPRoute and GRPCRoute have the same rules, so their routers share the patch."""

import json

from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.traffic.capabilities import GATEWAY_API
from serinus.engine.rollout.traffic.facts import RouteEntry
from serinus.kube.client import Raw
from serinus.ports.cluster_state import RouteRecord
from serinus.routers.patching import Operation, list_patch


def backend_refs_patch(route: RouteRecord, action: SetWeights) -> list[Operation]:
    """Return the JSON Patch that sets the shares of this route's rule; empty if they are already set.

    Raises:
        RefusedError: the rule does not exist, another controller owns the route, or its weights are too coarse.
    """
    return list_patch(route, action, GATEWAY_API, ("/spec/rules", "backendRefs"), reference)


def reference(entry: RouteEntry) -> Raw:
    """Return a new entry of a rule as the Gateway API writes it."""
    port = {} if entry.key.port is None else {"port": entry.key.port}
    filters = {"filters": json.loads(entry.filters)} if entry.filters else {}
    named = {"group": entry.key.group, "kind": entry.key.kind, "name": entry.key.name, **port}
    return {**named, "weight": entry.weight, **filters}
