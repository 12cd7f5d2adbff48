"""What the routers share: one guarded, minimal JSON Patch for the weights of a rule, retried where others write too."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, ClassVar, Final

from serinus.api.names import FIELD_MANAGER, ObjectKey
from serinus.api.route import RouteKind, RuleId
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.traffic.capabilities import RouterCapabilities
from serinus.engine.rollout.traffic.facts import RouteEntry, RouteProblem
from serinus.engine.rollout.traffic.route_plan import Unplannable, choose_rule, plan_entries, with_ports
from serinus.errors import ConflictError, InvalidObjectError, NotFoundError, RefusedError
from serinus.kube.client import JSON_PATCH, Raw, Requests
from serinus.kube.kinds import Source, object_path
from serinus.ports.cluster_state import RouteRecord
from serinus.ports.services import Guard

_TRIES: Final = 5
_TRIES_TOWARDS_SAFETY: Final = 20

Operation = dict[str, Any]
"""One operation of a JSON Patch (RFC 6902)."""

Reference = Callable[[RouteEntry], Raw]
"""Returns a new entry of a rule as its kind of route writes it."""


class PatchingRouter(ABC):
    """A router for one kind of route whose weights one JSON Patch can set.

    Attributes:
        kind: the kind of route.
        source: how its objects are watched and parsed.
        can: what it can do.
    """

    kind: ClassVar[RouteKind]
    source: ClassVar[Source]
    can: ClassVar[RouterCapabilities]

    def __init__(self, client: Requests) -> None:
        """Write with this client."""
        self._client = client

    @classmethod
    @abstractmethod
    def patch(cls, route: RouteRecord, action: SetWeights) -> list[Operation]:
        """Return the JSON Patch that sets the shares of this route's rule; empty if they are already set.

        Raises:
            RefusedError: the rule does not exist, another controller owns the route, or its weights are too coarse.
        """

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
        key = ObjectKey(namespace, action.route.name)
        patch = self._patch_on_known(known, action)
        if patch:
            with suppress(ConflictError):
                return await self._write(key, patch, guard, urgent=action.towards_safety)
        tries = _TRIES_TOWARDS_SAFETY if action.towards_safety else _TRIES
        for _ in range(tries):
            route = await self._read(key, guard, urgent=action.towards_safety)
            patch = self.patch(route, action)
            if not patch:
                return route
            with suppress(ConflictError):
                return await self._write(key, patch, guard, urgent=action.towards_safety)
        raise ConflictError(f"{self.kind.value} {key}: changed by others {tries} times while its weights were written")

    def _patch_on_known(self, known: RouteRecord | None, action: SetWeights) -> list[Operation]:
        """Return the patch of a route that may have changed since; empty where it cannot be told without reading it."""
        if known is None:
            return []
        try:
            return self.patch(known, action)
        except RefusedError:
            return []

    async def _read(self, key: ObjectKey, guard: Guard | None, *, urgent: bool) -> RouteRecord:
        try:
            raw = await self._client.request("GET", object_path(self.source.kind, key), urgent=urgent, guard=guard)
        except NotFoundError as problem:
            raise self._missing(key) from problem
        return self._parsed(raw, key)

    async def _write(
        self, key: ObjectKey, patch: Sequence[Operation], guard: Guard | None, *, urgent: bool
    ) -> RouteRecord:
        try:
            raw = await self._client.request(
                "PATCH",
                object_path(self.source.kind, key),
                body=patch,
                content_type=JSON_PATCH,
                query={"fieldManager": FIELD_MANAGER},
                urgent=urgent,
                guard=guard,
            )
        except NotFoundError as problem:
            raise self._missing(key) from problem
        return self._parsed(raw, key)

    def _parsed(self, raw: Raw, key: ObjectKey) -> RouteRecord:
        try:
            route = self.source.parse(raw)
        except InvalidObjectError as problem:
            raise RefusedError(f"{self.kind.value} {key.name}: {problem}") from problem
        if not isinstance(route, RouteRecord):
            raise TypeError(f"the source of {self.kind} gives {type(route).__name__}")
        return route

    def _missing(self, key: ObjectKey) -> RefusedError:
        remedy = f"create it, or name another in {self.kind.path}.name"
        return RefusedError(f"{self.kind.value} {key} is not there: {remedy}.")


def planned_rule(
    route: RouteRecord, rule: RuleId, action: SetWeights, can: RouterCapabilities
) -> tuple[int, tuple[RouteEntry, ...], tuple[RouteEntry, ...]]:
    """Return the position of the rule, its entries as they are, and as they should be.

    Raises:
        RefusedError: the rule does not exist, another controller owns the route, or its weights are too coarse.
    """
    rules = [with_ports(one.entries, action.backends) for one in route.rules]
    naming = [place for place, entries in enumerate(rules) if action.on_trial in {entry.key for entry in entries}]
    position = choose_rule(rule, [one.name for one in route.rules], route.owner, naming)
    if isinstance(position, RouteProblem):
        raise RefusedError(position.message)
    entries = rules[position]
    plan = plan_entries(entries, action.shares, action.ours, action.filters_of, can)
    if isinstance(plan, Unplannable):
        raise RefusedError(f"{rule.kind.value} {rule.name}: {plan.message}")
    return position, entries, plan


def list_patch(
    route: RouteRecord, action: SetWeights, can: RouterCapabilities, place: tuple[str, str], reference: Reference
) -> list[Operation]:
    """Return the JSON Patch of a rule that is a list of backends, each with its weight.

    Args:
        route: the route as it is.
        action: the shares.
        can: what the router can do.
        place: the path of the list of rules, and in each of them the member that lists the backends.
        reference: writes a new backend.

    Raises:
        RefusedError: the rule does not exist, another controller owns the route, or its weights are too coarse.
    """
    position, entries, plan = planned_rule(route, action.route, action, can)
    rule = route.rules[position]
    rules, member = place
    path = f"{rules}/{position}"
    changes = _changes(f"{path}/{member}", entries, plan, reference)
    if not changes:
        return []
    guards = [version_test(route)]
    return guards + ([test(f"{path}/name", rule.name)] if rule.name else []) + changes


def _changes(
    path: str, entries: Sequence[RouteEntry], plan: Sequence[RouteEntry], reference: Reference
) -> list[Operation]:
    """Return the operations from the entries to the plan, which has a subset of them in order, then new ones."""
    weights: list[Operation] = []
    removals: list[Operation] = []
    kept = 0
    for index, entry in enumerate(entries):
        if kept < len(plan) and plan[kept].key == entry.key:
            if plan[kept].weight != entry.weight:
                weights.append(weight_at(f"{path}/{index}/weight", plan[kept].weight))
            kept += 1
        else:
            removals.insert(0, {"op": "remove", "path": f"{path}/{index}"})
    added = [reference(entry) for entry in plan[kept:]]
    if not entries and added:
        # Add the whole list: the rule may have no list to append to.
        return [{"op": "add", "path": path, "value": added}]
    # Remove from the end, so that no removal shifts the index of another operation.
    return weights + removals + [{"op": "add", "path": f"{path}/-", "value": backend} for backend in added]


def weight_at(path: str, weight: int) -> Operation:
    """Return the operation that sets a weight."""
    # RFC 6902, 4.1: adding a member that exists replaces its value; a weight of 1 may be left out of a backendRef.
    return {"op": "add", "path": path, "value": weight}


def version_test(route: RouteRecord) -> Operation:
    """Return the operation that refuses the patch where the object has changed since."""
    return test("/metadata/resourceVersion", str(route.meta.version))


def test(path: str, value: str) -> Operation:
    """Return the operation that refuses the patch where another value stands there."""
    return {"op": "test", "path": path, "value": value}
