"""The weights that a status stands for, and the write that makes the route show them."""

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.names import FIELD_MANAGER
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.conditions import UNASKED
from serinus.engine.rollout.confirmation import planned
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import Idle, RolledBack, RollingBack, Running
from serinus.engine.rollout.observation import RouteEntry, RouteFacts, backend_key
from serinus.engine.rollout.route_plan import TooCoarse, shares_of
from serinus.engine.rollout.targets import our_backends, shares_for

PlannedEntries = tuple[RouteEntry, ...] | TooCoarse | None
"""The rule's entries as the status wants them; None where it wants none or the route has a problem."""


def planned_entries(draft: Draft, situation: Situation) -> PlannedEntries:
    """Return the rule's entries as the draft's status wants them."""
    route = situation.observed.route
    if isinstance(draft.mode, Idle) or not isinstance(route, RouteFacts):
        return None
    return planned(situation.spec, draft.status, situation.observed, route)


def weight_writes(
    draft: Draft, before: RolloutStatus, situation: Situation, wanted: PlannedEntries
) -> tuple[Draft, tuple[SetWeights, ...]]:
    """Return the write that makes the route show what the status says; none where it does already."""
    spec, status, observed = situation.spec, draft.status, situation.observed
    route = observed.route
    if spec is None or wanted is None or isinstance(wanted, TooCoarse) or not isinstance(route, RouteFacts):
        return draft, ()
    if (
        wanted == route.entries
        or _would_go_dark(wanted, route)
        or _rises_without_evidence(wanted, route, before, draft, situation)
    ):
        return draft, ()
    if _drifted(wanted, route, before, status):
        who = f" by {route.written_by}" if route.written_by else ""
        message = f"The route's weights were changed{who}: put right."
        draft = draft.with_event(EventReason.WEIGHT_DRIFT_CORRECTED, message, warning=True)
    shares = shares_for(spec, status, observed)
    towards_safety = isinstance(draft.mode, RollingBack | RolledBack)
    action = SetWeights(route=spec.route, shares=shares, ours=our_backends(observed), towards_safety=towards_safety)
    return draft, (action,)


def _would_go_dark(entries: tuple[RouteEntry, ...], route: RouteFacts) -> bool:
    """Never take the last weight out of a rule that serves: the version that had it is not known any more."""
    return any(entry.weight for entry in route.entries) and not any(entry.weight for entry in entries)


def _rises_without_evidence(
    wanted: tuple[RouteEntry, ...], route: RouteFacts, before: RolloutStatus, draft: Draft, situation: Situation
) -> bool:
    """Return whether putting the route right would raise the candidate's weight while its evidence cannot be had.

    After a crash in the midst of a rollback the route is safe already, the status does not say so yet, and the breach
    must be found again first.
    """
    run = draft.mode
    if not isinstance(run, Running) or run.planned is None:
        return False
    facts = situation.observed.versions.get(run.candidate.version)
    if facts is None or facts.backend is None or _roles(before) != _roles(draft.status):
        return False
    key = backend_key(facts.backend)
    if shares_of(wanted, (key,))[key] <= shares_of(route.entries, (key,))[key]:
        return False
    return len(situation.judged) < len(run.planned.abort_on) or any(one.cause in UNASKED for one in situation.judged)


def _drifted(wanted: tuple[RouteEntry, ...], route: RouteFacts, before: RolloutStatus, after: RolloutStatus) -> bool:
    """Return whether somebody else has changed the weights; what the operator wrote before a crash is no drift."""
    if route.written_by == FIELD_MANAGER:
        return False
    confirmed = find_condition(before.conditions, ConditionType.TRAFFIC_CONFIRMED)
    if confirmed is None or confirmed.status is not ConditionStatus.TRUE or _roles(before) != _roles(after):
        return False
    return {e.key: e.weight for e in wanted if e.weight} != {e.key: e.weight for e in route.entries if e.weight}


def _roles(status: RolloutStatus) -> tuple[str, str, float]:
    candidate, stable = status.candidate, status.stable
    return (
        stable.version if stable is not None else "",
        candidate.version if candidate is not None else "",
        candidate.weight if candidate is not None else 0.0,
    )
