"""A stage lasts as long as planned, whatever the wall clock is set to and whenever."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serinus.api.names import Command
from serinus.api.rollout_status import CurrentStage, Phase
from serinus.errors import TransientError
from support.builders import CANARY, PRODUCTION, STAGING
from support.records import key
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

PLANNED = 600.0
"""Seconds of the canary stage."""


def stage_of(rig: Rig) -> CurrentStage:
    stage = rig.status().stage
    assert stage is not None
    return stage


def set_by(rig: Rig, seconds: float) -> None:
    rig.clock.set_by += timedelta(seconds=seconds)


def command(rig: Rig, verb: Command) -> None:
    record = rig.cluster.rollout(key())
    rig.cluster.put(replace(record, commands={**record.commands, verb.value: "because"}))


def in_stage(**changes: Any) -> Rig:
    rig = Rig()
    rig.model("fraud", STAGING, {**CANARY, **changes}, PRODUCTION)
    return rig


@pytest.mark.parametrize(
    "steps", [(7200,), (300, 300), (2,), (-300,), (300, -300), (-3600, 3600, 7200), (3600, -3600, 3600)]
)
@in_virtual_time
async def test_a_stage_lasts_as_long_as_planned(steps: tuple[int, ...]) -> None:
    rig = in_stage()
    async with rig.running():
        await rig.reaches_canary()
        began = rig.clock.monotonic()
        for step in steps:
            await asyncio.sleep(50)
            set_by(rig, step)
        await rig.reaches_stage("production", within=2000)
        assert PLANNED - 10 <= rig.clock.monotonic() - began <= PLANNED + 60


@in_virtual_time
async def test_a_stage_is_not_shortened_by_a_step_right_before_a_decision_between_two_ticks() -> None:
    rig = in_stage()
    async with rig.running():
        await rig.reaches_canary()
        await asyncio.sleep(51)
        set_by(rig, 7200)
        rig.queue.enqueue(key())
        await asyncio.sleep(0.5)
        assert stage_of(rig).name == "canary"
        assert stage_of(rig).held_seconds == pytest.approx(7200, abs=1)
        assert stage_of(rig).state_held_seconds == pytest.approx(7200, abs=1)


@in_virtual_time
async def test_a_step_beyond_the_longest_time_rolls_no_good_version_back() -> None:
    rig = in_stage(maxDuration="15m", onTimeout="Rollback")
    async with rig.running():
        await rig.reaches_canary()
        await asyncio.sleep(50)
        set_by(rig, 7200)
        await rig.reaches(Phase.HEALTHY)
    assert rig.status().rollback is None


@in_virtual_time
async def test_a_correction_is_stored_once_and_survives_a_restart() -> None:
    rig = in_stage()
    async with rig.running():
        await rig.reaches_canary()
        began = rig.clock.monotonic()
        await asyncio.sleep(50)
        set_by(rig, 7200)
        await until(lambda: stage_of(rig).held_seconds > 0, why="the correction")
        stored = stage_of(rig).held_seconds
        await asyncio.sleep(100)
        assert stage_of(rig).held_seconds == stored
    successor = Rig(rig.cluster, rig.source, epoch=8)
    set_by(successor, 7200)
    async with successor.running():
        await asyncio.sleep(100)
        assert stage_of(successor).held_seconds == stored
        await successor.reaches_stage("production", within=2000)
        assert PLANNED - 10 <= successor.clock.monotonic() - began <= PLANNED + 60


@in_virtual_time
async def test_a_correction_whose_write_fails_is_decided_again() -> None:
    rig = in_stage()
    async with rig.running():
        await rig.reaches_canary()
        await asyncio.sleep(50)
        rig.statuses.faults.before.extend([TransientError("the API server is away")] * 3)
        set_by(rig, 7200)
        await until(lambda: stage_of(rig).held_seconds > 0, why="the correction", within=60)
        assert stage_of(rig).held_seconds == pytest.approx(7200, abs=1)


@in_virtual_time
async def test_a_stage_that_is_held_while_the_clock_is_set_loses_no_time_either() -> None:
    rig = in_stage()
    async with rig.running():
        await rig.reaches_canary()
        await asyncio.sleep(100)
        command(rig, Command.PAUSE)
        await rig.reaches(Phase.PAUSED, within=30)
        set_by(rig, 7200)
        await asyncio.sleep(50)
        command(rig, Command.RESUME)
        began = rig.clock.monotonic()
        await rig.reaches_stage("production", within=2000)
        assert PLANNED - 100 - 10 <= rig.clock.monotonic() - began <= PLANNED - 100 + 60


@in_virtual_time
async def test_what_happened_to_the_clock_before_a_term_is_no_step_of_it() -> None:
    rig = in_stage()
    async with rig.running():
        await rig.reaches_canary()
        await asyncio.sleep(50)
        rig.leadership.epoch = None
        await asyncio.sleep(10)
        set_by(rig, 7200)
        await asyncio.sleep(10)
        rig.leadership.epoch = 9
        rig.queue.enqueue(key())
        await asyncio.sleep(0.5)
        assert rig.status().stage is None or stage_of(rig).held_seconds == 0


@in_virtual_time
async def test_a_rollout_at_rest_is_not_written() -> None:
    rig = in_stage()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: not rig.status().records, why="its records to be delivered")
        await asyncio.sleep(60)
        status = rig.status()
        set_by(rig, 7200)
        rig.queue.enqueue(key())
        await asyncio.sleep(60)
        assert rig.status() == status


BUSY = 2.0
"""Seconds that each write of a status takes, half of them before it has its effect."""

SHORT, PAUSE = 120.0, 30.0
"""Seconds of the stage, and of the pause in it."""


@given(
    steps=st.lists(st.tuples(st.floats(0, 150), st.sampled_from((-3600, 3600)), st.booleans()), max_size=2),
    paused_after=st.none() | st.floats(5, 100),
    from_start=st.booleans(),
)
@example(steps=[(1.0, 3600, True)], paused_after=None, from_start=True)
@example(steps=[(2.5, 3600, True)], paused_after=None, from_start=True)
@example(steps=[(0.2, 3600, True), (0.2, 3600, True)], paused_after=None, from_start=True)
@example(steps=[(33.0, -3600, True)], paused_after=30.0, from_start=False)
def test_a_step_at_any_moment_of_a_busy_operator_changes_no_length(
    steps: list[tuple[float, int, bool]], paused_after: float | None, *, from_start: bool
) -> None:
    """Another Rollout's decisions notice the steps, also while a write of this one is under way.

    Args:
        steps: after which time the clock is set, by how much, and whether it is put right 4 s later.
        paused_after: when the stage is paused.
        from_start: whether the times count from the start of the run instead of from that of the stage.
    """

    @in_virtual_time
    async def run() -> None:
        rig = in_stage(duration="2m", minRequests=10)
        rig.model("other", STAGING, {**CANARY, "duration": "2h"}, PRODUCTION)
        rig.statuses.faults.latency = BUSY

        async def step(after: float, by: int, *, put_right: bool) -> None:
            await asyncio.sleep(after)
            set_by(rig, by)
            if put_right:
                await asyncio.sleep(4)
                set_by(rig, -by)

        async def pause(after: float) -> None:
            await asyncio.sleep(after)
            command(rig, Command.PAUSE)
            await asyncio.sleep(PAUSE)
            command(rig, Command.RESUME)

        async def decide_often() -> None:
            while True:
                await asyncio.sleep(0.5)
                rig.queue.enqueue(key("other"))

        async with rig.running(), asyncio.TaskGroup() as group:
            tasks = [group.create_task(decide_often())]
            if not from_start:
                await rig.reaches_canary()
            tasks += [group.create_task(step(after, by, put_right=back)) for after, by, back in steps]
            tasks += [group.create_task(pause(paused_after))] if paused_after is not None else []
            await rig.reaches_canary()
            began = rig.clock.monotonic()
            await rig.reaches_stage("production")
            lasted = rig.clock.monotonic() - began
            for task in tasks:
                task.cancel()
        assert SHORT - 15 <= lasted <= SHORT + (PAUSE if paused_after is not None else 0) + 60

    run()
