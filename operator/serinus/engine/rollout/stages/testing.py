"""The tests of a stage: which to ask for, and what came of them."""

from msgspec import structs

from serinus.api.rollout import Stage
from serinus.api.rollout_status import StageState, TestResult, TestStatus
from serinus.api.stage_tests import IntegrationTest
from serinus.engine.rollout import job_tests
from serinus.engine.rollout.actions import RunHttpTest, RunJobTest, TestRun
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, PlannedSituation
from serinus.engine.rollout.modes import Running
from serinus.engine.rollout.observation import TestOutcome, VersionFacts
from serinus.engine.rollout.stages.preparation import gone
from serinus.engine.rollout.tested_content import content_of
from serinus.engine.rollout.traffic.targets import usable


def run_tests(draft: Draft, run: Running, stage: Stage, situation: PlannedSituation) -> Draft:
    """Run the stage's tests, all at once; a failed one never gets here: it is a cause for a rollback."""
    facts = usable(situation.observed, run.candidate.version)
    if facts is None:
        return draft.with_waiting(gone(run.candidate.version))
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
        content=content_of(test),
    )
    if test.http is not None:
        return (RunHttpTest(identity=identity, check=test.http),)
    return (RunJobTest(identity=identity, test=test.job),) if test.job is not None else ()
