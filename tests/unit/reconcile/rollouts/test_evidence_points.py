"""The points of the evidence: they cost no write of their own, and a restart of the operator loses none."""

import asyncio
from datetime import timedelta

import pytest

from serinus.api.rollout_status import EvidencePoint, Phase, RolloutStatus
from serinus.engine.rollout import conclude, evidence
from serinus.ports.cluster_state import Meta, RolloutRecord
from serinus.ports.services import Guard
from support.builders import CANARY, PRODUCTION, STAGING
from support.fake_source import everything, nothing
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

LONG = {**CANARY, "duration": "40m"}


def points(rig: Rig) -> tuple[EvidencePoint, ...]:
    found = rig.status().evidence
    return found[0].points if found else ()


def writes_of_a_run() -> list[tuple[float, RolloutStatus]]:
    """Every status that is written in a whole run, each with the time."""
    written: list[tuple[float, RolloutStatus]] = []
    in_virtual_time(_note_writes)(written)
    return written


async def _note_writes(written: list[tuple[float, RolloutStatus]]) -> None:
    rig = Rig()
    write_rollout = rig.statuses.write_rollout

    async def write(meta: Meta, status: RolloutStatus, *, guard: Guard | None = None) -> RolloutRecord:
        written.append((rig.clock.monotonic(), status))
        return await write_rollout(meta, status, guard=guard)

    rig.statuses.write_rollout = write  # type: ignore[method-assign]
    rig.model("fraud", STAGING, LONG, PRODUCTION)
    async with rig.running():
        await rig.reaches(Phase.HEALTHY, within=7200)


def test_the_status_is_written_no_more_often_than_without_points() -> None:
    with_points = writes_of_a_run()
    assert max(len(one.points) for _, status in with_points for one in status.evidence) == 20
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evidence, "with_point", lambda held, _: held)
        patch.setattr(conclude, "refreshed", lambda situation, _: situation.evidence)
        without = writes_of_a_run()
    assert not any(one.points for _, status in without for one in status.evidence)
    assert [at for at, _ in with_points] == [at for at, _ in without]


@in_virtual_time
async def test_a_restarted_operator_goes_on_with_the_points_of_its_predecessor() -> None:
    first = Rig()
    first.model("fraud", STAGING, LONG, PRODUCTION)
    async with first.running():
        await first.reaches_canary()
        await asyncio.sleep(400)
        known = points(first)
    assert len(known) >= 5
    successor = Rig(first.cluster, first.source, epoch=8)
    async with successor.running():
        await until(lambda: len(points(successor)) > len(known), why="another point", within=120)
        assert points(successor)[: len(known)] == known
        assert points(successor)[-1].requests > known[-1].requests


@in_virtual_time
async def test_a_restart_without_a_metric_source_loses_no_point() -> None:
    first = Rig()
    first.model("fraud", STAGING, LONG, PRODUCTION)
    async with first.running():
        await first.reaches_canary()
        await asyncio.sleep(400)
        known = points(first)
    successor = Rig(first.cluster, first.source, epoch=8)
    successor.source.down = everything
    async with successor.running():
        await until(lambda: successor.status().reason == "ProviderDown", why="the outage to be said", within=120)
        assert points(successor) == known
        successor.source.down = nothing
        await until(lambda: len(points(successor)) > len(known), why="another point", within=240)
        assert points(successor)[: len(known)] == known


@pytest.mark.parametrize("seconds", [-7200, 7200])
@in_virtual_time
async def test_after_the_clock_was_set_the_figures_are_refreshed_and_the_times_rise(seconds: int) -> None:
    rig = Rig()
    rig.model("fraud", STAGING, {**CANARY, "duration": "6h"}, PRODUCTION)
    async with rig.running():
        await rig.reaches_canary()
        await asyncio.sleep(400)
        rig.clock.set_by = timedelta(seconds=seconds)
        await asyncio.sleep(200)
        times = [point.at for point in points(rig)]
        assert times == sorted(set(times))
        assert timedelta(0) <= rig.clock.now() - times[-1] <= timedelta(seconds=90)
