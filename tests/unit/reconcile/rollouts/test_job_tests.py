"""The Jobs of tests as the controller runs them: refused, pending, deleted, and what is read of their pods."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest
from msgspec import structs

from serinus.api.rollout_status import Phase, TestResult, TestStatus
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.observation import TestOutcome
from serinus.errors import AmbiguousError, RefusedError, SerinusError, TransientError
from serinus.ports.cluster_state import JobRecord, PodFacts, RolloutRecord
from support.builders import CANARY, PRODUCTION, STAGING
from support.fakes import PASSED
from support.records import key
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

JOB = "fraud-1-staging-contract"
IMAGE = PodFacts(has_run=False, problem="ImagePullBackOff: Back-off pulling image x")
TIMED_OUT = TestOutcome(TestResult.FAILED, "Job Failed: DeadlineExceeded", job=JOB, timed_out=True)


def job_staging(**job: Any) -> dict[str, Any]:
    return {**STAGING, "tests": [{"name": "contract", "job": {"template": {"spec": {}}, **job}}]}


def rig_with_a_job_that_goes_on(seen: PodFacts | SerinusError, rig: Rig | None = None) -> Rig:
    rig = rig if rig is not None else Rig()
    rig.jobs.outcome, rig.jobs.seen = None, seen
    return rig


@asynccontextmanager
async def under_test(rig: Rig) -> AsyncIterator[Rig]:
    rig.model("fraud", job_staging(), CANARY, PRODUCTION)
    async with rig.running():
        await until(lambda: bool(jobs_made(rig)), why="the Job")
        yield rig


def jobs_made(rig: Rig) -> list[str]:
    return [name for what, name in rig.cluster.journal if what == "job"]


def events(rig: Rig) -> list[str]:
    return [event.reason.value for _, event in rig.events.published if event.reason.value.startswith("Test")]


def entry(rig: Rig) -> TestStatus:
    return next(test for test in rig.status().tests if test.name == "contract")


def end_job(rig: Rig, outcome: TestOutcome) -> None:
    rig.cluster.put(replace(job_of(rig), outcome=outcome))


def job_of(rig: Rig) -> JobRecord:
    job = rig.cluster.objects[JobRecord, key(JOB)]
    assert isinstance(job, JobRecord)
    return job


async def passed(rig: Rig, seconds: float) -> None:
    await until(lambda: rig.clock.monotonic() > seconds, why=f"{seconds:g} s", within=seconds + 10)


async def settled(rig: Rig) -> None:
    """The records of the run's beginning are delivered, and the finalizer that they needed is gone again."""

    def there() -> bool:
        record = rig.cluster.rollout(key())
        return not record.has_finalizer and rig.reconciler.relay.facts(record).recorded == recorded_ids(record)

    await until(there, why="the records to be delivered")


def recorded_ids(record: RolloutRecord) -> frozenset[str]:
    return frozenset(entry.id for entry in record.status.records)


async def until_message(rig: Rig, words: str) -> None:
    await until(lambda: words in rig.status().next_action, why=words, within=100)


# ---- pending -----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_job_that_runs_soon_costs_no_request_for_its_pods_and_no_further_status() -> None:
    async with under_test(rig_with_a_job_that_goes_on(IMAGE)) as rig:
        await until(lambda: rig.status().tests != (), why="the status to have the test")
        rig.cluster.put(replace(job_of(rig), has_run=True))
        await settled(rig)
        status = rig.cluster.rollout(key())
        await passed(rig, 300)
        assert rig.jobs.looked == []
        assert rig.cluster.rollout(key()).meta == status.meta, "nothing was written"
        end_job(rig, PASSED)
        await rig.reaches_canary()
        assert len(rig.reconciler.jobs) == 0


@in_virtual_time
async def test_why_a_pod_does_not_run_is_read_every_ten_seconds_until_it_does() -> None:
    async with under_test(rig_with_a_job_that_goes_on(IMAGE)) as rig:
        began = rig.clock.monotonic()
        await until_message(rig, "contract has not started: ImagePullBackOff: Back-off pulling image x")
        assert rig.clock.monotonic() - began < 11
        await passed(rig, 100)
        assert 9 <= len(rig.jobs.looked) <= 10
        rig.jobs.seen = PodFacts(has_run=True)
        await until(lambda: entry(rig).message == "", why="the pod to be seen running")
        looked = len(rig.jobs.looked)
        await passed(rig, 300)
        assert len(rig.jobs.looked) == looked


@in_virtual_time
async def test_a_short_deadline_is_not_waited_for_before_the_pods_are_read() -> None:
    rig = rig_with_a_job_that_goes_on(IMAGE)
    rig.jobs.deadline = 6.0
    async with under_test(rig):
        began = rig.clock.monotonic()
        await until_message(rig, "ImagePullBackOff")
        assert rig.clock.monotonic() - began < 3


@pytest.mark.parametrize(
    ("problem", "words"),
    [
        (TransientError("no answer"), "Waiting for the tests contract of stage staging."),
        (RefusedError("403 cannot list pods"), "no pod of it was ready, and its pods cannot be read: 403"),
    ],
)
@in_virtual_time
async def test_pods_that_cannot_be_read_are_read_again(problem: SerinusError, words: str) -> None:
    async with under_test(rig_with_a_job_that_goes_on(problem)) as rig:
        await until(lambda: len(rig.jobs.looked) > 2, why="a few reads")
        assert words in rig.status().next_action
        rig.jobs.seen = IMAGE
        await until_message(rig, "ImagePullBackOff")


# ---- the deadline ------------------------------------------------------------------------------


@in_virtual_time
async def test_a_deadline_before_the_pod_has_run_holds_the_run_until_the_job_is_deleted() -> None:
    async with under_test(rig_with_a_job_that_goes_on(IMAGE)) as rig:
        await until_message(rig, "ImagePullBackOff")
        end_job(rig, TIMED_OUT)
        await until_message(rig, f"delete the Job {JOB}")
        assert (rig.status().reason, rig.status().quarantined) == ("TestNotRun", ())
        rig.jobs.outcome = PASSED
        rig.cluster.remove(JobRecord, key(JOB))
        await rig.reaches_canary()
        # That it has passed is told with the end of the stage, which follows at the same moment.
        assert events(rig) == ["TestNotRun"]
        (passed,) = (event for _, event in rig.events.published if event.reason is EventReason.ANALYSIS_PASSED)
        assert "Test contract" in passed.message
        assert jobs_made(rig) == [JOB, JOB]


@in_virtual_time
async def test_the_reason_survives_a_restart_of_the_operator_before_the_deadline() -> None:
    async with under_test(rig_with_a_job_that_goes_on(IMAGE)) as rig:
        await until_message(rig, "ImagePullBackOff")
    end_job(rig, TIMED_OUT)
    successor = rig_with_a_job_that_goes_on(IMAGE, Rig(rig.cluster, epoch=8))
    async with successor.running():
        await until_message(successor, f"delete the Job {JOB}")
        assert successor.status().quarantined == ()
        assert successor.jobs.looked == []


@in_virtual_time
async def test_a_job_that_ran_into_its_deadline_rolls_back() -> None:
    async with under_test(rig_with_a_job_that_goes_on(PodFacts(has_run=True))) as rig:
        await until(lambda: len(rig.jobs.looked) == 1, why="its pods to be read")
        end_job(rig, TIMED_OUT)
        await rig.reaches(Phase.ROLLED_BACK, within=10)


# ---- gone --------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_job_that_somebody_deletes_is_reported_and_created_once_more() -> None:
    async with under_test(rig_with_a_job_that_goes_on(IMAGE)) as rig:
        for times in (1, 2):
            await until(lambda times=times: len(jobs_made(rig)) == times and bool(rig.status().tests), why="the Job")  # type: ignore[misc]
            rig.cluster.remove(JobRecord, key(JOB))
        await until_message(rig, "was gone 2 times")
        await passed(rig, 600)
        assert jobs_made(rig) == [JOB, JOB]
        assert events(rig) == ["TestJobGone", "TestNotRun"]


@in_virtual_time
async def test_a_job_of_the_same_name_that_somebody_else_made_does_not_count() -> None:
    async with under_test(rig_with_a_job_that_goes_on(PodFacts(has_run=True))) as rig:
        made = job_of(rig)
        rig.cluster.remove(JobRecord, key(JOB))
        forged = replace(made, meta=replace(made.meta, uid="forged", version=0), outcome=PASSED)
        rig.cluster.put(forged)
        await until(lambda: rig.status().reason == "TestNotRun", why="the Job to be found in the way")
        assert "is in the way: it is not the one that Serinus created; delete it" in entry(rig).message
        await passed(rig, 300)
        assert (rig.status().reason, rig.status().run) == ("TestNotRun", 1)
        rig.jobs.outcome = PASSED
        rig.cluster.remove(JobRecord, key(JOB))
        await rig.reaches_canary()
        assert len(jobs_made(rig)) == 2


@in_virtual_time
async def test_a_job_that_was_swapped_while_the_operator_was_away_does_not_count() -> None:
    async with under_test(rig_with_a_job_that_goes_on(PodFacts(has_run=True))) as rig:
        made = job_of(rig)
        await until(lambda: rig.status().tests != () and entry(rig).job_uid == made.meta.uid, why="its uid to be kept")
    rig.cluster.remove(JobRecord, key(JOB))
    rig.cluster.put(replace(made, meta=replace(made.meta, uid="forged", version=0), outcome=PASSED))
    again = rig_with_a_job_that_goes_on(PodFacts(has_run=True), Rig(rig.cluster, epoch=8))
    async with again.running():
        await until(lambda: again.status().reason == "TestNotRun", why="the Job to be found in the way")
        assert "it is not the one that Serinus created" in entry(again).message
        await passed(again, 300)
        assert (again.status().reason, entry(again).job_uid) == ("TestNotRun", made.meta.uid)
        again.jobs.outcome = PASSED
        again.cluster.remove(JobRecord, key(JOB))
        await again.reaches_canary()


@in_virtual_time
async def test_the_uid_of_a_job_that_is_created_anew_takes_the_place_of_the_first() -> None:
    async with under_test(rig_with_a_job_that_goes_on(PodFacts(has_run=True))) as rig:
        first = job_of(rig).meta.uid
        await until(lambda: rig.status().tests != () and entry(rig).job_uid == first, why="its uid to be kept")
        rig.cluster.remove(JobRecord, key(JOB))
        await until(lambda: len(jobs_made(rig)) == 2, why="another one")
        second = job_of(rig).meta.uid
        await until(lambda: entry(rig).job_uid == second, why="the new uid to be kept")
        assert first != second


@in_virtual_time
async def test_without_a_stored_uid_the_first_job_of_the_right_name_counts_and_no_later_one() -> None:
    """The operator ended between the creation and the status that has the uid."""
    async with under_test(rig_with_a_job_that_goes_on(PodFacts(has_run=True))) as rig:
        made = job_of(rig)
        await until(lambda: rig.status().tests != (), why="the status to have the test")
    record = rig.cluster.rollout(key())
    tests = tuple(structs.replace(test, job_uid="") for test in record.status.tests)
    rig.cluster.put(replace(record, status=structs.replace(record.status, tests=tests)))
    again = rig_with_a_job_that_goes_on(PodFacts(has_run=True), Rig(rig.cluster, epoch=8))
    async with again.running():
        await until(lambda: len(again.reconciler.jobs) > 0, why="the Job to be seen")
        again.cluster.remove(JobRecord, key(JOB))
        again.cluster.put(replace(made, meta=replace(made.meta, uid="forged", version=0), outcome=PASSED))
        await until(lambda: again.status().reason == "TestNotRun", why="the Job to be found in the way")


@in_virtual_time
async def test_a_job_whose_creation_the_watch_has_not_reported_yet_is_not_taken_for_deleted() -> None:
    rig = rig_with_a_job_that_goes_on(IMAGE)
    async with under_test(rig):
        rig.cluster.deaf = True
        rollout = rig.cluster.rollout(key())
        for _ in range(5):
            rig.queue.enqueue(rollout.meta.key)
            await until(lambda: len(rig.queue) == 0, why="the reconcile")
        assert jobs_made(rig) == [JOB]
        assert events(rig) == []


@pytest.mark.parametrize("outcome", [PASSED, TestOutcome(TestResult.FAILED, "Job Failed: BackoffLimitExceeded")])
@in_virtual_time
async def test_how_a_job_ended_that_is_removed_at_once_counts(outcome: TestOutcome) -> None:
    """As with ``ttlSecondsAfterFinished: 0``."""
    async with under_test(rig_with_a_job_that_goes_on(IMAGE)) as rig:
        await until(lambda: bool(rig.status().tests), why="the status to have the test")
        end_job(rig, outcome)
        rig.cluster.remove(JobRecord, key(JOB))
        if outcome is PASSED:
            await rig.reaches_canary()
        else:
            await rig.reaches(Phase.ROLLED_BACK, within=10)
        assert jobs_made(rig) == [JOB]
        assert len(rig.reconciler.tests.results) == 0


# ---- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize("problem", ["403 exceeded quota: jobs", "422 spec.template: Required value"])
@in_virtual_time
async def test_a_job_that_is_refused_holds_and_is_asked_for_every_minute(problem: str) -> None:
    rig = Rig()
    rig.jobs.faults.always["fraud"] = RefusedError(problem)
    rig.model("fraud", job_staging(), CANARY, PRODUCTION)
    async with rig.running():
        await until_message(rig, problem)
        assert (rig.status().reason, rig.status().quarantined) == ("TestNotRun", ())
        await settled(rig)
        status = rig.cluster.rollout(key())
        await passed(rig, 320)
        assert 5 <= len(rig.jobs.asked) <= 7
        assert rig.cluster.rollout(key()).meta == status.meta, "nothing was written"
        del rig.jobs.faults.always["fraud"]
        await rig.reaches_canary()
        assert rig.clock.monotonic() < 400
        assert len(rig.reconciler.jobs) == 0


@pytest.mark.parametrize(
    "problem", [AmbiguousError("500 failed calling webhook audit.example.org"), TransientError("503 no endpoints")]
)
@in_virtual_time
async def test_a_job_whose_creation_fails_again_and_again_is_said_and_asked_for_every_minute(
    problem: SerinusError,
) -> None:
    rig = Rig()
    rig.jobs.faults.always["fraud"] = problem
    rig.model("fraud", job_staging(), CANARY, PRODUCTION)
    async with rig.running():
        await until_message(rig, str(problem))
        assert 5 <= rig.clock.monotonic() < 30
        assert (rig.status().reason, rig.status().quarantined) == ("TestNotRun", ())
        assert "its Job cannot be created" in rig.status().next_action
        asked = len(rig.jobs.asked)
        await passed(rig, 320)
        assert 5 <= len(rig.jobs.asked) - asked <= 6
        del rig.jobs.faults.always["fraud"]
        await rig.reaches_canary()
        assert jobs_made(rig) == [JOB]
        assert len(rig.reconciler.jobs) == 0


@in_virtual_time
async def test_a_job_whose_creation_fails_a_few_times_is_created_soon_without_a_word() -> None:
    rig = Rig()
    rig.jobs.faults.before.extend([AmbiguousError("500 timed out"), TransientError("503"), AmbiguousError("500")])
    rig.model("fraud", job_staging(), CANARY, PRODUCTION)
    async with rig.running():
        await rig.reaches_canary()
        assert rig.clock.monotonic() < 30
        assert "TestNotRun" not in {event.reason.value for _, event in rig.events.published}
        assert len(rig.reconciler.jobs) == 0


@in_virtual_time
async def test_nothing_is_kept_of_a_rollout_that_is_gone() -> None:
    rig = Rig()
    rig.jobs.faults.always["fraud"] = RefusedError("403 exceeded quota: jobs")
    rig.model("fraud", job_staging(), CANARY, PRODUCTION)
    async with rig.running():
        await until_message(rig, "exceeded quota")
        assert len(rig.reconciler.jobs) == 1
        rig.controller.on_delete(type(rig.cluster.rollout(key())), key(), rig.cluster.rollout(key()).meta.uid)
        assert len(rig.reconciler.jobs) == 0


# ---- recorded -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("result", "event"), [(TestResult.PASSED, "TestPassed"), (TestResult.FAILED, "TestFailed")])
@in_virtual_time
async def test_how_a_job_ended_is_recorded_with_its_name_and_uid(result: TestResult, event: str) -> None:
    async with under_test(rig_with_a_job_that_goes_on(IMAGE)) as rig:
        await until(lambda: rig.status().tests != (), why="the status to have the test")
        end_job(rig, TestOutcome(result, "Job ended", job=JOB, uid="uid-of-the-job"))

        def recorded() -> list[dict[str, Any]]:
            data = rig.cluster.registry._data[key()]
            return [record for record in data.records.values() if record["event"] == event]

        await until(lambda: len(recorded()) == 1, why="it to be recorded", within=60)
        (record,) = recorded()
        assert record["details"] == {
            "test": "contract",
            "stage": "staging",
            "outcome": result.value,
            "job": JOB,
            "jobUid": "uid-of-the-job",
        }
        assert record["version"] == "2.0.0"
