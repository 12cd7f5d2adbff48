"""Every canary is watched from the first tick on: after a restart, beside slow range queries, when the clock is set."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

import pytest

from serinus.api.rollout_status import Phase
from serinus.engine.analysis.measurements import Answer, Question
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

BAD = {"2.0.0": 1.0}


async def _hanging(*_: object) -> Mapping[Question, Sequence[Answer]]:
    await asyncio.Event().wait()
    raise AssertionError("never reached")


@in_virtual_time
async def test_a_restart_beside_range_queries_that_hang_finds_a_breach_with_the_first_answers() -> None:
    names = [f"m{number}" for number in range(50)]
    first = Rig()
    await first.canaries(*names)
    successor = Rig(first.cluster, epoch=8)
    successor.source.bad = dict(BAD)
    successor.source.replay = _hanging  # type: ignore[method-assign, assignment]
    async with successor.running():
        began = successor.clock.monotonic()
        for name in ("fraud", *names):
            await until(lambda name=name: successor.weight("2.0.0", name) == 0, why=f"{name} to be rolled back")  # type: ignore[misc]
        assert successor.clock.monotonic() - began <= 2 * successor.source.tick.total_seconds()


@asynccontextmanager
async def set_in_canary(seconds: int) -> AsyncIterator[Rig]:
    """A run that has been in its canary stage for half a minute when somebody sets the clock."""
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await asyncio.sleep(30)
        rig.clock.set_by = timedelta(seconds=seconds)
        yield rig


@pytest.mark.parametrize("seconds", [-7200, -600, -5, 600, 7200])
@in_virtual_time
async def test_a_clock_that_is_set_hides_no_breach(seconds: int) -> None:
    async with set_in_canary(seconds) as rig:
        rig.source.bad = dict(BAD)
        began = rig.clock.monotonic()
        await rig.reaches(Phase.ROLLED_BACK, within=120)
        # One tick is lost, one has the evidence; the rest is the rollback itself.
        assert rig.clock.monotonic() - began <= 3 * rig.source.tick.total_seconds()


@pytest.mark.parametrize("seconds", [-600, 600])
@in_virtual_time
async def test_a_clock_that_is_set_rolls_no_good_version_back(seconds: int) -> None:
    async with set_in_canary(seconds) as rig:
        await rig.reaches(Phase.HEALTHY)
    assert rig.status().stable is not None
    assert rig.weight("2.0.0") != 0
