"""The write that makes a managed route mirror what the status says, and nothing else."""

from serinus.api.names import FIELD_MANAGER
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import SetMirror
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.traffic.confirmation import route_in_use
from serinus.engine.rollout.traffic.corrections import Correction, by_whom, correct
from serinus.engine.rollout.traffic.facts import RouteFacts
from serinus.engine.rollout.traffic.mirrors import mirrors_of
from serinus.engine.rollout.traffic.targets import on_trial, our_backends


def mirror_writes(draft: Draft, before: RolloutStatus, situation: Situation) -> tuple[Draft, tuple[SetMirror, ...]]:
    """Return the write that makes the rule mirror what the status says; none where it does already.

    Whatever ends the stage of a mirror, the status has none then, so that the write takes it out of the route.
    """
    observed, route = situation.observed, situation.observed.route
    # The route that was observed: a run that leaves it for another one clears it first.
    ref = route_in_use(situation.spec, before)
    if ref is None or not isinstance(route, RouteFacts) or route.mirrors is None:
        return draft, ()
    wanted = mirrors_of(draft.status, observed)
    if wanted == route.mirrors or (wanted and observed.conflict):
        return draft, ()
    if wanted == mirrors_of(before, observed) and route.written_by != FIELD_MANAGER:
        draft, contested = correct(draft, _correction(route), situation)
        if contested and wanted:
            return draft, ()
    action = SetMirror(
        route=ref,
        mirror=next(iter(wanted), None),
        ours=our_backends(observed, draft.status, before),
        on_trial=on_trial(before),
    )
    return draft, (action,)


def _correction(route: RouteFacts) -> Correction:
    who = by_whom(route.written_by)
    return Correction(
        EventReason.ROUTE_CORRECTED,
        f"The route's mirror was changed{who}: put right by the plan's stage.",
        f"The route's mirror is changed again and again{who}: it is put right once a minute. "
        "Change the mirror of the stage instead.",
    )
