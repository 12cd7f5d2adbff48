"""A step of the wall clock is said on each Rollout that is in an analysis, once; nothing waits for that."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from serinus.api.names import Command
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.decision import Event
from serinus.ports.cluster_state import RolloutRecord
from support.records import endpoints, key
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

TICK = 5.0
AT_A_TICK = 25
MANY = 100


def told(rig: Rig, name: str = "fraud") -> list[Event]:
    """The events of steps on one Rollout."""
    return [event for owner, event in rig.events.published if owner == name and event.reason.value == "ClockStepped"]


async def set_clock(rig: Rig, seconds: float) -> None:
    """Somebody sets the clock; then two ticks pass."""
    rig.clock.set_by += timedelta(seconds=seconds)
    await asyncio.sleep(2 * TICK)


@pytest.mark.parametrize(
    ("seconds", "move"),
    [(7200, "forward by 2h"), (-600, "back by 10m"), (2, "forward by 2s")],
)
@in_virtual_time
async def test_a_step_is_said_once_with_its_length_its_direction_and_what_it_means(seconds: int, move: str) -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await asyncio.sleep(30)
        await set_clock(rig, seconds)
        (event,) = told(rig)
        assert event.warning
        assert event.message.startswith(f"Run 1, 2.0.0: The operator's clock was set {move}, to 2026-11-23 ")
        assert "The evidence of stage canary is collected anew" in event.message
        assert event.message.endswith("The stage lasts as long as planned all the same.")
        await asyncio.sleep(60)
        assert told(rig) == [event]
        await set_clock(rig, seconds)
        assert len(told(rig)) == 2
        assert len({event.message for event in told(rig)}) == 2, "the API server would fold equal ones into one"


@in_virtual_time
async def test_a_clock_that_is_slewed_is_not_said() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        for _ in range(10):
            await set_clock(rig, 0.9)
        assert told(rig) == []


@in_virtual_time
async def test_a_rollout_at_rest_or_in_a_stage_without_conditions_is_told_nothing() -> None:
    rig = Rig()
    rig.model("calm")
    async with rig.running():
        await rig.reaches(Phase.HEALTHY, "calm")
        rig.checks.open.clear()
        staging = {"name": "staging", "traffic": "0%", "tests": [{"name": "answers", "http": {"path": "/"}}]}
        rig.model("staged", staging, {"name": "production", "traffic": "100%", "abortOn": ["error_rate > 0.5%"]})
        rig.model()
        await rig.reaches_canary()
        await asyncio.sleep(30)
        await set_clock(rig, 600)
        assert len(told(rig)) == 1
        assert told(rig, "calm") == []
        assert told(rig, "staged") == []


@in_virtual_time
async def test_many_are_told_a_few_at_a_tick_and_no_rollback_waits_for_it() -> None:
    names = ["fraud", *(f"m{number}" for number in range(MANY))]
    first = Rig()
    await first.canaries(*names[1:])
    rig = Rig(first.cluster, epoch=8)
    async with rig.running():
        await asyncio.sleep(30)
        rig.clock.set_by = timedelta(hours=1)
        rig.source.bad = {"2.0.0": 1.0}
        began = rig.clock.monotonic()
        await until(lambda: rig.weight("2.0.0") == 0, why="the rollback")
        assert rig.clock.monotonic() - began <= 3 * TICK
        assert sum(len(told(rig, name)) for name in names) <= 3 * AT_A_TICK
        await asyncio.sleep(MANY / AT_A_TICK * TICK + TICK)
        assert [len(told(rig, name)) for name in names] == [1] * len(names)


@in_virtual_time
async def test_neither_a_deleted_rollout_is_told_nor_anything_by_who_does_not_lead() -> None:
    names = [f"m{number}" for number in range(60)]
    first = Rig()
    await first.canaries(*names)
    rig = Rig(first.cluster, epoch=8)
    async with rig.running():
        await asyncio.sleep(30)
        rig.clock.set_by = timedelta(hours=1)
        await until(lambda: any(told(rig, name) for name in names), why="the first to be told")
        waiting = [name for name in names if not told(rig, name)]
        rig.cluster.remove(RolloutRecord, key(waiting[0]))
        await asyncio.sleep(TICK)
        rig.leadership.epoch = None
        silent = [name for name in waiting if not told(rig, name)]
        await asyncio.sleep(60)
        assert waiting[0] in silent
        assert len(silent) >= 2
        assert not any(told(rig, name) for name in silent)


@in_virtual_time
async def test_a_stage_that_a_clock_began_which_was_ahead_is_watched_from_the_first_tick() -> None:
    first = Rig()
    first.clock.set_by = timedelta(hours=2)
    first.model()
    async with first.running():
        await first.reaches_canary()
    rig = Rig(first.cluster, first.source, epoch=8)
    rig.source.bad = {"2.0.0": 1.0}
    async with rig.running():
        began = rig.clock.monotonic()
        await until(lambda: rig.weight("2.0.0") == 0, why="the rollback", within=600)
        assert rig.clock.monotonic() - began <= 60


@in_virtual_time
async def test_a_version_that_a_clock_ahead_retried_is_watched_from_the_first_tick() -> None:
    """Its earlier run ended in what is still to come."""
    first = Rig()
    first.clock.set_by = timedelta(hours=2)
    first.model()
    first.source.bad = {"2.0.0": 1.0}
    async with first.running():
        await first.reaches(Phase.ROLLED_BACK)
        record = first.cluster.rollout(key())
        first.cluster.put(replace(record, commands={**record.commands, Command.RETRY.value: "again"}))
        await first.reaches_canary()
    rig = Rig(first.cluster, first.source, epoch=8)
    async with rig.running():
        began = rig.clock.monotonic()
        await until(lambda: rig.weight("2.0.0") == 0, why="the rollback", within=600)
        assert rig.clock.monotonic() - began <= 120


@in_virtual_time
async def test_a_version_without_endpoints_is_not_kept_for_longer_where_the_clock_is_set_back() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.put(endpoints("fraud", "2.0.0", ready=0))
        await until(lambda: _unready(rig), why="the missing endpoints to be noted")
        rig.clock.set_by = -timedelta(hours=2)
        began = rig.clock.monotonic()
        await until(lambda: rig.weight("2.0.0") == 0, why="the rollback", within=600)
        assert rig.clock.monotonic() - began <= 45


def _unready(rig: Rig) -> bool:
    candidate = rig.status().candidate
    return candidate is not None and candidate.not_ready_since is not None
