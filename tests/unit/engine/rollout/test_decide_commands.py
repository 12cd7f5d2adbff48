"""Commands, approvals and freezes in whole runs of `decide`."""

from dataclasses import replace

import pytest

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.names import Command
from serinus.api.parsing import decode, encode
from serinus.api.rollout_status import Phase, RolloutStatus
from support.builders import CANARY, PRODUCTION, STAGING, a_spec
from support.world import BAD, NOTHING, World
from support.world_states import condition, in_canary


def test_pause_holds_the_weight_and_resume_lets_it_go_on() -> None:
    world = in_canary().command(Command.PAUSE, "INC-4711")
    for _ in range(60):
        world.measure().settle()

    assert world.status.phase is Phase.PAUSED
    assert world.weight("2.0.0") == 500
    assert "INC-4711" in world.status.summary
    assert condition(world, ConditionType.READY) == (ConditionStatus.UNKNOWN, "Paused")

    world.command(Command.RESUME).run(Phase.HEALTHY)


def test_what_a_person_wrote_controls_no_terminal() -> None:
    world = in_canary().command(Command.PAUSE, "a\x1b[2J\u202eb")
    world.settle()

    told = [world.status.summary, world.status.next_action, *(one.message for one in world.status.conditions)]
    told += [event.message for event in world.events]
    assert world.status.last_handled[Command.PAUSE].startswith("a\x1b[2J\u202eb")
    assert "a\ufffd[2J\ufffdb" in world.status.summary
    assert [text for text in told if "\x1b" in text or "\u202e" in text] == []


def test_what_a_person_wrote_makes_no_status_too_long_to_be_stored() -> None:
    world = World(freeze="x" * 200_000)
    world.settle()
    assert world.status.next_action.endswith("…")
    assert decode(RolloutStatus, encode(world.status), "status") == world.status


def test_a_paused_candidate_still_loses_its_traffic_on_a_breach() -> None:
    world = in_canary().command(Command.PAUSE)
    world.settle()
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)

    assert world.weight("2.0.0") == 0


def test_a_frozen_namespace_lets_nothing_start_or_rise_but_lets_a_breach_roll_back() -> None:
    world = World(freeze="quarter end")
    world.settle()
    assert world.status.phase is Phase.PENDING
    assert "quarter end" in world.status.next_action
    assert world.weight("2.0.0") is None

    world.freeze = None
    while not (world.status.stage and world.status.stage.name == "canary"):
        world.measure().settle()
    world.freeze = "quarter end"
    for _ in range(60):
        world.measure().settle()
    assert world.weight("2.0.0") == 500

    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)


def test_abort_by_a_person_rolls_back_and_names_them() -> None:
    world = in_canary().command(Command.ABORT, "users complain")

    world.run(Phase.ROLLED_BACK)

    assert world.status.rollback is not None
    assert world.status.rollback.requested_by == "ada@example.org"
    assert "users complain" in world.status.summary


def issued_by(world: World, **people: str) -> None:
    """Let these people give commands within one second, and somebody else change the spec after them."""
    issuers = tuple((Command(verb).annotation, name) for verb, name in people.items())
    world.actors = replace(world.actors, requested_by="mallory", issuers=issuers)


def actors_by_event(world: World) -> dict[str, str]:
    """The actor of the last record of each event."""
    return {entry.event.value: entry.actor.name for _, _, made in world.decisions for entry in made.status.records}


def test_two_people_who_give_commands_within_one_second_are_not_mixed_up() -> None:
    world = in_canary().command(Command.ABORT, "users complain").command(Command.PAUSE, "wait")
    issued_by(world, abort="carol", pause="dave")
    world.settle()
    by = actors_by_event(world)
    assert (by["Paused"], by["RollbackStarted"]) == ("dave", "carol")
    assert world.status.rollback is not None
    assert world.status.rollback.requested_by == "carol"


@pytest.mark.parametrize(
    ("verb", "event"),
    [(Command.RESUME, "CommandIgnored"), (Command.RETRY, "CommandIgnored"), (Command.PAUSE, "Paused")],
)
def test_a_command_is_recorded_as_of_who_gave_it_whatever_came_of_it(verb: Command, event: str) -> None:
    world = in_canary().command(verb)
    issued_by(world, **{verb.value: "carol"})
    world.settle()
    assert actors_by_event(world)[event] == "carol"


def test_a_rollback_and_a_retry_are_of_who_asked_for_them() -> None:
    world = World().run(Phase.HEALTHY).command(Command.ROLLBACK, "wrong scores")
    issued_by(world, rollback="carol")
    world.run(Phase.ROLLED_BACK)
    world.commands.clear()
    world.settle()
    world.command(Command.RETRY)
    issued_by(world, retry="dave")
    world.settle()
    by = actors_by_event(world)
    assert (by["RollbackStarted"], by["QuarantineLifted"]) == ("carol", "dave")


def test_a_command_from_before_each_was_stamped_is_of_who_wrote_last() -> None:
    world = in_canary().command(Command.PAUSE, "wait")
    world.settle()
    assert world.status.paused is not None
    assert world.status.paused.requested_by == "ada@example.org"


def test_rollback_of_a_settled_version_needs_no_stages() -> None:
    world = World().run(Phase.HEALTHY).command(Command.ROLLBACK, "wrong scores")

    world.run(Phase.ROLLED_BACK)

    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0)
    assert world.status.quarantined == ("2.0.0",)


def test_a_promoted_version_that_is_taken_back_later_is_in_the_history_from_the_decision_on() -> None:
    world = World().run(Phase.HEALTHY).pass_time(days=12)
    world.command(Command.ROLLBACK, "wrong scores").run(Phase.ROLLED_BACK)
    back, promoted = world.status.history[:2]
    assert world.status.rollback is not None
    assert (back.run, back.started_at) == (promoted.run, world.status.rollback.decided_at)
    assert promoted.started_at < promoted.ended_at < back.started_at <= back.ended_at


def test_a_pause_without_a_run_outlives_a_rollback_and_holds_the_next_run() -> None:
    world = World().run(Phase.HEALTHY).command(Command.PAUSE, "no new version before the audit").settle()
    world.command(Command.ROLLBACK, "wrong scores").run(Phase.ROLLED_BACK)
    assert "no new version before the audit" in world.status.summary
    world.wish("3.0.0").settle()
    assert (world.status.reason, world.status.candidate) == ("Paused", None)

    world.command(Command.RESUME).settle()
    assert world.status.candidate is not None
    assert world.status.candidate.version == "3.0.0"


def test_a_pause_of_a_run_ends_with_its_rollback() -> None:
    world = in_canary().command(Command.PAUSE).settle()
    world.command(Command.ABORT).run(Phase.ROLLED_BACK)
    assert world.status.paused is None


def test_rollback_without_a_target_is_ignored_with_an_event() -> None:
    world = World(spec=a_spec("1.0.0")).run(Phase.HEALTHY).command(Command.ROLLBACK)

    world.settle()

    assert world.status.phase is Phase.HEALTHY
    assert world.reasons()[-1] == "CommandIgnored"


def test_a_command_is_acted_on_once() -> None:
    world = in_canary().command(Command.ABORT)
    world.run(Phase.ROLLED_BACK)
    world.command(Command.RETRY)

    world.run(Phase.HEALTHY)

    assert world.status.last_handled.keys() == {"abort", "retry"}


def test_an_approval_is_awaited_before_the_stage_that_needs_it() -> None:
    gated = {**PRODUCTION, "approval": "Required"}
    world = World(spec=a_spec("2.0.0", STAGING, CANARY, gated)).run(Phase.PAUSED)

    assert (world.status.reason, world.weight("2.0.0")) == ("AwaitingApproval", 500)
    for _ in range(20):
        world.measure().settle()
    assert world.weight("2.0.0") == 500

    world.command(Command.PROMOTE, "CAB-17").run(Phase.HEALTHY)
    assert "Approved" in world.reasons()


def test_a_candidate_that_turns_bad_while_a_person_is_awaited_rolls_back() -> None:
    gated = {**PRODUCTION, "approval": "Required"}
    world = World(spec=a_spec("2.0.0", STAGING, CANARY, gated)).run(Phase.PAUSED)
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)


def test_promote_ends_the_wait_but_never_the_need_for_evidence() -> None:
    world = in_canary()
    world.quality["2.0.0"] = NOTHING
    world.measure().command(Command.PROMOTE).settle()
    assert world.status.stage is not None
    assert (world.status.stage.name, world.status.reason) == ("canary", "NoTraffic")

    world.quality.clear()
    world.measure().settle()

    assert world.status.stage.name == "production"


def test_promote_where_nothing_waits_is_ignored_with_an_event() -> None:
    world = World(spec=a_spec("1.0.0")).run(Phase.HEALTHY).command(Command.PROMOTE)

    world.settle()

    assert world.events[-1].reason.value == "CommandIgnored"
