"""The walk through the stages of a run: prepare, shift, test, warm up, analyse, await approval, done."""

from typing import assert_never

from msgspec import structs

from serinus.api.quantities import NONE_OF_IT
from serinus.api.rollout import Stage
from serinus.api.rollout_status import CurrentStage, StageState
from serinus.engine.rollout import approvals
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, PlannedSituation
from serinus.engine.rollout.modes import Running
from serinus.engine.rollout.runs import promote
from serinus.engine.rollout.stages.analysis import analyze, lacking_to_pass, warm_up, with_approval_asked
from serinus.engine.rollout.stages.following import following_index, following_stage, needs_approval
from serinus.engine.rollout.stages.preparation import prepare
from serinus.engine.rollout.stages.testing import run_tests
from serinus.engine.rollout.traffic.confirmation import unconfirmed
from serinus.engine.rollout.waiting import Waiting, WaitReason


def walk(draft: Draft, situation: PlannedSituation) -> Draft:
    """Take every step of the run that the facts of this moment allow; nothing where no run is under way.

    The walk ends where something is awaited, where the run ends, and at the next stage's new weight: the readings and
    tests of this moment are those of the stage before.
    """
    while isinstance(draft.mode, Running) and draft.mode.planned is not None:
        before = draft.mode.stage
        draft = _step(draft, draft.mode, draft.mode.planned, situation)
        after = draft.mode
        if not isinstance(after, Running) or after.stage == before:
            break
        if after.stage.index != before.index and after.planned is not None:
            return structs.replace(prepare(draft, after, after.planned, situation), requeue_now=True)
        if after.stage.since != before.since:
            # What was read until now is the warm-up's.
            return structs.replace(draft, requeue_now=True)
    return draft


def _step(draft: Draft, run: Running, stage: Stage, situation: PlannedSituation) -> Draft:
    match run.stage.state:
        case StageState.PREPARING:
            return prepare(draft, run, stage, situation)
        case StageState.SHIFTING:
            return _shift(draft, run, situation)
        case StageState.TESTING:
            return run_tests(draft, run, stage, situation)
        case StageState.WARMING_UP:
            return warm_up(draft, run, stage, situation)
        case StageState.ANALYZING:
            return analyze(draft, run, stage, situation)
        case StageState.AWAITING_APPROVAL:
            return _await_approval(draft, run, situation)
        case StageState.DONE:
            return _enter_next(draft, run, situation)
        case _:
            assert_never(run.stage.state)


def _shift(draft: Draft, run: Running, situation: PlannedSituation) -> Draft:
    """Believe the weight when every parent has accepted the route that shows it."""
    problem = unconfirmed(situation.spec, draft.status, situation.observed)
    if problem is not None:
        return draft.with_waiting(problem)
    shifted = draft.to_state(run.stage, StageState.TESTING, situation.now)
    if not run.candidate.weight and run.candidate.mirror is None:
        return shifted
    share = f"{run.candidate.version} has {run.candidate.weight:g}%"
    if run.candidate.mirror is not None:
        share = f"{run.candidate.version} gets copies of {run.candidate.mirror:g}% of the requests"
    return shifted.with_event(
        EventReason.TRAFFIC_SHIFTED, f"{share}: the gateway has accepted it (stage {run.stage.name})."
    )


def _await_approval(draft: Draft, run: Running, situation: PlannedSituation) -> Draft:
    """Wait until a person has promoted the run in this state; the evidence must still hold then."""
    draft = approvals.expire(draft, situation)
    following = following_stage(draft, run, situation)
    name = following.name if following is not None else ""
    if not approvals.given(draft.status, situation):
        message = f"Stage {name} needs approval: annotate the Rollout with serinus.dev/promote=<reason>."
        return draft.with_waiting(Waiting(WaitReason.AWAITING_APPROVAL, message))
    lacking = lacking_to_pass(draft, run, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    return draft.to_state(run.stage, StageState.DONE, situation.now)


def _enter_next(draft: Draft, run: Running, situation: PlannedSituation) -> Draft:
    """Enter the next stage, or end the run."""
    gated = needs_approval(draft, run, situation)
    if gated and not approvals.still_holds(draft.status, situation):
        return _ask_again(draft, run, situation)
    lacking = lacking_to_pass(draft, run, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    index = following_index(draft, run, situation)
    if index is None:
        return promote(draft, run.candidate, situation)
    stage, now = situation.plan.stages[index], situation.now
    current = CurrentStage(index=index, name=stage.name, state=StageState.PREPARING, since=now, state_since=now)
    # The copies end with the stage, also where the next one has to wait.
    trial = structs.replace(run.candidate, mirror=None)
    entered = draft.with_status(stage=current, candidate=trial, evidence=(), tests=())
    if stage.traffic > NONE_OF_IT and (run.candidate.weight > 0 or gated):
        # The weight rises on evidence and approvals of this moment: what the next stage lacks is awaited in this one.
        lacking = prepare(entered, Running(trial, current, stage), stage, situation).waiting
        if lacking is not None:
            return draft.with_waiting(lacking)
    return entered


def _ask_again(draft: Draft, run: Running, situation: PlannedSituation) -> Draft:
    """Have a person let the run go on whose plan or artifact has changed since the stage was done."""
    draft = approvals.expire_all(draft, situation)
    draft = draft.to_state(run.stage, StageState.AWAITING_APPROVAL, situation.now)
    return with_approval_asked(draft, following_stage(draft, run, situation))
