"""The evidence of a stage: when its clock begins, how long it watches, and what it needs to pass."""

from datetime import datetime, timedelta

from serinus.api.rollout import Stage, WarmUp
from serinus.api.rollout_status import CurrentStage, StageState
from serinus.api.verdict import Cause
from serinus.engine.analysis.assessment import Progress, missing_requests_in
from serinus.engine.analysis.guards import baselines_of
from serinus.engine.rollout import approvals
from serinus.engine.rollout.conditions import UNASKED
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, PlannedSituation
from serinus.engine.rollout.modes import Running
from serinus.engine.rollout.stages.following import following_stage, needs_approval
from serinus.engine.rollout.stages.preparation import no_rollback_target, unchecked_candidate, unready_candidate
from serinus.engine.rollout.traffic.confirmation import share_mismatch, unconfirmed
from serinus.engine.rollout.traffic.mirrors import is_called
from serinus.engine.rollout.waiting import Waiting, WaitReason


def warm_up(draft: Draft, run: Running, stage: Stage, situation: PlannedSituation) -> Draft:
    """Let the stage's clock and its evidence begin when the version is warm."""
    now = situation.now
    if stage.warmup is None:
        # Somebody took it out of the plan: what the stage has counted since it began stays valid.
        return draft.to_state(run.stage, StageState.ANALYZING, now)
    cold = _not_warm(run, stage.warmup, situation)
    if cold is not None:
        return draft.with_waiting(cold)
    current = CurrentStage(
        index=run.stage.index, name=stage.name, state=StageState.ANALYZING, since=now, state_since=now
    )
    message = f"Stage {stage.name} is warmed up: its {stage.watch} begin now."
    return draft.with_status(stage=current, evidence=()).with_event(EventReason.WARMED_UP, message)


def _not_warm(run: Running, warmup: WarmUp, situation: PlannedSituation) -> Waiting | None:
    unready = unready_candidate(run.candidate.version, situation)
    if unready is not None:
        return unready
    if warmup.ready_for is not None:
        left = warmup.ready_for.value - run.stage.elapsed_in_state(situation.now)
        if left <= timedelta(0):
            return None
        until = situation.now + left
        return Waiting(WaitReason.WARMING_UP, f"Stage {run.stage.name} warms up until {until:%H:%M:%SZ}.", until=until)
    wanted = warmup.requests or 0
    counted = max((reading.own_requests for reading in situation.observed.readings), default=0.0)
    if counted >= wanted:
        return None
    message = f"Stage {run.stage.name} warms up: {counted:,.0f} of {wanted:,} requests have been counted."
    return Waiting(WaitReason.WARMING_UP, message)


def analyze(draft: Draft, run: Running, stage: Stage, situation: PlannedSituation) -> Draft:
    """Watch for as long as the stage says, then pass only on evidence."""
    left = stage.watch.value - run.stage.elapsed_in_state(situation.now)
    end = situation.now + left
    watched = is_called(stage, draft.status)
    if left > timedelta(0) and watched and not approvals.given(draft.status, situation):
        return draft.with_waiting(_watched_for(stage, end, situation))
    lacking = lacking_to_pass(draft, run, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    baselines = baselines_of(situation.observed.readings)
    if baselines:
        draft = draft.with_status(baselines=baselines)
    numbers = "; ".join(f"{one.condition.name} {one.value} of {one.requests:,} requests" for one in situation.written)
    message = f"Stage {stage.name} passed{': ' + numbers if numbers else ''}."
    draft = draft.with_event(EventReason.ANALYSIS_PASSED, message)
    if needs_approval(draft, run, situation):
        draft = draft.to_state(run.stage, StageState.AWAITING_APPROVAL, situation.now)
        return with_approval_asked(draft, following_stage(draft, run, situation))
    return draft.to_state(run.stage, StageState.DONE, situation.now)


def with_approval_asked(draft: Draft, following: Stage | None) -> Draft:
    """Tell that a stage waits for a person."""
    if following is None:
        return draft
    message = f"Stage {following.name} ({following.traffic}) needs a person's approval."
    return draft.with_event(EventReason.AWAITING_APPROVAL, message)


def _watched_for(stage: Stage, end: datetime, situation: PlannedSituation) -> Waiting:
    """Return what the stage waits for that comes last: its end, or what will be there later still or never."""
    message = f"Stage {stage.name} watches until {end:%H:%M:%SZ}."
    longest, last = end - situation.now, None
    for evidence, reading in zip(situation.evidence, situation.observed.readings, strict=False):
        if evidence.cause is None or evidence.guard:
            continue
        expected = _expected_in(evidence.cause, reading, stage)
        if expected > longest:
            longest, last = expected, (evidence.cause, evidence.message)
    if last is None:
        return Waiting(WaitReason.ANALYZING, message, until=end)
    cause, lacking = last
    return Waiting(WaitReason.of_cause(cause), f"{lacking} {message}", until=end)


def _expected_in(cause: Cause, reading: Progress, stage: Stage) -> timedelta:
    """Return in which time a condition will be decided: ``timedelta.max`` where nobody knows, or never."""
    if cause in {Cause.NO_TRAFFIC, Cause.TOO_FEW_REQUESTS}:
        return missing_requests_in(reading, stage)
    # A version that was called for the first time a moment ago has no series yet.
    unknown = cause in UNASKED and cause is not Cause.NO_SERIES
    undecidable = cause is Cause.UNDECIDED and reading.coarse is not None
    return timedelta.max if unknown or undecidable else timedelta(0)


def lacking_to_pass(draft: Draft, run: Running, situation: PlannedSituation) -> Waiting | None:
    """Return what is missing for the stage to pass, or None: evidence, confirmed traffic, a rollback target."""
    for judged, evidence in zip(situation.judged, situation.evidence, strict=True):
        if judged.holds:
            return Waiting(WaitReason((evidence.cause or evidence.verdict).value), evidence.message)
    stage = run.planned
    if stage is not None and is_called(stage, draft.status) and len(situation.written) != len(stage.abort_on):
        return Waiting(WaitReason.EVIDENCE_PENDING, "The metrics of this stage have not been asked yet.")
    return (
        _not_called(situation)
        or unchecked_candidate(run.candidate.version, situation)
        or unconfirmed(situation.spec, draft.status, situation.observed)
        or share_mismatch(draft.status, situation)
        or no_rollback_target(draft, run, situation)
    )


def _not_called(situation: PlannedSituation) -> Waiting | None:
    """Return that the version has not been called, where only values of named queries speak for it.

    Such a value may be there without a single request, ``vector(0)`` for one; the guards know of requests.
    """
    if any(one.condition.tolerated is not None for one in situation.written):
        return None
    guards = [one for one in situation.judged if one.guard]
    if not guards or any(one.requests > 0 or one.cause is not Cause.NO_TRAFFIC for one in guards):
        return None
    return Waiting(WaitReason.NO_TRAFFIC, guards[0].message)
