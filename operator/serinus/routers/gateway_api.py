"""Gives backends their shares in an HTTPRoute of the Gateway API: one guarded JSON Patch, never more than needed."""

from collections.abc import Sequence
from typing import Any, Final

from serinus.api.names import FIELD_MANAGER, HTTP_ROUTE, ObjectKey
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.observation import RouteEntry, RouteProblem
from serinus.engine.rollout.route_plan import Unplannable, choose_rule, plan_entries
from serinus.errors import ConflictError, InvalidObjectError, NotFoundError, RefusedError
from serinus.kube.client import JSON_PATCH, Raw, Requests
from serinus.kube.kinds import object_path
from serinus.kube.routes import route_record
from serinus.ports.cluster_state import RouteRecord

_TRIES: Final = 5
_TRIES_TOWARDS_SAFETY: Final = 20

Operation = dict[str, Any]
"""One operation of a JSON Patch (RFC 6902)."""


class GatewayApiRouter:
    """The port ``TrafficRouter`` for HTTPRoutes."""

    def __init__(self, client: Requests) -> None:
        """Write through this client."""
        self._client = client

    async def set_weights(self, namespace: str, action: SetWeights) -> RouteRecord:
        """Bring the rule to these shares and return the route as it is now; writes nothing where they hold already.

        Raises:
            RefusedError: the route or the rule is not there, is not ours to write, or its weights are too coarse.
            ConflictError: others wrote the route each time before we could.
            AmbiguousError, TransientError: as they say.
        """
        key = ObjectKey(namespace, action.route.http_route.name)
        tries = _TRIES_TOWARDS_SAFETY if action.towards_safety else _TRIES
        for _ in range(tries):
            raw = await self._read(key, urgent=action.towards_safety)
            patch = weights_patch(raw, action)
            if not patch:
                return route_record(raw)
            try:
                return await self._write(key, patch, urgent=action.towards_safety)
            except ConflictError:
                continue
        raise ConflictError(f"HTTPRoute {key}: changed by others {tries} times while its weights were written")

    async def _read(self, key: ObjectKey, *, urgent: bool) -> Raw:
        try:
            return await self._client.request("GET", object_path(HTTP_ROUTE, key), urgent=urgent)
        except NotFoundError as problem:
            raise _gone(key) from problem

    async def _write(self, key: ObjectKey, patch: Sequence[Operation], *, urgent: bool) -> RouteRecord:
        try:
            raw = await self._client.request(
                "PATCH",
                object_path(HTTP_ROUTE, key),
                body=patch,
                content_type=JSON_PATCH,
                query={"fieldManager": FIELD_MANAGER},
                urgent=urgent,
            )
        except NotFoundError as problem:
            raise _gone(key) from problem
        return route_record(raw)


def weights_patch(raw: Raw, action: SetWeights) -> list[Operation]:
    """Return the JSON Patch that brings the rule of this route to the wanted shares; empty where they hold.

    Raises:
        RefusedError: there is no such rule, it is not ours to write, or its weights are too coarse.
    """
    try:
        route = route_record(raw)
    except InvalidObjectError as problem:
        raise RefusedError(f"HTTPRoute {action.route.http_route.name}: {problem}") from problem
    position = choose_rule(action.route.http_route, [rule.name for rule in route.rules], route.owner)
    if isinstance(position, RouteProblem):
        raise RefusedError(position.message)
    entries = route.rules[position].entries
    plan = plan_entries(entries, action.shares, action.ours, action.filters_of)
    if isinstance(plan, Unplannable):
        raise RefusedError(f"HTTPRoute {action.route.http_route.name}: {plan.message}")
    rule = raw["spec"]["rules"][position]
    path = f"/spec/rules/{position}"
    present = rule.get("backendRefs") or []
    changes = _changes(f"{path}/backendRefs", present, entries, plan)
    if not changes:
        return []
    guards = [_test("/metadata/resourceVersion", raw["metadata"]["resourceVersion"])]
    guards += [_test(f"{path}/name", rule["name"])] if rule.get("name") else []
    guards += [_test(f"{path}/backendRefs/{at}/name", ref["name"]) for at, ref in enumerate(present)]
    return guards + changes


def _changes(
    path: str, present: Sequence[Raw], entries: Sequence[RouteEntry], plan: Sequence[RouteEntry]
) -> list[Operation]:
    """Turn the entries into the plan, which holds a subset of them in their order and then new ones."""
    weights: list[Operation] = []
    removals: list[Operation] = []
    kept = 0
    for at, entry in enumerate(entries):
        if kept < len(plan) and plan[kept].key == entry.key:
            given = "weight" in present[at]
            if plan[kept].weight != entry.weight:
                weights.append(_weight(f"{path}/{at}/weight", plan[kept].weight, given=given))
            kept += 1
        else:
            removals.insert(0, {"op": "remove", "path": f"{path}/{at}"})
    added = [_reference(entry) for entry in plan[kept:]]
    if not present and added:
        # The whole list, for there may be none to append to.
        return [{"op": "add", "path": path, "value": added}]
    # From the back, so that no removal moves what another operation points at.
    return weights + removals + [{"op": "add", "path": f"{path}/-", "value": one} for one in added]


def _weight(path: str, weight: int, *, given: bool) -> Operation:
    return {"op": "replace" if given else "add", "path": path, "value": weight}


def _reference(entry: RouteEntry) -> Raw:
    port = {} if entry.key.port is None else {"port": entry.key.port}
    return {"group": entry.key.group, "kind": entry.key.kind, "name": entry.key.name, **port, "weight": entry.weight}


def _test(path: str, value: str) -> Operation:
    return {"op": "test", "path": path, "value": value}


def _gone(key: ObjectKey) -> RefusedError:
    return RefusedError(f"HTTPRoute {key} is not there: create it, or name another in spec.route.httpRoute.name.")
