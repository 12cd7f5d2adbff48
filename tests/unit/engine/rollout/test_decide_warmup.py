"""A stage that demands a warm-up: clock and evidence begin after it, and a version that fails is rolled back."""

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus.api.names import Command
from serinus.api.rollout_status import Phase, RollbackReason, StageState
from serinus.engine.analysis.measurements import Batch
from serinus.engine.rollout.waiting import WaitReason
from support.builders import CANARY, PRODUCTION, STAGING, a_spec, a_version
from support.examples import examples
from support.world import BAD, GOOD, NOTHING, World

FAILING = Batch(700, 700, 700, 700)
REQUESTS = {"requests": 1000}
READY = {"readyFor": "2m"}


def warming(warmup: dict[str, Any], **fields: Any) -> World:
    """Return a run whose canary has its traffic and warms up."""
    world = World(spec=a_spec("2.0.0", STAGING, {**CANARY, "warmup": warmup, **fields}, PRODUCTION))
    for _ in range(20):
        world.settle()
        if world.status.stage is not None and world.status.stage.state is StageState.WARMING_UP:
            return world
        world.measure()
    raise AssertionError("it never warms up")


def state(world: World) -> StageState | None:
    return world.status.stage.state if world.status.stage is not None else None


@pytest.mark.parametrize(("warmup", "ticks"), [(REQUESTS, 2), (READY, 8)])
def test_the_stage_begins_when_the_version_is_warm(warmup: dict[str, Any], ticks: int) -> None:
    world = warming(warmup)
    assert world.status.candidate is not None
    assert world.status.candidate.weight == 5
    for _ in range(ticks - 1):
        world.measure().settle()
        assert (state(world), world.status.reason) == (StageState.WARMING_UP, WaitReason.WARMING_UP.value)
    world.measure().settle()

    assert world.status.stage is not None
    assert (state(world), world.status.stage.since) == (StageState.ANALYZING, world.now)
    assert "WarmedUp" in world.reasons()


@pytest.mark.parametrize("warmup", [REQUESTS, READY])
def test_the_duration_counts_from_then_on(warmup: dict[str, Any]) -> None:
    world = warming(warmup)
    while state(world) is not StageState.ANALYZING:
        world.measure().settle()
    began = world.now
    while world.status.stage is not None and world.status.stage.name == "canary":
        world.measure().settle()
    assert world.now - began >= timedelta(minutes=10)
    assert world.run(Phase.HEALTHY).weight("2.0.0") == 10_000


def test_what_was_bad_in_the_warm_up_is_not_held_against_the_version() -> None:
    world = warming(READY)
    world.quality["2.0.0"] = BAD
    while state(world) is StageState.WARMING_UP:
        world.measure().settle()
    world.quality["2.0.0"] = GOOD

    assert world.run(Phase.HEALTHY).weight("2.0.0") == 10_000


def test_what_is_bad_after_it_is() -> None:
    world = warming(READY)
    while state(world) is StageState.WARMING_UP:
        world.measure().settle()
    world.quality["2.0.0"] = BAD

    world.run(Phase.ROLLED_BACK)
    assert world.status.rollback is not None
    assert world.status.rollback.condition == "error_rate > 0.5%"


@pytest.mark.parametrize("warmup", [{"requests": 1_000_000}, {"readyFor": "1h"}])
def test_a_version_that_fails_outright_loses_its_traffic_while_it_warms_up(warmup: dict[str, Any]) -> None:
    world = warming(warmup)
    world.quality["2.0.0"] = FAILING
    world.run(Phase.ROLLED_BACK, ticks=4)

    assert world.status.rollback is not None
    assert world.status.rollback.condition == "error_rate > 50%"
    assert world.status.rollback.at_weight == 5
    assert world.weight("2.0.0") == 0


def test_a_person_may_end_it_and_so_does_the_loss_of_its_endpoints() -> None:
    world = warming(READY)
    world.command(Command.ABORT).settle()
    assert world.status.phase is Phase.ROLLED_BACK

    world = warming({"readyFor": "1h"})
    world.versions["2.0.0"] = a_version("2.0.0", ready=0)
    world.settle()
    assert world.status.reason == WaitReason.BACKEND_NOT_READY.value
    world.pass_time(seconds=31).settle()
    assert world.status.rollback is not None
    assert world.status.rollback.reason is RollbackReason.NO_READY_ENDPOINTS


def test_without_requests_it_lasts_until_the_stages_longest_time() -> None:
    world = warming(REQUESTS, maxDuration="20m", onTimeout="Rollback")
    world.quality["2.0.0"] = NOTHING
    began = world.now
    world.run(Phase.ROLLED_BACK)

    assert world.status.rollback is not None
    assert world.status.rollback.reason is RollbackReason.STAGE_TIMED_OUT
    assert world.now - began < timedelta(minutes=21)


def test_a_pause_is_no_warm_up() -> None:
    world = warming(READY)
    world.command(Command.PAUSE).settle()
    world.pass_time(minutes=5).settle()
    world.command(Command.RESUME)
    world.commands.pop(Command.PAUSE)
    world.settle()
    assert state(world) is StageState.WARMING_UP


def test_a_warm_up_that_is_taken_out_of_the_plan_is_over() -> None:
    world = warming({"readyFor": "1h"})
    world.spec = a_spec("2.0.0", STAGING, CANARY, PRODUCTION)
    world.settle()
    assert state(world) is StageState.ANALYZING


_TICKS = st.lists(
    st.tuples(st.sampled_from(["good", "half", "idle", "failing"]), st.sampled_from(["", "", "before", "between"])),
    max_size=25,
)
_QUALITY = {"good": GOOD, "half": BAD, "idle": NOTHING, "failing": FAILING}


@settings(max_examples=examples(60))
@given(_TICKS, st.sampled_from([REQUESTS, READY, {"requests": 5000}, {"readyFor": "5m"}]))
def test_in_any_course_nothing_passes_cold_and_nothing_that_fails_stays(
    ticks: list[tuple[str, str]], warmup: dict[str, Any]
) -> None:
    """The world holds every decision against all laws as well."""
    world = warming(warmup)
    failing, warm = 0, None
    for quality, crash in ticks:
        world.quality["2.0.0"] = _QUALITY[quality]
        failing = failing + 1 if quality == "failing" else 0
        world.measure()
        if crash:
            world.look(crash=crash)
        world.settle()
        if warm is None and state(world) is StageState.ANALYZING:
            warm = world.now
        if world.status.stage is not None and world.status.stage.index > 1:
            assert warm is not None
            assert world.now - warm >= timedelta(minutes=10)
        if failing >= 4:
            assert world.status.phase is Phase.ROLLED_BACK
            assert world.weight("2.0.0") == 0
            return
