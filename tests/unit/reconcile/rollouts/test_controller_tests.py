"""HTTP tests and Jobs that the controller runs."""

import pytest

from serinus.engine.rollout.decision import EventReason
from serinus.errors import RefusedError, SerinusError, TransientError
from serinus.ports.cluster_state import RolloutRecord
from support.builders import CANARY, PRODUCTION, STAGING
from support.records import endpoints, key
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
