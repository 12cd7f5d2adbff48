"""What the controller does after a failure: retries, workers that hang, a crash."""

import asyncio
from datetime import timedelta
from itertools import pairwise

import pytest

from serinus.api.conditions import ConditionType, find_condition
from serinus.api.rollout_status import Phase, TestResult
from serinus.engine.rollout.observation import TestOutcome
from serinus.errors import AmbiguousError, ConflictError, RefusedError, TransientError
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import FakeSource
from support.records import key, rollout
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

# ---- failures -----------------------------------------------------------------------------------


@in_virtual_time
async def test_a_failing_action_leaves_the_status_as_it_was_and_the_same_decision_comes_again() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        before = rig.status()
        rig.router.faults.always["fraud"] = TransientError("no route to host")
        rig.source.bad = {"2.0.0": 1.0}
        await until(lambda: b'errors_total{reason="TransientError"} 3.0' in rig.telemetry.render(), why="three tries")
        assert rig.status().rollback is None
        assert rig.status().stage == before.stage
        del rig.router.faults.always["fraud"]
        await rig.reaches(Phase.ROLLED_BACK, within=20)


@pytest.mark.parametrize("part", ["router", "finalizers"])
@in_virtual_time
async def test_a_write_that_fails_for_long_is_said_in_the_status_until_it_succeeds(part: str) -> None:
    rig = Rig()
    rig.model()
    faults = rig.router.faults if part == "router" else rig.finalizers.faults
    faults.always["fraud"] = AmbiguousError("500 failed calling webhook")
    async with rig.running():
        await until(lambda: "failed calling webhook" in rig.status().next_action, why="it to be said", within=60)
        confirmed = find_condition(rig.status().conditions, ConditionType.TRAFFIC_CONFIRMED)
        assert confirmed is not None
        assert confirmed.reason == "WriteRefused"
        del faults.always["fraud"]
        await rig.reaches_canary()
        assert "webhook" not in rig.status().next_action


@in_virtual_time
async def test_after_a_conflict_the_rollout_is_reread_and_retried_at_once() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await until(lambda: rig.status().stable is not None, why="the adoption")
        rig.cluster.deaf = True
        rig.cluster.put(rig.cluster.rollout(key()))  # somebody else's write that the watch does not show
        rig.cluster.deaf = False
        began = rig.clock.monotonic()
        rig.queue.enqueue(key())
        await rig.reaches_canary()
        assert rig.clock.monotonic() - began < 30


@in_virtual_time
async def test_conflicts_without_end_are_retried_ever_more_slowly() -> None:
    rig = Rig()
    rig.model()
    rig.statuses.faults.always["fraud"] = ConflictError("somebody writes all the time")
    async with rig.running():
        await until(lambda: rig.queue._retries.get(key(), 0) >= 15, why="the longest pause", within=120)
        failed = rig.telemetry.failures.labels("ConflictError")._value.get()
        assert failed < 20


@in_virtual_time
async def test_a_status_that_was_written_although_the_answer_was_lost_is_not_written_twice() -> None:
    rig = Rig()
    rig.model()
    rig.statuses.faults.after.append(AmbiguousError("timed out"))
    async with rig.running():
        await rig.reaches_canary()
        assert [event.reason.value for _, event in rig.events.published].count("RolloutStarted") <= 1
        assert rig.status().run == 1


@in_virtual_time
async def test_weights_that_were_written_although_the_answer_was_lost_are_not_written_twice() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.router.faults.after.append(AmbiguousError("timed out"))
        before = rig.cluster.journal.count(("weights", "fraud"))
        rig.source.bad = {"2.0.0": 1.0}
        await rig.reaches(Phase.ROLLED_BACK, within=30)
        assert rig.cluster.journal.count(("weights", "fraud")) == before + 1


@in_virtual_time
async def test_a_refused_write_is_said_in_the_status_once_with_the_leaders_term() -> None:
    rig = Rig(epoch=9)
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.leadership.epoch = 10
        rig.router.faults.always["fraud"] = RefusedError("HTTPRoute fraud: admission webhook says no")
        rig.source.bad = {"2.0.0": 1.0}

        def says_so() -> bool:
            found = find_condition(rig.status().conditions, ConditionType.TRAFFIC_CONFIRMED)
            return found is not None and found.reason == "WriteRefused"

        await until(says_so, why="the condition")
        assert "admission webhook says no" in rig.status().next_action
        assert rig.status().epoch == 10
        written = rig.cluster.journal.count(("status", "fraud"))
        tried = len(rig.router.sent)
        await until(lambda: len(rig.router.sent) >= tried + 20, why="many more tries", within=60)
        assert rig.cluster.journal.count(("status", "fraud")) == written
        rig.router.faults.always.clear()
        await rig.reaches(Phase.ROLLED_BACK, within=2.1)


@in_virtual_time
async def test_a_bug_with_one_rollout_does_not_hold_up_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    rig = Rig()
    rig.model()
    rig.model("churn")
    rig.statuses.faults.always["fraud"] = ZeroDivisionError("a bug")  # type: ignore[assignment]
    async with rig.running():
        await rig.reaches_canary("churn")
    assert "ml/fraud: the reconcile failed" in caplog.text


@in_virtual_time
async def test_a_bug_in_one_tick_does_not_end_the_ticks(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.model()

    def broken(_question: object) -> bool:
        raise ZeroDivisionError("a bug")

    async with rig.running():
        await rig.reaches_canary()
        healthy, rig.source.down = rig.source.down, broken
        await until(lambda: "source default: the tick failed" in caplog.text, why="the tick to fail")
        rig.source.down = healthy
        await rig.reaches(Phase.HEALTHY)


@pytest.mark.parametrize(("latency", "every"), [(0.5, 5.0), (2.0, 5.0), (4.0, 6.0), (9.0, 11.0)])
@in_virtual_time
async def test_a_source_is_left_alone_after_a_tick_for_as_long_as_that_took_and_two_seconds_at_most(
    latency: float, every: float
) -> None:
    rig = Rig()
    rig.model("fraud", STAGING, {**CANARY, "duration": "2h"}, PRODUCTION)
    async with rig.running():
        await rig.reaches_canary()
        rig.source.latency = latency
        await asyncio.sleep(120)
        times = [ask.end.timestamp() for ask in rig.source.asks[-6:]]
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([every] * 5, abs=0.01)


# ---- abort beats everything ---------------------------------------------------------------------


OTHERS = [f"m{number}" for number in range(12)]


async def with_all_workers_hanging(rig: Rig) -> None:
    """Let the router hang for a dozen others, so that every ordinary worker waits for it."""
    await rig.reaches_canary()
    rig.router.faults.hanging.update(OTHERS)
    for name in OTHERS:
        rig.model(name)
    await until(lambda: len(rig.queue) >= len(OTHERS) - 4, why="the workers to hang and the queue to grow")


@in_virtual_time
async def test_a_breach_is_rolled_back_although_every_ordinary_worker_hangs() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await with_all_workers_hanging(rig)
        rig.source.bad = {"2.0.0": 1.0}
        await rig.reaches(Phase.ROLLED_BACK, within=15)


@pytest.mark.parametrize("verb", ["abort", "rollback"])
@in_virtual_time
async def test_a_persons_abort_is_done_at_once_although_every_ordinary_worker_hangs(verb: str) -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await with_all_workers_hanging(rig)
        stored = rig.cluster.rollout(key())
        rig.cluster.put(rollout(spec=stored.spec, status=stored.status, commands={verb: "now"}))
        await rig.reaches(Phase.ROLLED_BACK, within=1)
        assert rig.status().last_handled[verb] == "now"


@in_virtual_time
async def test_a_failed_test_is_acted_on_at_once_although_every_ordinary_worker_hangs() -> None:
    rig = Rig()
    tested = {**CANARY, "tests": [{"name": "contract", "http": {"path": "/healthz"}}]}
    rig.checks.open.clear()
    rig.checks.outcome = TestOutcome(TestResult.FAILED, "500 instead of 200")
    rig.model("fraud", STAGING, tested, PRODUCTION)
    async with rig.running():
        await with_all_workers_hanging(rig)
        rig.checks.open.set()
        await rig.reaches(Phase.ROLLED_BACK, within=1)


@in_virtual_time
async def test_a_failed_abort_is_retried_although_every_ordinary_worker_hangs() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await with_all_workers_hanging(rig)
        rig.router.faults.before.extend([TransientError("reset by peer")] * 3)
        stored = rig.cluster.rollout(key())
        rig.cluster.put(rollout(spec=stored.spec, status=stored.status, commands={"abort": "now"}))
        await rig.reaches(Phase.ROLLED_BACK, within=3)


@in_virtual_time
async def test_a_failed_rollback_of_a_breach_does_not_wait_for_the_next_tick() -> None:
    rig = Rig(source=FakeSource(scrape=timedelta(minutes=3)))
    rig.source.rate = 5
    rig.model()
    async with rig.running():
        await with_all_workers_hanging(rig)
        rig.source.bad = {"2.0.0": 1.0}
        rig.router.faults.before.append(TransientError("reset by peer"))
        await until(lambda: not rig.router.faults.before, why="the breach", within=200)
        await rig.reaches(Phase.ROLLED_BACK, within=3)


# ---- restart ------------------------------------------------------------------------------------


@in_virtual_time
async def test_a_successor_goes_on_where_the_process_before_it_ended() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await until(lambda: rig.clock.monotonic() > 300, why="half of the stage", within=400)
        since = rig.status().stage
    successor = Rig(rig.cluster)
    async with successor.running():
        assert since is not None
        await successor.reaches(Phase.HEALTHY, within=1000)
        assert successor.status().run == 1
        ended = successor.status().history[0].ended_at
        assert ended - since.since < timedelta(minutes=17), "no stage began anew"


@in_virtual_time
async def test_a_stage_that_a_crash_left_unwritten_is_written_by_the_successor() -> None:
    rig = Rig()
    rig.model()
    rig.statuses.faults.always["fraud-v1.0.0"] = TransientError("gone for lunch")
    rig.statuses.faults.always["fraud-v2.0.0"] = TransientError("gone for lunch")
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        assert rig.published()["2.0.0"] == ("", "")
    successor = Rig(rig.cluster)
    async with successor.running():
        await until(lambda: successor.published()["2.0.0"] == ("Production", "100%"), why="the version to say it")
