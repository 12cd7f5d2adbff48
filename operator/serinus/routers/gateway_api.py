"""Sets the backend weights of a Gateway API HTTPRoute by one guarded, minimal JSON Patch."""

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from serinus.api.names import FIELD_MANAGER, HTTP_ROUTE, ObjectKey
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.observation import RouteEntry, RouteProblem
from serinus.engine.rollout.traffic.route_plan import Unplannable, choose_rule, plan_entries
from serinus.errors import ConflictError, InvalidObjectError, NotFoundError, RefusedError
from serinus.kube.client import JSON_PATCH, Raw, Requests
from serinus.kube.kinds import object_path
from serinus.kube.routes import route_record
from serinus.ports.cluster_state import RouteRecord
from serinus.ports.services import Guard

_TRIES: Final = 5
_TRIES_TOWARDS_SAFETY: Final = 20

Operation = dict[str, Any]
"""One operation of a JSON Patch (RFC 6902)."""


class GatewayApiRouter:
    """Implements the port ``TrafficRouter`` for HTTPRoutes."""

    def __init__(self, client: Requests) -> None:
        """Write with this client."""
        self._client = client

    async def set_weights(
        self,
        namespace: str,
        action: SetWeights,
        *,
        guard: Guard | None = None,
        known: RouteRecord | None = None,
    ) -> RouteRecord:
        """Set the shares of the rule and return the updated route; writes nothing if they are already set.

        ``known`` is the route as a watch has shown it: the first write is tried on it, without reading the route.

        Raises:
            NotLeaderError, OvertakenError: by the guard, which is called before every request; nothing was written.
            RefusedError: the route or the rule does not exist, another controller owns it, or its weights are too
                coarse.
            ConflictError: the route changed during every attempt.
            AmbiguousError, TransientError: see serinus.errors.
        """
        key = ObjectKey(namespace, action.route.http_route.name)
        patch = _patch_on_known(known, action)
        if patch:
            with suppress(ConflictError):
                return await self._write(key, patch, guard, urgent=action.towards_safety)
        tries = _TRIES_TOWARDS_SAFETY if action.towards_safety else _TRIES
        for _ in range(tries):
            route = await self._read(key, guard, urgent=action.towards_safety)
            patch = weights_patch(route, action)
            if not patch:
                return route
            with suppress(ConflictError):
                return await self._write(key, patch, guard, urgent=action.towards_safety)
        raise ConflictError(f"HTTPRoute {key}: changed by others {tries} times while its weights were written")

    async def _read(self, key: ObjectKey, guard: Guard | None, *, urgent: bool) -> RouteRecord:
        try:
            raw = await self._client.request("GET", object_path(HTTP_ROUTE, key), urgent=urgent, guard=guard)
        except NotFoundError as problem:
            raise _missing(key) from problem
        try:
            return route_record(raw)
        except InvalidObjectError as problem:
            raise RefusedError(f"HTTPRoute {key.name}: {problem}") from problem

    async def _write(
        self, key: ObjectKey, patch: Sequence[Operation], guard: Guard | None, *, urgent: bool
    ) -> RouteRecord:
        try:
            raw = await self._client.request(
                "PATCH",
                object_path(HTTP_ROUTE, key),
                body=patch,
                content_type=JSON_PATCH,
                query={"fieldManager": FIELD_MANAGER},
                urgent=urgent,
                guard=guard,
            )
        except NotFoundError as problem:
            raise _missing(key) from problem
        return route_record(raw)


def _patch_on_known(known: RouteRecord | None, action: SetWeights) -> list[Operation]:
    """Return the patch of a route that may have changed since; empty where it cannot be told without reading it."""
    if known is None:
        return []
    try:
        return weights_patch(known, action)
    except RefusedError:
        return []


def weights_patch(route: RouteRecord, action: SetWeights) -> list[Operation]:
    """Return the JSON Patch that sets the shares of this route's rule; empty if they are already set.

    Raises:
        RefusedError: the rule does not exist, another controller owns the route, or its weights are too coarse.
    """
    position = choose_rule(action.route.http_route, [rule.name for rule in route.rules], route.owner)
    if isinstance(position, RouteProblem):
        raise RefusedError(position.message)
    rule = route.rules[position]
    plan = plan_entries(rule.entries, action.shares, action.ours, action.filters_of)
    if isinstance(plan, Unplannable):
        raise RefusedError(f"HTTPRoute {action.route.http_route.name}: {plan.message}")
    path = f"/spec/rules/{position}"
    changes = _changes(f"{path}/backendRefs", rule.entries, plan)
    if not changes:
        return []
    guards = [_test("/metadata/resourceVersion", str(route.meta.version))]
    return guards + ([_test(f"{path}/name", rule.name)] if rule.name else []) + changes


def _changes(path: str, entries: Sequence[RouteEntry], plan: Sequence[RouteEntry]) -> list[Operation]:
    """Return the operations from the entries to the plan, which has a subset of them in order, then new ones."""
    weights: list[Operation] = []
    removals: list[Operation] = []
    kept = 0
    for index, entry in enumerate(entries):
        if kept < len(plan) and plan[kept].key == entry.key:
            if plan[kept].weight != entry.weight:
                weights.append(_weight(f"{path}/{index}/weight", plan[kept].weight))
            kept += 1
        else:
            removals.insert(0, {"op": "remove", "path": f"{path}/{index}"})
    added = [_reference(entry) for entry in plan[kept:]]
    if not entries and added:
        # Add the whole list: the rule may have no list to append to.
        return [{"op": "add", "path": path, "value": added}]
    # Remove from the end, so that no removal shifts the index of another operation.
    return weights + removals + [{"op": "add", "path": f"{path}/-", "value": reference} for reference in added]


def _weight(path: str, weight: int) -> Operation:
    # RFC 6902, 4.1: adding a member that exists replaces its value; a weight of 1 may be left out of a backendRef.
    return {"op": "add", "path": path, "value": weight}


def _reference(entry: RouteEntry) -> Raw:
    port = {} if entry.key.port is None else {"port": entry.key.port}
    filters = {"filters": json.loads(entry.filters)} if entry.filters else {}
    named = {"group": entry.key.group, "kind": entry.key.kind, "name": entry.key.name, **port}
    return {**named, "weight": entry.weight, **filters}


def _test(path: str, value: str) -> Operation:
    return {"op": "test", "path": path, "value": value}


def _missing(key: ObjectKey) -> RefusedError:
    return RefusedError(f"HTTPRoute {key} is not there: create it, or name another in spec.route.httpRoute.name.")
