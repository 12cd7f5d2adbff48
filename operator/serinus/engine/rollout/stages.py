"""The walk of a run through its stages: prepare, shift, test, analyse, ask a person, done."""

from dataclasses import replace
from typing import assert_never

from msgspec import structs

from serinus.api.quantities import NONE_OF_IT
from serinus.api.rollout import Approval, Stage
from serinus.api.rollout_status import CurrentStage, StageState, TestResult, TestStatus
from serinus.api.stage_tests import IntegrationTest
from serinus.api.verdict import Verdict
from serinus.engine.rollout import approvals
from serinus.engine.rollout.actions import RunHttpTest, RunJobTest, TestRun
from serinus.engine.rollout.confirmation import planned, share_mismatch, unconfirmed
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation, Waiting
from serinus.engine.rollout.observation import RouteFacts
from serinus.engine.rollout.route_plan import TooCoarse
from serinus.engine.rollout.runs import promote
from serinus.engine.rollout.targets import is_ready, rollback_target, usable


def walk(draft: Draft, situation: Situation) -> Draft:
    """Take every step that the facts of this moment allow.

    The walk ends where something is awaited, where the run ends, and at the next stage's new weight: the readings and
    tests of this moment are those of the stage before.
    """
    while draft.status.stage is not None:
        before = draft.status.stage
        draft = _step(draft, situation, _planned(draft, situation))
        after = draft.status.stage
        if after is None or after == before:
            break
        if after.index != before.index:
            return replace(_prepare(draft, situation, _planned(draft, situation)), requeue_now=True)
    return draft


def _planned(draft: Draft, situation: Situation) -> Stage:
    stage = situation.stage(draft.status)
    assert stage is not None  # noqa: S101 - decide() leaves a run whose plan has changed
    return stage


def _step(draft: Draft, situation: Situation, stage: Stage) -> Draft:
    assert draft.status.stage is not None  # noqa: S101 - the caller has looked
    match draft.status.stage.state:
        case StageState.PREPARING:
            return _prepare(draft, situation, stage)
        case StageState.SHIFTING:
            return _shift(draft, situation)
        case StageState.TESTING:
            return _test(draft, situation, stage)
        case StageState.ANALYZING:
            return _analyze(draft, situation, stage)
        case StageState.AWAITING_APPROVAL:
            return _await_approval(draft, situation)
        case StageState.DONE:
            return _go_on(draft, situation)
        case _:
            assert_never(draft.status.stage.state)


def _prepare(draft: Draft, situation: Situation, stage: Stage) -> Draft:
    """Give the stage its traffic once the candidate, and the version that would take it back, are ready."""
    candidate = draft.status.candidate
    assert candidate is not None  # noqa: S101 - a run has one
    lacking = _unready_candidate(candidate.version, situation)
    if lacking is None and stage.traffic > NONE_OF_IT:
        lacking = _no_way_back(draft, situation)
    moved = structs.replace(candidate, weight=stage.traffic.parts / 100)
    shifted = draft.with_status(candidate=moved).to_state(StageState.SHIFTING, situation.now)
    lacking = lacking or _too_coarse(shifted, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    story = f"{candidate.version} {candidate.weight:g}% -> {moved.weight:g}% (stage {stage.name})."
    return shifted if moved.weight == candidate.weight else shifted.with_event(EventReason.WEIGHT_CHANGED, story)


def _unready_candidate(version: str, situation: Situation) -> Waiting | None:
    facts = usable(situation.observed, version)
    if facts is None or facts.backend is None:
        return _gone(version)
    if not is_ready(facts):
        return Waiting("BackendNotReady", f"Waiting for a ready endpoint of {facts.backend.name} ({version}).")
    return None


def _gone(version: str) -> Waiting:
    return Waiting("ModelVersionMissing", f"The ModelVersion of {version} is gone or unusable: apply it again.")


def _no_way_back(draft: Draft, situation: Situation) -> Waiting | None:
    """Return why no weight may rise: there is a version that serves well, and it could not take the traffic back."""
    stable, candidate = draft.status.stable, draft.status.candidate
    if stable is None or candidate is None:
        return None
    wanted = situation.plan.rollback_to or stable.version
    target = rollback_target(situation.spec, draft.status, situation.observed, candidate.version)
    if target == wanted and is_ready(situation.observed.versions[target]):
        return None
    return Waiting(
        "RollbackTargetNotReady",
        f"Waiting for the rollback target {wanted}: it needs a ModelVersion with a backend that has a ready endpoint.",
    )


def _too_coarse(draft: Draft, situation: Situation) -> Waiting | None:
    route = situation.observed.route
    if not isinstance(route, RouteFacts):
        return Waiting(route.reason, route.message)
    entries = planned(situation.spec, draft.status, situation.observed, route)
    return Waiting("WeightsTooCoarse", entries.message, stalled=True) if isinstance(entries, TooCoarse) else None


def _shift(draft: Draft, situation: Situation) -> Draft:
    """Believe the weight when every parent has accepted the route that shows it."""
    problem = unconfirmed(situation.spec, draft.status, situation.observed)
    if problem is not None:
        return draft.with_waiting(problem)
    candidate, stage = draft.status.candidate, draft.status.stage
    assert candidate is not None  # noqa: S101 - a run has one
    assert stage is not None  # noqa: S101 - likewise
    story = f"{candidate.version} has {candidate.weight:g}%: the gateway has accepted it (stage {stage.name})."
    return draft.to_state(StageState.TESTING, situation.now).with_event(EventReason.TRAFFIC_SHIFTED, story)


def _test(draft: Draft, situation: Situation, stage: Stage) -> Draft:
    """Run the stage's tests, all at once; a failed one never gets here: it is a fault."""
    candidate = draft.status.candidate
    assert candidate is not None  # noqa: S101 - a run has one
    if usable(situation.observed, candidate.version) is None:
        return draft.with_waiting(_gone(candidate.version))
    ended = {test.name: test for test in draft.status.tests}
    for test in stage.tests:
        outcome = situation.observed.tests.get(test.name)
        if test.name in ended:
            continue
        if outcome is None:
            draft = replace(draft, tests=(*draft.tests, _run(test, draft, situation)))
            continue
        if outcome.result is TestResult.FAILED:
            # It ended before this state began (a Job, seen after a restart): the next look finds the fault.
            return replace(draft, requeue_now=True)
        ended[test.name] = TestStatus(name=test.name, result=outcome.result, message=outcome.message, at=situation.now)
        draft = draft.with_event(EventReason.TEST_PASSED, f"Test {test.name} of stage {stage.name}: {outcome.message}")
    draft = draft.with_status(tests=tuple(ended.values()))
    missing = [test.name for test in stage.tests if test.name not in ended]
    if missing:
        return draft.with_waiting(
            Waiting("Testing", f"Waiting for the tests {', '.join(missing)} of stage {stage.name}.")
        )
    return draft.to_state(StageState.ANALYZING, situation.now)


def _run(test: IntegrationTest, draft: Draft, situation: Situation) -> RunHttpTest | RunJobTest:
    status = draft.status
    facts = usable(situation.observed, status.candidate.version) if status.candidate is not None else None
    assert status.stage is not None  # noqa: S101 - a run is in a stage
    assert facts is not None  # noqa: S101 - _test has seen the backend
    assert facts.backend is not None  # noqa: S101 - likewise
    identity = TestRun(
        run=status.run,
        stage=status.stage.name,
        test=test.name,
        model=situation.plan.model,
        version=facts.version,
        backend=facts.backend,
    )
    if test.http is not None:
        return RunHttpTest(identity=identity, check=test.http)
    assert test.job is not None  # noqa: S101 - one of the two is given
    return RunJobTest(identity=identity, test=test.job)


def _analyze(draft: Draft, situation: Situation, stage: Stage) -> Draft:
    """Watch for as long as the stage says, then pass only on evidence."""
    current = draft.status.stage
    assert current is not None  # noqa: S101 - the caller has looked
    end = current.state_since + stage.watch.value
    if situation.now < end and not approvals.given(draft.status, situation):
        return draft.with_waiting(Waiting("Analyzing", f"Stage {stage.name} watches until {end:%H:%M:%SZ}.", until=end))
    lacking = lacking_pass(draft, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    following = _following(draft, situation)
    numbers = "; ".join(f"{one.condition.name} {one.value} of {one.requests:,} requests" for one in situation.judged)
    draft = draft.with_event(
        EventReason.ANALYSIS_PASSED, f"Stage {stage.name} passed{': ' + numbers if numbers else ''}."
    )
    if following is not None and following.approval is Approval.REQUIRED:
        story = f"Stage {following.name} ({following.traffic}) needs a person's approval."
        return draft.to_state(StageState.AWAITING_APPROVAL, situation.now).with_event(
            EventReason.AWAITING_APPROVAL, story
        )
    return draft.to_state(StageState.DONE, situation.now)


def lacking_pass(draft: Draft, situation: Situation) -> Waiting | None:
    """Return what is missing for the stage to pass, or None: evidence, confirmed traffic, a way back."""
    for evidence in situation.evidence:
        if evidence.verdict is not Verdict.PASS:
            return Waiting((evidence.cause or evidence.verdict).value, evidence.message)
    stage = situation.stage(draft.status)
    if stage is not None and len(situation.evidence) != len(stage.abort_on):
        return Waiting("EvidencePending", "The metrics of this stage have not been asked yet.")
    return (
        unconfirmed(situation.spec, draft.status, situation.observed)
        or share_mismatch(draft.status, situation)
        or _no_way_back(draft, situation)
    )


def _following(draft: Draft, situation: Situation) -> Stage | None:
    """Return the next stage; without a stable version a share between 0 % and 100 % has no meaning and is left out."""
    index = _following_index(draft, situation)
    return situation.plan.stages[index] if index is not None else None


def _following_index(draft: Draft, situation: Situation) -> int | None:
    assert draft.status.stage is not None  # noqa: S101 - the caller has looked
    stages = situation.plan.stages
    for index in range(draft.status.stage.index + 1, len(stages)):
        if draft.status.stable is not None or stages[index].traffic == NONE_OF_IT or index == len(stages) - 1:
            return index
    return None


def _await_approval(draft: Draft, situation: Situation) -> Draft:
    """Stay until a person has promoted the run in this state; the evidence must still hold then."""
    draft = approvals.expire(draft, situation)
    following = _following(draft, situation)
    name = following.name if following is not None else ""
    if not approvals.given(draft.status, situation):
        message = f"Stage {name} needs approval: annotate the Rollout with serinus.dev/promote=<reason>."
        return draft.with_waiting(Waiting("AwaitingApproval", message))
    lacking = lacking_pass(draft, situation)
    return draft.with_waiting(lacking) if lacking is not None else draft.to_state(StageState.DONE, situation.now)


def _go_on(draft: Draft, situation: Situation) -> Draft:
    """Enter the next stage, or end the run."""
    lacking = lacking_pass(draft, situation)
    if lacking is not None:
        return draft.with_waiting(lacking)
    index = _following_index(draft, situation)
    if index is None:
        return promote(draft, situation)
    stage, now = situation.plan.stages[index], situation.now
    entered = CurrentStage(index=index, name=stage.name, state=StageState.PREPARING, since=now, state_since=now)
    draft = draft.with_status(stage=entered, evidence=(), tests=())
    return draft.with_event(EventReason.STAGE_STARTED, f"Stage {stage.name} ({stage.traffic}) begins.")
