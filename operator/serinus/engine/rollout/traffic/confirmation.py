"""Whether the data plane does what the status says: read off the route, never inferred from what was written."""

from typing import Final, assert_never

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.api.route import RuleId
from serinus.engine.rollout.draft import Situation
from serinus.engine.rollout.modes import RollingBack, Running, Stranded, mode_of
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.traffic.facts import BackendKey, RouteEntry, RouteFacts, RouteProblem
from serinus.engine.rollout.traffic.mirrors import mirror_mismatch, mirrors_of
from serinus.engine.rollout.traffic.route_plan import AcceptanceState, Unplannable, accepted, carried, plan_entries
from serinus.engine.rollout.traffic.targets import filters_source, our_backends, place_of, shares_for
from serinus.engine.rollout.waiting import Waiting, WaitReason

_ALL: Final = 100


def route_in_use(spec: RolloutSpec | None, status: RolloutStatus) -> RuleId | None:
    """Return the route and rule that carry the traffic; None where neither spec nor status names one.

    While a run or a rollback is under way that is the one it began on, whatever the spec says by now.
    """
    route = status.route
    remembered = RuleId(route.kind, route.name, route.rule_name) if route else None
    if remembered is not None and (spec is None or isinstance(mode_of(status), Running | RollingBack | Stranded)):
        return remembered
    return spec.route.rule if spec is not None else None


def planned(
    spec: RolloutSpec | None,
    status: RolloutStatus,
    observed: Observation,
    route: RouteFacts,
    left: RolloutStatus | None = None,
) -> tuple[RouteEntry, ...] | Unplannable:
    """Return the rule's entries as this status wants them.

    ``left`` is the status before the decision: what it had given traffic is ours to take out, also where the new status
    does not name it any more.
    """
    ours = our_backends(observed, status) if left is None else our_backends(observed, status, left)
    return plan_entries(route.entries, shares_for(spec, status, observed), ours, filters_source(status), route.can)


def unconfirmed(spec: RolloutSpec | None, status: RolloutStatus, observed: Observation) -> Waiting | None:
    """Return why the data plane does not yet do what the status says, or None where it does."""
    route = observed.route
    wanted = planned(spec, status, observed, route) if isinstance(route, RouteFacts) else None
    return unconfirmed_by(wanted, status, observed)


def unconfirmed_by(
    wanted: tuple[RouteEntry, ...] | Unplannable | None, status: RolloutStatus, observed: Observation
) -> Waiting | None:
    """Return the same for entries that are planned already."""
    route = observed.route
    if isinstance(route, RouteProblem):
        return Waiting(route.reason, route.message)
    if route.not_ours is not None:
        return Waiting(route.not_ours.reason, route.not_ours.message)
    if isinstance(wanted, Unplannable):
        return Waiting(wanted.reason, wanted.message)
    if wanted != route.entries:
        return Waiting(WaitReason.WEIGHT_PENDING, "The weights are being written to the route.")
    if route.mirrors is not None and route.mirrors != mirrors_of(status, observed):
        return Waiting(WaitReason.WEIGHT_PENDING, "The mirror is being written to the route.")
    stranger = _unknown_backends(status, observed, route)
    if stranger is not None:
        return stranger
    acceptance = accepted(route)
    match acceptance.state:
        case AcceptanceState.YES:
            return None
        case AcceptanceState.WAITING:
            return Waiting(WaitReason.ROUTE_NOT_ACCEPTED, acceptance.message)
        case AcceptanceState.REFUSED:
            return Waiting(WaitReason.ROUTE_REFUSED, acceptance.message)
        case _:
            assert_never(acceptance.state)


def unsafe(bad: str, status: RolloutStatus, observed: Observation) -> Waiting | None:
    """Return why it is not yet certain that the bad version has no traffic, or None where it is.

    Certain is what the route itself shows: it is carried at its generation, no entry of the bad version has weight,
    and every entry that has some is the stable version's or was there when the run began.
    """
    route = observed.route
    if isinstance(route, RouteProblem):
        return Waiting(route.reason, route.message)
    place = place_of(bad, status, observed)
    if any(entry.weight for entry in route.entries if place is not None and entry.key == place.key):
        return Waiting(WaitReason.WEIGHT_PENDING, f"The route still has weight for {bad}.")
    stranger = _unknown_backends(status, observed, route)
    if stranger is not None:
        return stranger
    acceptance = carried(route)
    if acceptance.state is AcceptanceState.YES:
        return None
    refused = acceptance.state is AcceptanceState.REFUSED
    return Waiting(WaitReason.ROUTE_REFUSED if refused else WaitReason.ROUTE_NOT_ACCEPTED, acceptance.message)


def named_keys(status: RolloutStatus, observed: Observation) -> frozenset[BackendKey]:
    """Return the backends that the status says have traffic."""
    on_trial = status.candidate.weight if status.candidate is not None else 0
    roles = [status.candidate] if status.candidate is not None and on_trial > 0 else []
    roles += [status.stable] if status.stable is not None and on_trial < _ALL else []
    places = (place_of(serving.version, status, observed) for serving in roles)
    return frozenset(place.key for place in places if place is not None)


def _unknown_backends(status: RolloutStatus, observed: Observation, route: RouteFacts) -> Waiting | None:
    """Return which entries have weight although neither the status nor the rule's past knows them."""
    known, foreign = named_keys(status, observed), status.route.foreign if status.route is not None else None
    if foreign is None:
        return None
    strange = [
        entry.key.label
        for entry in route.entries
        if entry.weight and entry.key not in known and entry.key.label not in foreign
    ]
    if not strange:
        return None
    message = (
        f"The rule also gives traffic to {', '.join(dict.fromkeys(strange))}, which was not there when the run began: "
        "take the weight from it, or let it be until the run is over."
    )
    return Waiting(WaitReason.UNKNOWN_BACKEND, message)


def share_mismatch(status: RolloutStatus, situation: Situation) -> Waiting | None:
    """Return how the observed share of the requests contradicts the weights, or None where it does not.

    Judged are the requests that were sent since the weights last changed: what a gateway did with other weights, such
    as those that an operator wrote and could not report before it ended, says nothing of these.
    """
    candidate, stable, seen = status.candidate, status.stable, situation.observed.share
    if candidate is None or stable is None:
        return None
    if candidate.mirror is not None and isinstance(mode_of(status), Running):
        return mirror_mismatch(candidate.version, candidate.mirror, seen)
    if not 0 < candidate.weight < _ALL:
        return None
    if not seen.contradicts(candidate.weight / 100):
        return None
    observed = 100 * seen.candidate / seen.total
    return Waiting(
        WaitReason.TRAFFIC_SHARE_MISMATCH,
        # Whole percents: a figure that changes with every tick would be a write at every tick.
        f"{candidate.version} has weight {candidate.weight:g}%, but gets about {observed:.0f}% of the requests: "
        "does the gateway honour the weights, and does nothing else send requests to this backend?",
    )
