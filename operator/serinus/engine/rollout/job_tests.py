"""Tests until they have ended, mostly those that run as Jobs: what the status keeps, and when one could not run.

A test that could not run says nothing of the version: the run waits, and the version is not quarantined.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from msgspec import structs

from serinus.api.rollout import Stage
from serinus.api.rollout_status import RolloutStatus, StageState, TestResult, TestStatus
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import Running
from serinus.engine.rollout.observation import JobFacts, Observation, TestOutcome
from serinus.engine.rollout.tested_content import UNKNOWN, current_contents
from serinus.engine.rollout.waiting import Waiting, WaitReason

ASK_AGAIN: Final = timedelta(minutes=1)
"""How long a Job that was refused is not asked for again."""

REFRESH: Final = timedelta(minutes=1)
"""How often the reason why a pod does not run is rewritten: a kubelet alternates between two words for the same."""

REFRESHES: Final = 3
"""But at least so often within the Job's deadline, after which the pods are gone: the first reason may be that no node
had said anything yet."""

NO_JOBS: Final = (
    "This installation of Serinus creates no Jobs (rbac.jobs: false in its chart), so no Job test can run: write HTTP "
    "tests, or have an administrator allow Jobs."
)

MOST_LOST: Final = 2
"""So many Jobs of one test may be gone before they have ended until none is created any more."""


def has_ended(test: TestStatus) -> bool:
    """Return whether the test has run to its end."""
    return test.result in {TestResult.PASSED, TestResult.FAILED}


def known_test(status: RolloutStatus, name: str) -> TestStatus | None:
    """Return what the status has of a test of the current stage."""
    return next((test for test in status.tests if test.name == name), None)


def outcome_of(name: str, status: RolloutStatus, observed: Observation) -> TestOutcome | None:
    """Return how a test ended; None where it has not, or where its Job's time was over before it could run."""
    outcome = observed.tests.get(name)
    return None if outcome is None or never_ran(outcome, known_test(status, name)) else outcome


def never_ran(outcome: TestOutcome, known: TestStatus | None) -> bool:
    """Return whether the Job's deadline came before any container of the test had run.

    The pods are gone by then: what was seen of them before decides. Where nothing was seen, the test has failed.
    """
    return outcome.timed_out and known is not None and not has_ended(known) and bool(known.message)


def track_jobs(draft: Draft, situation: Situation) -> Draft:
    """Keep in the status what is seen of the Jobs under way, also while the run is held."""
    run = draft.mode
    if not isinstance(run, Running) or run.stage.state is not StageState.TESTING:
        return draft
    jobs = situation.observed.jobs
    tests = tuple(
        _tracked(test, jobs[test.name], situation) if test.name in jobs else test for test in draft.status.tests
    )
    return draft if tests == draft.status.tests else draft.with_status(tests=tests)


def _tracked(test: TestStatus, job: JobFacts, situation: Situation) -> TestStatus:
    if has_ended(test):
        return test
    seen = "" if job.has_run else job.problem
    test = structs.replace(test, job_uid=job.uid or test.job_uid)
    if test.result is TestResult.NOT_RUN:
        return structs.replace(test, result=TestResult.RUNNING, message=seen, at=situation.now)
    if seen == test.message or (not seen and not job.has_run):
        return test
    if seen and test.message and situation.now - test.at < _refresh(job):
        return test
    return structs.replace(test, message=seen, at=situation.now)


def _refresh(job: JobFacts) -> timedelta:
    return min(REFRESH, job.deadline / REFRESHES)


def disabled(stages: Iterable[Stage], observed: Observation) -> Waiting | None:
    """Return that stages have Job tests and this installation creates no Jobs; None where all can run."""
    names = [f"{stage.name}/{test.name}" for stage in stages for test in stage.tests if test.job is not None]
    if observed.job_tests or not names:
        return None
    return Waiting(WaitReason.JOB_TESTS_DISABLED, f"{NO_JOBS} Job tests of the plan: {', '.join(names)}.")


def await_job(draft: Draft, name: str, situation: Situation) -> tuple[Draft, bool]:
    """Return the draft with what is known of a test that has not ended, and whether its Job must be asked for."""
    known, observed = known_test(draft.status, name), situation.observed
    job, refusal = observed.jobs.get(name), observed.refused_tests.get(name)
    if job is not None:
        seen = "" if job.has_run else job.problem
        return (draft if known is not None else _running(draft, name, situation, message=seen)), False
    if not observed.job_tests:
        return _not_run(draft, name, NO_JOBS, situation), False
    if refusal is not None:
        problem, remedy = ("was refused", "Correct the test's template, the quota or the operator's rights")
        if refusal.may_exist:
            problem, remedy = ("cannot be created", "Mend what the API server calls for it, such as a webhook")
        message = (
            f"its Job {problem}: {refusal.message.rstrip('.')}. {remedy}; the Job is asked for again every minute."
        )
        return _not_run(draft, name, message, situation), situation.now - refusal.at >= ASK_AGAIN
    if known is None:
        return _running(draft, name, situation), True
    if known.result is TestResult.NOT_RUN:
        # The Job whose time was over has been deleted, or the operator was restarted after a refusal.
        again = known.lost < MOST_LOST
        return (_running(draft, name, situation, lost=known.lost) if again else draft), again
    return _lost(draft, known, situation)


def await_check(draft: Draft, name: str, situation: Situation) -> tuple[Draft, bool]:
    """Return the draft with why an HTTP test could not be sent, if so, and whether it must be asked for."""
    refusal = situation.observed.refused_tests.get(name)
    if refusal is None:
        return draft, True
    message = f"its request could not be sent: {refusal.message.rstrip('.')}. The test is asked for again every minute."
    return _not_run(draft, name, message, situation), situation.now - refusal.at >= ASK_AGAIN


def _running(draft: Draft, name: str, situation: Situation, *, message: str = "", lost: int = 0) -> Draft:
    test = TestStatus(name=name, result=TestResult.RUNNING, message=message, at=situation.now, lost=lost)
    return with_test(draft, test)


def _lost(draft: Draft, known: TestStatus, situation: Situation) -> tuple[Draft, bool]:
    """Have a Job that is gone created once more, and no third time: whoever deletes it would do so again."""
    lost = known.lost + 1
    draft = _running(draft, known.name, situation, lost=lost)
    if lost >= MOST_LOST:
        rollout = situation.observed.name
        message = (
            f"its Job was gone {lost} times before it had ended. Find out who deletes it, then run kubectl serinus "
            f"abort {rollout} and kubectl serinus retry {rollout}."
        )
        return _not_run(draft, known.name, message, situation), False
    event = f"The Job of {_title(draft, known.name)} is gone and had not ended: it is created once more."
    return draft.with_event(EventReason.TEST_JOB_GONE, event, warning=True), True


def timed_out(draft: Draft, name: str, outcome: TestOutcome, situation: Situation) -> Draft:
    """Note that a Job's time was over before it could run the test; nothing new where that is noted already."""
    known = known_test(draft.status, name)
    if known is None or known.result is TestResult.NOT_RUN:
        return draft
    message = (
        f"no container of it had run when its time was over ({known.message.rstrip('.')}). "
        f"Mend that, then delete the Job {outcome.job}: it is created again."
    )
    return _not_run(draft, name, message, situation)


def _not_run(draft: Draft, name: str, message: str, situation: Situation) -> Draft:
    """Note that a test could not run, with an event where that is new."""
    known = known_test(draft.status, name)
    was = known is not None and known.result is TestResult.NOT_RUN
    if known is not None and was and known.message == message:
        return draft
    lost = known.lost if known is not None else 0
    test = TestStatus(name=name, result=TestResult.NOT_RUN, message=message, at=situation.now, lost=lost)
    draft = with_test(draft, test)
    event = f"The {_title(draft, name)} could not run: {message}"
    return draft if was else draft.with_event(EventReason.TEST_NOT_RUN, event, warning=True)


def with_test(draft: Draft, test: TestStatus) -> Draft:
    """Return the draft with this in the place of what the status had of the test, but the uid of its Job.

    With it, which content of the test it is about.

    The uid outlives a Job that is gone: one that somebody else makes in its place must not count after a restart.
    """
    others = {other.name: other for other in draft.status.tests}
    known = others.get(test.name)
    if known is not None and not test.job_uid:
        test = structs.replace(test, job_uid=known.job_uid)
    test = structs.replace(test, content=current_contents(draft.spec, draft.status).get(test.name, UNKNOWN))
    return draft.with_status(tests=tuple((others | {test.name: test}).values()))


def _title(draft: Draft, name: str) -> str:
    stage = draft.status.stage
    return f"test {name} of stage {stage.name if stage is not None else ''}"


def awaited(draft: Draft, run: Running, names: tuple[str, ...], situation: Situation) -> Waiting | None:
    """Return what is awaited of a stage's tests; None where all have passed."""
    tests = [known_test(draft.status, name) for name in names]
    missing = [name for name, test in zip(names, tests, strict=True) if test is None or not has_ended(test)]
    if not missing:
        return None
    stuck = [test for test in tests if test is not None and test.result is TestResult.NOT_RUN]
    if stuck:
        others = f" The same goes for {', '.join(test.name for test in stuck[1:])}." if len(stuck) > 1 else ""
        told = f"Test {stuck[0].name} of stage {run.stage.name} could not run, which says nothing of "
        message = f"{told}{run.candidate.version}: {stuck[0].message}{others}"
        return Waiting(WaitReason.TEST_NOT_RUN, message, until=_asked_again(stuck, situation))
    pending = [test for test in tests if test is not None and test.result is TestResult.RUNNING and test.message]
    why = f" {pending[0].name} has not started: {pending[0].message}" if pending else ""
    message = f"Waiting for the tests {', '.join(missing)} of stage {run.stage.name}.{why}"
    return Waiting(WaitReason.TESTING, message, until=_refreshed(pending, situation))


def _asked_again(tests: list[TestStatus], situation: Situation) -> datetime | None:
    refusals = situation.observed.refused_tests
    due = [refusals[test.name].at + ASK_AGAIN for test in tests if test.name in refusals]
    return min((at for at in due if at > situation.now), default=None)


def _refreshed(tests: list[TestStatus], situation: Situation) -> datetime | None:
    """Return when the status may have the newer reason why a pod does not run; None where it has it."""
    jobs = situation.observed.jobs
    due = [
        test.at + _refresh(jobs[test.name])
        for test in tests
        if test.name in jobs and jobs[test.name].problem not in {"", test.message}
    ]
    return min(due, default=None)
