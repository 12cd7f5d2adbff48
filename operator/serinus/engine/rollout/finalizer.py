"""When a Rollout has our finalizer: while its candidate has traffic or its records are not delivered, else not."""

from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import SetFinalizer
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import Running, Stranded, mode_of
from serinus.engine.rollout.traffic.facts import RouteFacts
from serinus.engine.rollout.traffic.targets import place_of


def finalizer_change(draft: Draft, before: RolloutStatus, situation: Situation) -> SetFinalizer | None:
    """Return the change of the finalizer that the decision needs; None where it is as it should be.

    It is put on before a candidate gets weight or copies of requests, and taken off only when nothing is left that a
    deletion would lose.
    An object that is being deleted cannot get a finalizer any more.
    """
    observed = situation.observed
    if observed.has_finalizer:
        return None if _is_needed(draft, before, situation) else SetFinalizer(present=False)
    if observed.deleted or not _is_needed(draft, before, situation):
        return None
    return SetFinalizer(present=True)


def _is_needed(draft: Draft, before: RolloutStatus, situation: Situation) -> bool:
    observed = situation.observed
    records = (*before.records, *draft.status.records)
    undelivered = any(record.id not in observed.audit.recorded for record in records)
    if undelivered and not (observed.deleted and observed.namespace_terminating):
        return True
    return _has_traffic(draft.status, observed_before=before, situation=situation)


def _has_traffic(status: RolloutStatus, *, observed_before: RolloutStatus, situation: Situation) -> bool:
    """Return whether a version on trial has weight or copies, as the status wants it or as the route still shows it."""
    candidate, route = status.candidate, situation.observed.route
    on_trial = candidate if isinstance(mode_of(status), Running | Stranded) else None
    if on_trial is not None and (on_trial.weight > 0 or on_trial.mirror is not None):
        return True
    if isinstance(route, RouteFacts) and route.mirrors:
        return True
    trial = observed_before.candidate
    if trial is None or not isinstance(route, RouteFacts):
        return False
    if status.stable is not None and status.stable.version == trial.version:
        return False
    place = place_of(trial.version, observed_before, situation.observed)
    return place is not None and any(entry.weight for entry in route.entries if entry.key == place.key)
