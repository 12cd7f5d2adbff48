"""HTTP tests and Jobs that the controller runs."""

from support.builders import CANARY, PRODUCTION, STAGING
from support.records import endpoints
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
async def test_a_job_is_made_once_and_its_outcome_lets_the_run_go_on() -> None:
    rig = Rig()
    rig.model("fraud", JOB_STAGING, CANARY, PRODUCTION)
    async with rig.running():
        await rig.reaches_canary()
        assert [name for what, name in rig.cluster.journal if what == "job"] == ["fraud-1-staging-contract"]
