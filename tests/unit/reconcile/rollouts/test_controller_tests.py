"""HTTP tests and Jobs that the controller runs."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from serinus.api.rollout_status import Phase, StageState, TestResult
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.observation import TestOutcome
from serinus.errors import RefusedError, SerinusError, TransientError
from serinus.ports.cluster_state import JobRecord, RolloutRecord
from support.builders import CANARY, PRODUCTION, STAGING
from support.records import endpoints, key, spec_for
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

HTTP_STAGING = {**STAGING, "tests": [{"name": "contract", "http": {"path": "/healthz"}}]}
JOB_STAGING = {**STAGING, "tests": [{"name": "contract", "job": {"template": {"spec": {}}}}]}


@in_virtual_time
async def test_an_http_test_is_sent_once_and_its_end_has_the_rollout_reconciled() -> None:
    rig = Rig()
    rig.checks.open.clear()
    rig.model("fraud", HTTP_STAGING, CANARY, PRODUCTION)
    async with rig.running():
        await until(lambda: len(rig.checks.sent) == 1, why="the test to be sent")
        for number in range(20):
            rig.cluster.put(endpoints(ready=number % 2 + 1))
            await until(lambda: len(rig.queue) == 0, why="the reconcile")
        began = rig.clock.monotonic()
        rig.checks.open.set()
        await rig.reaches_canary()
        assert rig.clock.monotonic() - began < 1
        assert rig.checks.sent == ["ml/fraud-v2-0-0/healthz"]
        assert len(rig.reconciler.tests.results) == len(rig.reconciler.tests._running) == 0, "the status has it now"


@in_virtual_time
@pytest.mark.parametrize(
    ("problem", "told"),
    [
        (
            RefusedError("services is forbidden"),
            "services is forbidden. Give the operator the rights of its chart. The",
        ),
        (TransientError("no answer within 10 s"), "no answer within 10 s. The"),
    ],
)
async def test_an_http_test_that_cannot_be_sent_holds_the_run_and_says_nothing_of_the_version(
    problem: SerinusError, told: str
) -> None:
    rig = Rig()
    rig.checks.problem = problem
    rig.model("fraud", HTTP_STAGING, CANARY, PRODUCTION)
    async with rig.running():
        await until(lambda: rig.status().reason == "TestNotRun", why="the reason to be shown", within=30)
        assert f"its request could not be sent: {told} test is asked for again" in rig.status().tests[0].message
        asked = len(rig.checks.sent)
        await until(lambda: len(rig.checks.sent) > asked, why="the test to be asked for again", within=90)
        assert (rig.status().run, rig.status().quarantined) == (1, ())
        rig.checks.problem = None
        await rig.reaches_canary()
        assert len(rig.reconciler.tests.results) == 0, "the status has it now"


@in_virtual_time
async def test_a_short_outage_of_the_api_server_is_not_told() -> None:
    rig = Rig()
    rig.checks.problem = TransientError("no answer within 10 s")
    rig.model("fraud", HTTP_STAGING, CANARY, PRODUCTION)
    async with rig.running():
        await until(lambda: len(rig.checks.sent) == 1, why="the test to be sent")
        rig.checks.problem = None
        await rig.reaches_canary()
        assert len(rig.checks.sent) == 2
        assert [event.reason for _, event in rig.events.published if event.reason == EventReason.TEST_NOT_RUN] == []


@in_virtual_time
async def test_a_rollout_that_is_deleted_leaves_no_refusal_behind() -> None:
    rig = Rig()
    rig.checks.problem = RefusedError("services is forbidden")
    rig.model("fraud", HTTP_STAGING, CANARY, PRODUCTION)
    async with rig.running():
        await until(lambda: len(rig.reconciler.tests.results) == 1, why="the test to be refused")
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: len(rig.reconciler.tests.results) == 0, why="it to be forgotten")


@in_virtual_time
async def test_a_job_is_made_once_and_its_outcome_lets_the_run_go_on() -> None:
    rig = Rig()
    rig.model("fraud", JOB_STAGING, CANARY, PRODUCTION)
    async with rig.running():
        await rig.reaches_canary()
        assert [name for what, name in rig.cluster.journal if what == "job"] == ["fraud-1-staging-contract"]


# ---- tests that are edited while they run ------------------------------------------------------

PENDING = {"name": "load", "job": {"template": {"spec": {"parallelism": 1}}}}


def checking(path: str) -> dict[str, Any]:
    return {"name": "contract", "http": {"path": path}}


def job_of(parallelism: int) -> dict[str, Any]:
    return {"name": "contract", "job": {"template": {"spec": {"parallelism": parallelism}}}}


def edited(rig: Rig, *tests: dict[str, Any]) -> None:
    """Give the staging stage these tests."""
    stored = rig.cluster.rollout(key())
    spec = spec_for("fraud", "2.0.0", {**STAGING, "tests": list(tests)}, CANARY, PRODUCTION)
    rig.cluster.put(replace(stored, spec=spec, generation=stored.generation + 1))


def jobs(rig: Rig) -> list[JobRecord]:
    return [record for record in rig.cluster.objects.values() if isinstance(record, JobRecord)]


@in_virtual_time
async def test_an_http_test_that_is_edited_while_it_is_under_way_does_not_pass_by_what_it_was() -> None:
    rig = Rig()
    rig.checks.open.clear()
    rig.model("fraud", {**STAGING, "tests": [checking("/healthz")]}, CANARY, PRODUCTION)
    async with rig.running():
        await until(lambda: len(rig.checks.sent) == 1, why="the test to be sent")
        edited(rig, checking("/strict"))
        await until(lambda: len(rig.checks.sent) == 2, why="the test to be sent as it is now")
        rig.checks.open.set()
        await rig.reaches_canary()
        assert [sent.rpartition("/")[2] for sent in rig.checks.sent] == ["healthz", "strict"]
        assert len(rig.reconciler.tests.results) == 0


@in_virtual_time
async def test_an_http_test_that_has_passed_is_run_again_where_it_is_edited_before_the_others_have_ended() -> None:
    rig = Rig()
    rig.jobs.outcome = None
    rig.model("fraud", {**STAGING, "tests": [checking("/healthz"), PENDING]}, CANARY, PRODUCTION)
    async with rig.running():
        await until(lambda: TestResult.PASSED in {test.result for test in rig.status().tests}, why="one to pass")
        rig.checks.outcome = TestOutcome(TestResult.FAILED, "status 500")
        edited(rig, checking("/strict"), PENDING)
        await rig.reaches(Phase.ROLLED_BACK)
        rollback = rig.status().rollback
        assert rollback is not None
        assert "HTTP test contract failed in stage staging" in rollback.message


@pytest.mark.parametrize("ends", [TestResult.PASSED, TestResult.FAILED])
@in_virtual_time
async def test_the_job_of_a_test_that_was_edited_decides_nothing(ends: TestResult) -> None:
    rig = Rig()
    rig.jobs.outcome = None
    rig.model("fraud", {**STAGING, "tests": [job_of(1)]}, CANARY, PRODUCTION)
    async with rig.running():
        await until(lambda: len(jobs(rig)) == 1, why="the Job")
        (former,) = jobs(rig)
        edited(rig, job_of(2))
        await until(lambda: len(jobs(rig)) == 2, why="the Job of the test as it is now")
        rig.cluster.put(replace(former, outcome=TestOutcome(ends, "Job ended", uid=former.meta.uid)))
        await asyncio.sleep(60)
        assert rig.status().rollback is None
        stage = rig.status().stage
        assert stage is not None
        assert stage.state is StageState.TESTING
        now = next(job for job in jobs(rig) if job.meta.uid != former.meta.uid)
        assert [test.job_uid for test in rig.status().tests] == [now.meta.uid]
        rig.cluster.put(replace(now, outcome=TestOutcome(TestResult.PASSED, "Job Complete", uid=now.meta.uid)))
        await rig.reaches_canary()


@in_virtual_time
async def test_an_edit_of_something_else_lets_a_test_go_on() -> None:
    rig = Rig()
    rig.jobs.outcome = None
    rig.model("fraud", {**STAGING, "tests": [job_of(1)]}, CANARY, PRODUCTION)
    async with rig.running():
        await until(lambda: len(jobs(rig)) == 1, why="the Job")
        edited(rig, job_of(1), {**checking("/healthz"), "name": "health"})
        await until(lambda: len(rig.checks.sent) == 1, why="the new test to be sent")
        await asyncio.sleep(60)
        assert len(jobs(rig)) == 1
        (job,) = jobs(rig)
        rig.cluster.put(replace(job, outcome=TestOutcome(TestResult.PASSED, "Job Complete", uid=job.meta.uid)))
        await rig.reaches_canary()
        assert len(rig.checks.sent) == 1
