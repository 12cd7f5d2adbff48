"""The weights that a status stands for, and the write that makes the route show them."""

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.names import FIELD_MANAGER
from serinus.api.rollout_status import RolloutStatus
from serinus.api.route import RuleId
from serinus.engine.rollout.actions import BackendShare, SetWeights
from serinus.engine.rollout.conditions import UNASKED
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import Idle, RolledBack, RollingBack, Running, Stranded
from serinus.engine.rollout.traffic.confirmation import planned, route_in_use
from serinus.engine.rollout.traffic.corrections import Correction, by_whom, correct
from serinus.engine.rollout.traffic.facts import RouteEntry, RouteFacts
from serinus.engine.rollout.traffic.route_plan import Unplannable, plan_entries, shares_of
from serinus.engine.rollout.traffic.targets import (
    Place,
    filters_source,
    on_trial,
    our_backends,
    place_of,
    shares_for,
)
from serinus.engine.rollout.waiting import Waiting, WaitReason

PlannedEntries = tuple[RouteEntry, ...] | Unplannable | None
"""The rule's entries as the status wants them; None where it wants none or the route has a problem."""


def planned_entries(draft: Draft, before: RolloutStatus, situation: Situation) -> PlannedEntries:
    """Return the rule's entries as the draft's status wants them; ``before`` is the stored status."""
    route = situation.observed.route
    if isinstance(draft.mode, Idle) or not isinstance(route, RouteFacts):
        return None
    return planned(situation.spec, draft.status, situation.observed, route, before)


def weight_writes(
    draft: Draft, before: RolloutStatus, situation: Situation, wanted: PlannedEntries
) -> tuple[Draft, tuple[SetWeights, ...]]:
    """Return the write that makes the route show what the status says; none where it does already."""
    route, observed = situation.observed.route, situation.observed
    # The route that was observed: a run that leaves it for another one clears it first.
    ref = route_in_use(situation.spec, before)
    if ref is None or wanted is None or not isinstance(route, RouteFacts):
        return draft, ()
    place = _given_up(draft, before, situation)
    # Where nothing else has weight, nobody loses any to a version that is fit to take it.
    rival = observed.conflict and (place is None or {e.key for e in route.entries if e.weight} != {place.key})
    held = rival or route.not_ours is not None
    if held or isinstance(wanted, Unplannable) or _would_go_dark(wanted, route):
        return draft, _containment(draft, before, ref, route, situation)
    if wanted == route.entries:
        return draft, ()
    bad = before.rollback
    towards_safety = _lowers_candidate(wanted, route, draft.status, situation) or (
        # A bad version that the run has left, for another one that must not rise with it.
        bad is not None
        and _lowers(bad.version, wanted, route, before, situation)
        and not must_not_rise(wanted, route, before, draft, situation)
    )
    if not towards_safety and must_not_rise(wanted, route, before, draft, situation):
        return draft, ()
    if _drifted(wanted, route, before, draft.status):
        draft, contested = correct(draft, _drift(route, before), situation)
        if contested and not towards_safety:
            return draft, ()
    shares = shares_for(situation.spec, draft.status, observed)
    action = SetWeights(
        route=ref,
        shares=shares,
        ours=our_backends(observed, draft.status, before),
        filters_of=filters_source(draft.status),
        on_trial=on_trial(before),
        towards_safety=towards_safety,
    )
    return draft, (action,)


def lacking_weight(wanted: PlannedEntries, draft: Draft, situation: Situation) -> Waiting | None:
    """Return what the version on trial lacks where it has less of the route than its stage gives it; None where not.

    As where somebody took it away while the metrics were down: nothing gives it back before they answer, and until
    then the stage watches less than it is meant to.
    """
    run, route = draft.mode, situation.observed.route
    if not isinstance(run, Running) or run.candidate.weight <= 0:
        return None
    if not isinstance(route, RouteFacts):
        return Waiting(route.reason, route.message)
    version = run.candidate.version
    place = place_of(version, draft.status, situation.observed)
    has, due = 0.0, run.candidate.weight
    if place is not None:
        has = _percent(route.entries, place)
        due = _percent(wanted, place) if isinstance(wanted, tuple) else due
    if has >= due:
        return None
    unasked = any(one.cause in UNASKED for one in situation.written)
    later = "It gets the rest back once the metrics answer again." if unasked else "It gets no more at this moment."
    return Waiting(WaitReason.WEIGHT_PENDING, f"{version} has {has:g}% instead of {due:g}%. {later}")


def _containment(
    draft: Draft, before: RolloutStatus, ref: RuleId, route: RouteFacts, situation: Situation
) -> tuple[SetWeights, ...]:
    """Return the write that takes the weight of a version that is given up and touches nothing else.

    For a rule that cannot be planned, that another Rollout keeps, that somebody has put in the place of a managed one,
    or in which nothing that the status names has weight: none of these suppresses a rollback.
    """
    place = _given_up(draft, before, situation)
    if place is None or not any(entry.weight for entry in route.entries if entry.key == place.key):
        return ()
    shares, ours = (BackendShare(place.backend, 0),), frozenset({place.key})
    entries = plan_entries(route.entries, shares, ours, can=route.can)
    if isinstance(entries, Unplannable) or _would_go_dark(entries, route):
        return ()
    return (SetWeights(route=ref, shares=shares, ours=ours, on_trial=on_trial(before), towards_safety=True),)


def _given_up(draft: Draft, before: RolloutStatus, situation: Situation) -> Place | None:
    """Return where the version serves that was rolled back, or that the run has left; None where there is none."""
    status, left = draft.status, before.candidate
    match draft.mode:
        case RollingBack(rollback=rollback) | RolledBack(rollback=rollback):
            return place_of(rollback.version, status, situation.observed)
        case _:
            named = {role.version for role in (status.stable, status.candidate) if role is not None}
            if left is None or left.version in named or status.stable is None:
                return None
            return place_of(left.version, before, situation.observed)


def _would_go_dark(entries: tuple[RouteEntry, ...], route: RouteFacts) -> bool:
    """Never take the last weight out of a rule that serves."""
    return any(entry.weight for entry in route.entries) and not any(entry.weight for entry in entries)


def _lowers_candidate(
    wanted: tuple[RouteEntry, ...], route: RouteFacts, status: RolloutStatus, situation: Situation
) -> bool:
    """Return whether the write takes traffic from the version on trial."""
    return status.candidate is not None and _lowers(status.candidate.version, wanted, route, status, situation)


def _lowers(
    version: str, wanted: tuple[RouteEntry, ...], route: RouteFacts, status: RolloutStatus, situation: Situation
) -> bool:
    place = place_of(version, status, situation.observed)
    if place is None:
        return False
    return _percent(wanted, place) < _percent(route.entries, place)


def _percent(entries: tuple[RouteEntry, ...], place: Place) -> float:
    return shares_of(entries, (place.key,))[place.key]


def must_not_rise(
    wanted: tuple[RouteEntry, ...], route: RouteFacts, before: RolloutStatus, draft: Draft, situation: Situation
) -> bool:
    """Return whether the write would raise the weight of a version on trial that must not get more now.

    A version that is bad never does. Nor does one whose backend and route are not stored yet, or whose evidence cannot
    be had: after a crash in the midst of a rollback the route is safe already, the status does not say so yet, and the
    breach must be found again first.
    """
    run = draft.mode
    if not isinstance(run, Running | Stranded):
        return False
    place = place_of(run.candidate.version, draft.status, situation.observed)
    if place is None or _percent(wanted, place) <= _percent(route.entries, place):
        return False
    unstored = before.route is None or before.candidate is None or before.candidate.backend is None
    if isinstance(run, Stranded) or unstored or run.planned is None:
        return True
    if _roles(before) != _roles(draft.status):
        return False
    written = situation.written
    return len(written) < len(run.planned.abort_on) or any(one.cause in UNASKED for one in written)


def _drift(route: RouteFacts, before: RolloutStatus) -> Correction:
    who = by_whom(route.written_by)
    return Correction(
        EventReason.WEIGHT_DRIFT_CORRECTED,
        f"The route's weights were changed{who}: put right.",
        f"The route's weights are changed again and again{who}: they are put right once a minute. "
        "Let only one controller own its weights.",
        is_news=_is_settled(before),
    )


def _drifted(wanted: tuple[RouteEntry, ...], route: RouteFacts, before: RolloutStatus, after: RolloutStatus) -> bool:
    """Return whether somebody else has changed the weights; what the operator wrote before a crash is no drift."""
    if route.written_by == FIELD_MANAGER or _roles(before) != _roles(after):
        return False
    # A gateway that is slower than two controllers that put each other right never confirms anything.
    if not _is_settled(before) and not route.written_by:
        return False
    return {e.key: e.weight for e in wanted if e.weight} != {e.key: e.weight for e in route.entries if e.weight}


def _is_settled(before: RolloutStatus) -> bool:
    """Return whether the weights were confirmed, or have been put right already: only then is a change news."""
    confirmed = find_condition(before.conditions, ConditionType.TRAFFIC_CONFIRMED)
    contested = before.route is not None and before.route.corrections > 0
    return contested or (confirmed is not None and confirmed.status is ConditionStatus.TRUE)


def _roles(status: RolloutStatus) -> tuple[str, str, float]:
    candidate, stable = status.candidate, status.stable
    return (
        stable.version if stable is not None else "",
        candidate.version if candidate is not None else "",
        candidate.weight if candidate is not None else 0.0,
    )
