"""What a route's rule should look like, and what it says now: whole weights from shares, shares from weights."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from serinus.api.quantities import WEIGHT_SCALE, Share
from serinus.api.route import RouteKind, RuleId
from serinus.engine.rollout.actions import BackendShare
from serinus.engine.rollout.traffic.capabilities import GATEWAY_API, RouterCapabilities
from serinus.engine.rollout.traffic.facts import (
    BackendKey,
    ParentFacts,
    RouteEntry,
    RouteFacts,
    RouteProblem,
    backend_key,
)
from serinus.engine.rollout.waiting import WaitReason

_TOLERANCE: Final = 0.1
"""How far a rounded weight may be from the wanted share, as a part of that share."""

_EXACT_ENOUGH: Final = 5.0
"""From this weight up, rounding to a whole number is off by at most a tenth."""


@dataclass(frozen=True, slots=True)
class Unplannable:
    """The rule cannot be brought to the wanted shares as it stands; ``message`` says what must be changed."""

    reason: WaitReason
    message: str


class AcceptanceState(StrEnum):
    """What the route's parents report of its current generation, all taken together."""

    YES = "Yes"
    WAITING = "Waiting"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Acceptance:
    """Whether the data plane carries the route as it stands; ``message`` is empty where it does."""

    state: AcceptanceState
    message: str = ""


def plan_entries(
    entries: tuple[RouteEntry, ...],
    shares: tuple[BackendShare, ...],
    ours: frozenset[BackendKey],
    filters_of: BackendKey | None = None,
    can: RouterCapabilities = GATEWAY_API,
) -> tuple[RouteEntry, ...] | Unplannable:
    """Return the rule's entries as they should be.

    Foreign entries stay as and where they are. Those of ours that are in ``shares`` get their weight in place, the
    others of ours go, missing ones are appended with the filters of the entry of ``filters_of``. Without foreign
    weight, weights are ten-thousandths. With it, the sum of ours stays as it is, so that nobody else's share moves, and
    a share is one of the whole rule. A backend that stands in the rule twice (people do so to set a header for a part
    of its requests) can only be brought to 0: nobody knows which of the two should have which part.

    Args:
        entries: the rule's entries as they are.
        shares: every backend of ours that belongs in the rule, with its ten-thousandths.
        ours: the backends of all the model's versions.
        filters_of: the backend whose filters new entries get.
        can: what the router can do.
    """
    wanted = {backend_key(share.backend): share for share in shares}
    mine = ours | wanted.keys()
    impossible = {key: why for key in wanted if (why := unnameable(key, can))}
    for key, why in impossible.items():
        if wanted.pop(key).parts:
            return Unplannable(WaitReason.BEYOND_ROUTER, f"{key.label} {why}: give the version another backend.")
    twice = _twice(entries, {key for key, share in wanted.items() if share.parts})
    if twice is not None:
        return twice
    foreign = sum(entry.weight for entry in entries if entry.key not in mine)
    weights: Mapping[BackendKey, int] | Unplannable = {key: share.parts for key, share in wanted.items()}
    if foreign > 0 and any(share.parts for share in shares):
        weights = _beside_foreign(foreign, entries, wanted, mine)
    if isinstance(weights, Unplannable):
        return weights
    kept: list[RouteEntry] = []
    open_keys = dict.fromkeys(wanted)
    for entry in entries:
        if entry.key not in mine:
            kept.append(entry)
        elif entry.key in wanted or not can.manages_backends:
            repeated = entry.key not in open_keys
            open_keys.pop(entry.key, None)
            weight = 0 if repeated else weights.get(entry.key, 0)
            kept.append(entry if entry.weight == weight else replace(entry, weight=weight))
    beyond = _beyond(can, {key: weights[key] for key in open_keys}, weights)
    if beyond is not None or not can.manages_backends:
        return beyond or tuple(kept)
    filters = next((entry.filters for entry in entries if entry.key == filters_of), "")
    return (*kept, *(RouteEntry(key, weights[key], filters) for key in open_keys))


def with_ports(entries: tuple[RouteEntry, ...], known: Collection[BackendKey]) -> tuple[RouteEntry, ...]:
    """Return the entries, with the port of a known backend where the route leaves out the port of a Service.

    A route may do so where the Service has one port. Of several known ports none is chosen.
    """
    if all(entry.key.port is not None or not entry.key.is_service for entry in entries):
        return entries
    ports = ((entry, [key for key in known if entry.key.may_be(key)]) for entry in entries)
    return tuple(replace(entry, key=keys[0]) if len(keys) == 1 else entry for entry, keys in ports)


def unnameable(key: BackendKey, can: RouterCapabilities) -> str:
    """Return why this kind of route cannot name a backend at all; empty where it can.

    What is written for such a backend would be another one: it would be neither found nor taken out again.
    """
    if key.subset and not can.subsets:
        return "has a subset, which this kind of route does not know"
    if can.services_only and not key.is_service:
        return "is no Service, and this kind of route knows no other kind"
    return ""


def _beyond(
    can: RouterCapabilities, lacking: Mapping[BackendKey, int], weights: Mapping[BackendKey, int]
) -> Unplannable | None:
    """Return which weight this kind of route cannot take, given the backends that it lacks."""
    needed = [key.label for key, weight in lacking.items() if weight]
    if needed and not can.manages_backends:
        message = f"The route does not list {', '.join(needed)}: add it there. Only its share is set by the operator."
        return Unplannable(WaitReason.BACKEND_NOT_IN_ROUTE, message)
    fraction = next((key for key, weight in weights.items() if weight % can.unit), None)
    if fraction is None:
        return None
    return Unplannable(
        WaitReason.WEIGHTS_TOO_COARSE,
        f"{Share.of_parts(weights[fraction])} for {fraction.label} is no multiple of {Share.of_parts(can.unit)}, the "
        "least share that this kind of route can give: change the stage's traffic, or the shares of the others.",
    )


def _twice(entries: Sequence[RouteEntry], keys: Collection[BackendKey]) -> Unplannable | None:
    """Return which backend with a share stands in the rule more than once."""
    seen: set[BackendKey] = set()
    for entry in entries:
        if entry.key in keys and entry.key in seen:
            message = (
                f"The rule names {entry.key.label} more than once, so its share cannot be set: "
                "keep one backendRef for each backend."
            )
            return Unplannable(WaitReason.DUPLICATE_BACKEND, message)
        seen.add(entry.key)
    return None


def choose_rule(
    route: RuleId, names: Sequence[str], owner: str = "", on_trial: Sequence[int] = ()
) -> int | RouteProblem:
    """Return the position of the rule that carries the model's traffic, or why there is none that we may write.

    During a run the rule that names the version on trial is the one that the run is on, although somebody has renamed
    it or added others since: the version must be able to lose its traffic.

    Args:
        route: the rule that the Rollout names.
        names: the names of the route's rules in order; empty where a rule has none.
        owner: the other controller that owns the route, as ``Kind/name``; empty where there is none.
        on_trial: the positions of the rules that name the version on trial; empty where no run is under way.
    """
    if owner:
        return RouteProblem(
            WaitReason.ROUTE_OWNED_BY_OTHER,
            f"{route.kind.value} {route.name} belongs to {owner}, which would undo every weight: name a route that no "
            f"controller owns in {route.kind.path}.name.",
        )
    known = ", ".join(name or f"number {position}, unnamed" for position, name in enumerate(names, 1)) or "none"
    if route.rule is not None:
        found = [position for position, name in enumerate(names) if name == route.rule]
        of_run = [position for position in found if position in on_trial]
        if of_run or len(found) == 1:
            return (*of_run, *found)[0]
        if found:
            problem = f"{route.kind.value} {route.name} has {len(found)} rules {route.rule}"
            remedy = "and the traffic of only one of them would be set: give each a name of its own."
            return RouteProblem(WaitReason.NO_SUCH_RULE, f"{problem}, {remedy}")
        if len(on_trial) == 1:
            return on_trial[0]
        return _no_rule(f"has no rule {route.rule}; its rules: {known}", route)
    if len(names) == 1 or len(on_trial) == 1:
        return on_trial[0] if len(on_trial) == 1 else 0
    return _no_rule(f"has {len(names)} rules ({known}) and the Rollout does not say which", route)


def shares_of(entries: Sequence[RouteEntry], keys: Collection[BackendKey]) -> Mapping[BackendKey, float]:
    """Return what each of the backends gets of the whole rule, in percent; 0 where it or all weight is missing."""
    total = sum(entry.weight for entry in entries)
    held = dict.fromkeys(keys, 0)
    for entry in entries:
        if entry.key in held:
            held[entry.key] += entry.weight
    return {key: 100.0 * weight / total if total else 0.0 for key, weight in held.items()}


def carried(route: RouteFacts) -> Acceptance:
    """Return whether every parent has accepted the route at its generation, whether or not all its backends work.

    A gateway that reports ``ResolvedRefs: False`` still carries the other backends with their weights (Gateway API,
    HTTPRouteRule.backendRefs), so a version at weight 0 has no traffic.
    """
    return _acceptance(route, tuple(replace(parent, resolved=True) for parent in route.parents))


def accepted(route: RouteFacts) -> Acceptance:
    """Return whether every parent has accepted the route at its generation or a later one, with all its backends."""
    return _acceptance(route, route.parents)


def _acceptance(route: RouteFacts, parents: Sequence[ParentFacts]) -> Acceptance:
    if not route.parents and not route.can.acceptance:
        return Acceptance(AcceptanceState.YES)
    if not route.parents:
        return Acceptance(
            AcceptanceState.WAITING, "The route has no parentRefs: no Gateway carries it. Add one to spec.parentRefs."
        )
    current = [parent for parent in parents if parent.observed_generation >= route.generation]
    refused = [
        f"{parent.name}: {parent.message or 'not accepted'}"
        for parent in current
        if not (parent.accepted and parent.resolved)
    ]
    if refused:
        return Acceptance(AcceptanceState.REFUSED, f"The route is not accepted by {'; '.join(refused)}")
    late = [parent for parent in parents if parent.observed_generation < route.generation]
    if late:
        names = ", ".join(f"{parent.name} (at {parent.observed_generation})" for parent in late)
        return Acceptance(AcceptanceState.WAITING, f"Waiting for {names} to accept generation {route.generation}.")
    return Acceptance(AcceptanceState.YES)


def _no_rule(problem: str, route: RuleId) -> RouteProblem:
    field = "httpName" if route.kind is RouteKind.VIRTUAL_SERVICE else "ruleName"
    return RouteProblem(
        WaitReason.NO_SUCH_RULE,
        f"{route.kind.value} {route.name} {problem}: name one of them in {route.kind.path}.{field}.",
    )


def _beside_foreign(
    foreign: int,
    entries: Sequence[RouteEntry],
    wanted: Mapping[BackendKey, BackendShare],
    mine: Collection[BackendKey],
) -> Mapping[BackendKey, int] | Unplannable:
    """Divide the sum of our weights; the biggest share takes what rounding and the others leave."""
    held = sum(entry.weight for entry in entries if entry.key in mine)
    if held == 0:
        return Unplannable(
            WaitReason.WEIGHTS_TOO_COARSE,
            f"The rule gives weight {foreign} to backends of others and 0 to ours, so there is nothing to divide: "
            "give our backends the sum of weight that they are to share.",
        )
    parts = {key: share.parts for key, share in wanted.items() if share.parts > 0}
    biggest = max(parts, key=lambda key: parts[key])
    exact = {key: part * (foreign + held) / WEIGHT_SCALE for key, part in parts.items() if key != biggest}
    # Beside much foreign weight two shares can want more than is ours; none may then overtake a bigger one.
    most = held // len(parts)
    weights = {key: min(max(1, round(ideal)), most) for key, ideal in exact.items()}
    coarse = [
        key
        for key, ideal in exact.items()
        if weights[key] == 0 or (ideal < most and abs(weights[key] - ideal) > _TOLERANCE * ideal)
    ]
    if coarse:
        least = min(coarse, key=lambda key: exact[key])
        return _too_coarse(least, parts[least], min(exact[least], held / len(parts)), entries)
    return dict.fromkeys(wanted, 0) | weights | {biggest: held - sum(weights.values())}


def _too_coarse(key: BackendKey, parts: int, ideal: float, entries: Sequence[RouteEntry]) -> Unplannable:
    factor = 10
    while ideal * factor < _EXACT_ENOUGH:
        factor *= 10
    listed = ", ".join(f"{entry.key.name} {entry.weight}" for entry in entries)
    return Unplannable(
        WaitReason.WEIGHTS_TOO_COARSE,
        f"{Share.of_parts(parts)} of the rule's weights ({listed}) would be weight {ideal:g} for {key.name}, and "
        f"weights are whole numbers: multiply all weights of this rule by {factor}.",
    )
