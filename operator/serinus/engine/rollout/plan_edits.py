"""Edits of the plan while a run is under way: who changed by what the version is judged, for the audit trail."""

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import Running
from serinus.engine.rollout.observation import InvalidSpec
from serinus.engine.rollout.outbox import backlog
from serinus.engine.rollout.recorded_plan import recorded_plan


def note_edit(draft: Draft, spec: RolloutSpec | InvalidSpec, before: RolloutStatus, situation: Situation) -> Draft:
    """Record that the plan of the run that goes on is another one than the records know.

    A run that began before this was kept is left alone, and so is one whose edit ends it: that has a record already.
    While too much waits for the registry it is recorded later.
    """
    run, generation = draft.mode, situation.observed.generation
    goes_on = isinstance(run, Running) and draft.status.run == before.run
    if not goes_on or isinstance(spec, InvalidSpec) or before.plan_generation in {0, generation}:
        return draft
    if backlog(draft.status) is not None:
        return draft
    by = situation.observed.actors.spec_by
    return draft.with_status(plan_generation=generation).with_event(
        EventReason.PLAN_CHANGED,
        _sentence(run, before),
        by=by,
        why=situation.reason_for(by),
        details=(*recorded_plan(spec), ("former", str(before.plan_generation)), ("generation", str(generation))),
    )


def _sentence(run: object, before: RolloutStatus) -> str:
    """Say which limits the stage under way has now, and which it was judged by until now."""
    if not isinstance(run, Running) or run.planned is None:
        return "The plan was changed while the run is under way."
    stage = run.planned
    judged = tuple(one.condition for one in before.evidence if not one.guard)
    limits = tuple(parse_abort_condition(line).text for line in stage.abort_on)
    said = f"The plan was changed while the run is in stage {stage.name}, which has now {_listed(limits)}"
    return f"{said}." if not judged or judged == limits else f"{said} and was judged by {_listed(judged)}."


def _listed(limits: tuple[str, ...]) -> str:
    return f"the limits {', '.join(limits)}" if limits else "no limits"
