"""Commands that are repeated, come at the wrong moment or cannot be followed: each has an effect or an answer."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from serinus.api.names import Command
from serinus.api.parsing import encode
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.observation import InvalidSpec
from support.builders import CANARY, PRODUCTION, STAGING, a_spec
from support.world import ADA, BAD, NOTHING, World
from support.world_states import in_canary


def test_the_same_text_counts_again_once_its_annotation_was_gone() -> None:
    world = in_canary()
    world.commands[Command.ABORT] = "bad latency"
    world.run(Phase.ROLLED_BACK)
    del world.commands[Command.ABORT]
    world.settle()
    world.command(Command.RETRY).settle()
    while not world.weight("2.0.0"):
        world.measure().settle()

    world.commands[Command.ABORT] = "bad latency"
    world.run(Phase.ROLLED_BACK)

    assert [run.run for run in world.status.history] == [2, 1]


@pytest.mark.parametrize("verb", [Command.ABORT, Command.ROLLBACK, Command.PAUSE, Command.RETRY])
def test_a_text_that_stays_where_it_is_counts_once(verb: Command) -> None:
    world = in_canary()
    world.commands[verb] = "because"
    world.settle()
    events = len(world.events)

    for _ in range(20):
        world.measure().settle()

    assert not [event for event in world.events[events:] if event.reason.value == "CommandIgnored"]


def test_a_retry_in_the_midst_of_a_rollback_waits_until_it_is_over() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD
    world.gateway_accepts = False
    world.measure().look()
    assert world.status.phase is Phase.ROLLING_BACK
    world.command(Command.RETRY, "fixed").settle()
    assert Command.RETRY.value not in world.status.last_handled

    world.quality.clear()
    world.gateway_accepts = True
    world.run(Phase.HEALTHY)

    assert world.status.run == 2
    assert world.status.last_handled[Command.RETRY.value].startswith("fixed")


@pytest.mark.parametrize("verb", [Command.RETRY, Command.PROMOTE, Command.RESUME, Command.ABORT, Command.ROLLBACK])
def test_a_command_that_a_spec_without_meaning_stops_is_answered(verb: Command) -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)
    world.spec = InvalidSpec("spec.stages", "no list")
    world.settle()

    world.command(verb).settle()

    assert world.events[-1].reason.value == "CommandIgnored"
    assert world.events[-1].message.find(f"{verb.value} was ignored") >= 0
    assert world.status.quarantined == ("2.0.0",)


def paused(world: World, on: bool) -> None:  # noqa: FBT001 - a switch
    world.command(Command.PAUSE if on else Command.RESUME)


def frozen(world: World, on: bool) -> None:  # noqa: FBT001 - a switch
    world.freeze = "quarter end" if on else None


def conflicting(world: World, on: bool) -> None:  # noqa: FBT001 - a switch
    world.conflict = "other" if on else ""


def unreadable(world: World, on: bool) -> None:  # noqa: FBT001 - a switch
    plan = world.spec.last if isinstance(world.spec, InvalidSpec) else world.spec
    assert plan is not None
    world.spec = InvalidSpec("spec.stages", "no list", last=plan) if on else plan


@pytest.mark.parametrize("hold", [paused, frozen, conflicting, unreadable])
@pytest.mark.parametrize("on_timeout", ["Rollback", "Hold"])
def test_held_time_does_not_count_for_the_time_out(hold: Callable[[World, bool], None], on_timeout: str) -> None:
    plan = {**CANARY, "duration": "30m", "maxDuration": "60m", "onTimeout": on_timeout}
    world = in_canary(spec=a_spec("2.0.0", STAGING, plan, PRODUCTION), quality={"2.0.0": NOTHING})
    hold(world, True)  # noqa: FBT003 - a switch
    world.settle()
    world.pass_time(minutes=100).measure().settle()

    hold(world, False)  # noqa: FBT003 - a switch
    world.measure().settle()

    assert world.status.rollback is None
    assert "StageTimedOut" not in world.reasons()
    for _ in range(5):
        world.pass_time(minutes=15).measure().settle()
    assert (world.status.rollback is not None) == (on_timeout == "Rollback")


@pytest.mark.parametrize("hold", [paused, frozen, conflicting, unreadable])
def test_held_time_does_not_count_for_the_duration(hold: Callable[[World, bool], None]) -> None:
    world = in_canary()
    hold(world, True)  # noqa: FBT003 - a switch
    world.settle()
    world.pass_time(minutes=100).measure().settle()

    hold(world, False)  # noqa: FBT003 - a switch
    world.measure().settle()

    assert world.status.stage is not None
    assert world.status.stage.name == "canary"


def test_long_reasons_hold_everything_but_a_rollback_before_the_status_is_too_big_for_the_store() -> None:
    """etcd takes 1.5 MiB for an object; a status above that could never be written again."""
    world = in_canary(actors=replace(ADA, reason="あ" * 4096))
    for number in range(200):
        world.unrecorded |= {record.id for record in world.status.records}
        world.command(Command.RESUME if world.status.paused else Command.PAUSE, f"again {number}").look()
        if world.status.reason == "AuditBacklog":
            break
    world.unrecorded |= {record.id for record in world.status.records}

    world.command(Command.ABORT)
    for _ in range(10):
        world.unrecorded |= {record.id for record in world.status.records}
        world.look()
        world.gateway()

    assert world.status.phase is Phase.ROLLED_BACK
    assert len(msgspec.json.encode(encode(world.status))) < 1_300_000
