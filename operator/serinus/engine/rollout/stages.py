"""The stages of a run: prepare, shift, test, analyse, await approval, done."""

from datetime import datetime, timedelta
from typing import assert_never

from msgspec import structs

from serinus.api.quantities import NONE_OF_IT
from serinus.api.rollout import Approval, Stage, WarmUp
from serinus.api.rollout_status import CurrentStage, StageState, TestResult, TestStatus
from serinus.api.stage_tests import IntegrationTest
from serinus.api.verdict import Cause
from serinus.engine.analysis.assessment import missing_requests_in
from serinus.engine.analysis.guards import baselines_of
from serinus.engine.rollout import approvals, job_tests
from serinus.engine.rollout.actions import RunHttpTest, RunJobTest, TestRun
from serinus.engine.rollout.conditions import UNASKED
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, PlannedSituation
from serinus.engine.rollout.modes import Running
from serinus.engine.rollout.observation import RouteFacts, TestOutcome, VersionFacts
from serinus.engine.rollout.runs import promote
from serinus.engine.rollout.traffic.confirmation import planned, share_mismatch, unconfirmed
from serinus.engine.rollout.traffic.route_plan import Unplannable
from serinus.engine.rollout.traffic.targets import choose_target, is_ready, unfit, usable
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
            return structs.replace(_prepare(draft, after, after.planned, situation), requeue_now=True)
        if after.stage.since != before.since:
            # What was read until now is the warm-up's.
            return structs.replace(draft, requeue_now=True)
    return draft


def _step(draft: Draft, run: Running, stage: Stage, situation: PlannedSituation) -> Draft:
    match run.stage.state:
        case StageState.PREPARING:
            return _prepare(draft, run, stage, situation)
        case StageState.SHIFTING:
            return _shift(draft, run, situation)
        case StageState.TESTING:
            return _test(draft, run, stage, situation)
        case StageState.WARMING_UP:
            return _warm_up(draft, run, stage, situation)
        case StageState.ANALYZING:
            return _analyze(draft, run, stage, situation)
        case StageState.AWAITING_APPROVAL:
            return _await_approval(draft, run, situation)
        case StageState.DONE:
            return _enter_next(draft, run, situation)
        case _:
            assert_never(run.stage.state)


def _prepare(draft: Draft, run: Running, stage: Stage, situation: PlannedSituation) -> Draft:
    """Give the stage its traffic once the candidate, and the version that would take it back, are ready."""
    candidate = run.candidate
    lacking = job_tests.disabled((stage,), situation.observed) or _unready_candidate(candidate.version, situation)
    if lacking is None and stage.traffic > NONE_OF_IT:
        lacking = _no_rollback_target(draft, run, situation)
    moved = structs.replace(candidate, weight=stage.traffic.parts / 100)
    shifted = draft.with_status(candidate=moved).to_state(run.stage, StageState.SHIFTING, situation.now)
    lacking = lacking or _too_coarse(shifted, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    return shifted


def _unready_candidate(version: str, situation: PlannedSituation) -> Waiting | None:
    facts = usable(situation.observed, version)
    if facts is None or facts.backend is None:
        return _gone(version)
    if not is_ready(facts):
        message = f"Waiting for a ready endpoint of {facts.backend.name} ({version})."
        return Waiting(WaitReason.BACKEND_NOT_READY, message)
    return None


def _gone(version: str) -> Waiting:
    message = f"The ModelVersion of {version} is gone or unusable: apply it again."
    return Waiting(WaitReason.MODEL_VERSION_MISSING, message)


def _no_rollback_target(draft: Draft, run: Running, situation: PlannedSituation) -> Waiting | None:
    """Return why no weight may rise: there is a version that serves well, and it could not take the traffic back.

    A stable version that is known to be bad holds nobody up: it serves only because nothing else could.
    """
    stable = draft.status.stable
    if stable is None:
        return None
    if situation.plan.rollback_to is None and unfit(stable.version, draft.status, situation.observed):
        return None
    wanted = situation.plan.rollback_to or stable.version
    choice = choose_target(situation.spec, draft.status, situation.observed, run.candidate.version)
    if choice.version == wanted and wanted in situation.observed.versions:
        return None
    why = dict(choice.passed_over).get(wanted) or "has no ModelVersion any more"
    message = f"Waiting for the rollback target {wanted}, which {why}. Nothing advances without it."
    return Waiting(WaitReason.ROLLBACK_TARGET_NOT_READY, message)


def _too_coarse(draft: Draft, situation: PlannedSituation) -> Waiting | None:
    route = situation.observed.route
    if not isinstance(route, RouteFacts):
        return Waiting(route.reason, route.message)
    entries = planned(situation.spec, draft.status, situation.observed, route)
    return Waiting(entries.reason, entries.message) if isinstance(entries, Unplannable) else None


def _shift(draft: Draft, run: Running, situation: PlannedSituation) -> Draft:
    """Believe the weight when every parent has accepted the route that shows it."""
    problem = unconfirmed(situation.spec, draft.status, situation.observed)
    if problem is not None:
        return draft.with_waiting(problem)
    shifted = draft.to_state(run.stage, StageState.TESTING, situation.now)
    if not run.candidate.weight:
        return shifted
    share = f"{run.candidate.version} has {run.candidate.weight:g}%"
    return shifted.with_event(
        EventReason.TRAFFIC_SHIFTED, f"{share}: the gateway has accepted it (stage {run.stage.name})."
    )


def _test(draft: Draft, run: Running, stage: Stage, situation: PlannedSituation) -> Draft:
    """Run the stage's tests, all at once; a failed one never gets here: it is a cause for a rollback."""
    facts = usable(situation.observed, run.candidate.version)
    if facts is None:
        return draft.with_waiting(_gone(run.candidate.version))
    for test in stage.tests:
        known = job_tests.known_test(draft.status, test.name)
        if known is not None and known.result is TestResult.PASSED:
            continue
        outcome = situation.observed.tests.get(test.name)
        if outcome is None:
            draft = _await_end(draft, test, run, facts, situation)
        elif job_tests.never_ran(outcome, known):
            draft = job_tests.timed_out(draft, test.name, outcome, situation)
        elif outcome.result is TestResult.PASSED:
            draft = _passed(draft, test.name, stage.name, outcome, situation)
        else:
            # It ended before this state began (a Job, seen after a restart): the next decision finds the cause.
            return structs.replace(draft, requeue_now=True)
    names = tuple(test.name for test in stage.tests)
    waiting = job_tests.awaited(draft, run, names, situation)
    following = StageState.ANALYZING if stage.warmup is None else StageState.WARMING_UP
    return draft.with_waiting(waiting) if waiting else draft.to_state(run.stage, following, situation.now)


def _passed(draft: Draft, name: str, stage: str, outcome: TestOutcome, situation: PlannedSituation) -> Draft:
    passed = TestStatus(
        name=name, result=outcome.result, message=outcome.message, at=situation.now, job_uid=outcome.uid
    )
    draft = job_tests.with_test(draft, passed)
    message = f"Test {name} of stage {stage}: {outcome.message}"
    return draft.with_event(EventReason.TEST_PASSED, message, details=outcome.details(name, stage))


def _await_end(
    draft: Draft, test: IntegrationTest, run: Running, facts: VersionFacts, situation: PlannedSituation
) -> Draft:
    """Ask for a test that has not ended: an HTTP check each time, a Job only where there is none."""
    await_end = job_tests.await_job if test.job is not None else job_tests.await_check
    draft, wanted = await_end(draft, test.name, situation)
    actions = _runs(test, run, facts, draft, situation) if wanted else ()
    return structs.replace(draft, tests=(*draft.tests, *actions))


def _runs(
    test: IntegrationTest, run: Running, facts: VersionFacts, draft: Draft, situation: PlannedSituation
) -> tuple[RunHttpTest | RunJobTest, ...]:
    """Return the action that runs the test; the schema makes sure that it is either an HTTP check or a Job."""
    if facts.backend is None:
        return ()
    identity = TestRun(
        run=draft.status.run,
        stage=run.stage.name,
        test=test.name,
        model=situation.plan.model,
        version=facts.version,
        backend=facts.backend,
    )
    if test.http is not None:
        return (RunHttpTest(identity=identity, check=test.http),)
    return (RunJobTest(identity=identity, test=test.job),) if test.job is not None else ()


def _warm_up(draft: Draft, run: Running, stage: Stage, situation: PlannedSituation) -> Draft:
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
    unready = _unready_candidate(run.candidate.version, situation)
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


def _analyze(draft: Draft, run: Running, stage: Stage, situation: PlannedSituation) -> Draft:
    """Watch for as long as the stage says, then pass only on evidence."""
    left = stage.watch.value - run.stage.elapsed_in_state(situation.now)
    end = situation.now + left
    if left > timedelta(0) and not approvals.given(draft.status, situation):
        return draft.with_waiting(_watched_for(stage, end, situation))
    lacking = _lacking_to_pass(draft, run, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    baselines = baselines_of(situation.observed.readings)
    if baselines:
        draft = draft.with_status(baselines=baselines)
    following = _following(draft, run, situation)
    numbers = "; ".join(f"{one.condition.name} {one.value} of {one.requests:,} requests" for one in situation.written)
    message = f"Stage {stage.name} passed{': ' + numbers if numbers else ''}."
    draft = draft.with_event(EventReason.ANALYSIS_PASSED, message)
    if following is not None and _needs_approval(draft, run, situation):
        draft = draft.to_state(run.stage, StageState.AWAITING_APPROVAL, situation.now)
        message = f"Stage {following.name} ({following.traffic}) needs a person's approval."
        return draft.with_event(EventReason.AWAITING_APPROVAL, message)
    return draft.to_state(run.stage, StageState.DONE, situation.now)


def _watched_for(stage: Stage, end: datetime, situation: PlannedSituation) -> Waiting:
    """Return what the stage waits for that comes last: its end, or what will be there later still or never."""
    message = f"Stage {stage.name} watches until {end:%H:%M:%SZ}."
    for evidence, reading in zip(situation.evidence, situation.observed.readings, strict=False):
        undecidable = evidence.cause is Cause.UNDECIDED and reading.coarse is not None
        late = evidence.cause in {Cause.NO_TRAFFIC, Cause.TOO_FEW_REQUESTS}
        late = late and missing_requests_in(reading, stage) > end - situation.now
        # A version that was called for the first time a moment ago has no series yet.
        unknown = evidence.cause in UNASKED and evidence.cause is not Cause.NO_SERIES
        if evidence.cause is not None and not evidence.guard and (undecidable or late or unknown):
            return Waiting(WaitReason.of_cause(evidence.cause), f"{evidence.message} {message}", until=end)
    return Waiting(WaitReason.ANALYZING, message, until=end)


def _lacking_to_pass(draft: Draft, run: Running, situation: PlannedSituation) -> Waiting | None:
    """Return what is missing for the stage to pass, or None: evidence, confirmed traffic, a rollback target."""
    for judged, evidence in zip(situation.judged, situation.evidence, strict=True):
        if judged.holds:
            return Waiting(WaitReason((evidence.cause or evidence.verdict).value), evidence.message)
    if run.planned is not None and len(situation.written) != len(run.planned.abort_on):
        return Waiting(WaitReason.EVIDENCE_PENDING, "The metrics of this stage have not been asked yet.")
    return (
        _not_called(situation)
        or unconfirmed(situation.spec, draft.status, situation.observed)
        or share_mismatch(draft.status, situation)
        or _no_rollback_target(draft, run, situation)
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


def _following(draft: Draft, run: Running, situation: PlannedSituation) -> Stage | None:
    """Return the next stage; None where the run is at its last one."""
    index = _following_index(draft, run, situation)
    return situation.plan.stages[index] if index is not None else None


def _following_index(draft: Draft, run: Running, situation: PlannedSituation) -> int | None:
    """Return the next stage's index: without a stable version a share between 0 % and 100 % has no meaning."""
    stages = situation.plan.stages
    for index in range(run.stage.index + 1, len(stages)):
        if draft.status.stable is not None or stages[index].traffic == NONE_OF_IT or index == len(stages) - 1:
            return index
    return None


def _needs_approval(draft: Draft, run: Running, situation: PlannedSituation) -> bool:
    """Return whether a person must let the run into the next stage, or into one that is passed over before it."""
    index = _following_index(draft, run, situation)
    end = index + 1 if index is not None else 0
    return any(stage.approval is Approval.REQUIRED for stage in situation.plan.stages[run.stage.index + 1 : end])


def _await_approval(draft: Draft, run: Running, situation: PlannedSituation) -> Draft:
    """Wait until a person has promoted the run in this state; the evidence must still hold then."""
    draft = approvals.expire(draft, situation)
    following = _following(draft, run, situation)
    name = following.name if following is not None else ""
    if not approvals.given(draft.status, situation):
        message = f"Stage {name} needs approval: annotate the Rollout with serinus.dev/promote=<reason>."
        return draft.with_waiting(Waiting(WaitReason.AWAITING_APPROVAL, message))
    lacking = _lacking_to_pass(draft, run, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    return draft.to_state(run.stage, StageState.DONE, situation.now)


def _enter_next(draft: Draft, run: Running, situation: PlannedSituation) -> Draft:
    """Enter the next stage, or end the run."""
    lacking = _lacking_to_pass(draft, run, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    index = _following_index(draft, run, situation)
    if index is None:
        return promote(draft, run.candidate, situation)
    stage, now = situation.plan.stages[index], situation.now
    current = CurrentStage(index=index, name=stage.name, state=StageState.PREPARING, since=now, state_since=now)
    entered = draft.with_status(stage=current, evidence=(), tests=())
    if stage.traffic > NONE_OF_IT and run.candidate.weight > 0:
        # The weight rises on evidence of this moment: what the next stage lacks is awaited in this one.
        lacking = _prepare(entered, Running(run.candidate, current, stage), stage, situation).waiting
        if lacking is not None:
            return draft.with_waiting(lacking)
    return entered
