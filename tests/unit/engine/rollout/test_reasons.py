"""A reason, and an override, belongs to one act of the person who wrote it."""

from dataclasses import replace

import pytest

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.model import ApprovalPolicy, ModelSpec, RequiredFacts, VersioningPolicy
from serinus.api.names import Command
from serinus.api.rollout_status import MAX_USED_REASONS, Phase, StageState
from serinus.engine.rollout.observation import Actors
from support.builders import CANARY, PRODUCTION, STAGING, a_spec, a_version
from support.world import World

_LAX = VersioningPolicy(allow_major_in_place=True)
_STRICT = ModelSpec(versioning=_LAX, require=RequiredFacts(reason=True), approvals=ApprovalPolicy(four_eyes=True))
_GATED = {**PRODUCTION, "approval": "Required"}
_ADA = Actors(requested_by="ada", spec_by="ada", version_by="ada")


def _waiting() -> World:
    """A run that waits for approval under a strict policy; ada asked for it, and wrote why."""
    actors = replace(_ADA, reason="a model with fewer false alarms", reason_by="ada")
    world = World(spec=a_spec("2.0.0", STAGING, CANARY, _GATED), actors=actors, policy=_STRICT)
    for _ in range(200):
        world.settle()
        if world.status.stage is not None and world.status.stage.state is StageState.AWAITING_APPROVAL:
            return world
        world.measure()
    raise AssertionError(world.status.summary)


def _told(world: World, event: AuditEvent) -> list[AuditEntry]:
    made = {record.id: record for _, _, decision in world.decisions for record in decision.status.records}
    return [record for record in made.values() if record.event is event]


def _ask(world: World, verb: Command, by: str, token: str = "now", **others: object) -> World:
    actors = replace(world.actors, requested_by=by, **others)  # type: ignore[arg-type]
    world.actors = replace(actors, approved_by=by) if verb is Command.PROMOTE else actors
    return world.command(verb, token).settle()


def test_the_reason_beside_the_version_is_recorded_with_the_start() -> None:
    (started,) = _told(_waiting(), AuditEvent.ROLLOUT_STARTED)
    assert (started.actor.name, started.reason) == ("ada", "a model with fewer false alarms")


def test_a_reason_that_is_recorded_already_is_nobodys_reason_for_another_act() -> None:
    world = _ask(_waiting(), Command.PAUSE, "ada")
    (paused,) = _told(world, AuditEvent.PAUSED)
    assert paused.reason.startswith("now")
    _ask(world, Command.RESUME, "ada")
    (ignored,) = _told(world, AuditEvent.COMMAND_IGNORED)
    assert "this one is recorded for an earlier act" in ignored.message
    _ask(world, Command.RESUME, "ada", reason="the latency is explained")
    (resumed,) = _told(world, AuditEvent.RESUMED)
    assert resumed.reason == "the latency is explained"


def test_a_reason_that_somebody_else_wrote_does_not_let_a_promotion_through() -> None:
    world = _waiting()
    _ask(world, Command.PROMOTE, "bob", reason="ada: investigating the latency", reason_by="ada")
    (ignored,) = _told(world, AuditEvent.COMMAND_IGNORED)
    assert "this one was written by ada" in ignored.message
    _ask(world, Command.PROMOTE, "bob", reason="report MR-88", reason_by="bob")
    (approved,) = _told(world, AuditEvent.APPROVED)
    assert (approved.actor.name, approved.reason) == ("bob", "report MR-88")


def test_the_command_line_repeats_the_reason_in_the_token_so_that_it_may_be_given_twice() -> None:
    world = _waiting()
    for verb in (Command.PAUSE, Command.RESUME, Command.PAUSE, Command.RESUME):
        _ask(world, verb, "ada", "INC-12 (2026-11-23T14:00:00Z)", reason="INC-12", reason_by="ada")
    assert [one.reason for one in _told(world, AuditEvent.RESUMED)] == ["INC-12", "INC-12"]
    assert not _told(world, AuditEvent.COMMAND_IGNORED)


def test_two_commands_that_come_with_one_reason_both_have_it() -> None:
    world = _ask(_waiting(), Command.PAUSE, "ada")
    world.command(Command.RESUME)
    _ask(world, Command.PROMOTE, "bob", reason="report MR-88", reason_by="bob")
    assert [one.reason for one in _told(world, AuditEvent.RESUMED)] == ["report MR-88"]
    assert [one.reason for one in _told(world, AuditEvent.APPROVED)] == ["report MR-88"]


def test_a_stale_reason_does_not_hold_up_an_abort_and_is_not_recorded_with_it() -> None:
    world = _ask(_waiting(), Command.ABORT, "bob")
    assert world.status.phase is Phase.ROLLED_BACK
    (started,) = _told(world, AuditEvent.ROLLBACK_STARTED)
    assert started.reason.startswith("now")


def test_the_status_remembers_a_bounded_number_of_reasons() -> None:
    world = _waiting()
    for number in range(MAX_USED_REASONS + 3):
        _ask(world, Command.PAUSE, "ada", reason=f"reason {number}", reason_by="ada")
    assert len(world.status.used_reasons) == MAX_USED_REASONS


def test_an_override_does_without_the_second_person_and_stands_on_record() -> None:
    world = _waiting()
    world.override = "payments are down, nobody else answers"
    _ask(world, Command.PROMOTE, "ada", override_by="ada")
    (approved,) = _told(world, AuditEvent.APPROVED)
    assert "BY OVERRIDE" in approved.message
    assert (approved.reason, approved.details["override"]) == (world.override, "true")
    assert world.weight("2.0.0") == 10_000


@pytest.mark.parametrize("by", ["carol", "unverified"])
def test_an_override_counts_for_nobody_but_who_wrote_it(by: str) -> None:
    world = _waiting()
    world.override = "payments are down"
    _ask(world, Command.PROMOTE, "ada", override_by=by, reason="as carol says", reason_by="ada")
    (refused,) = _told(world, AuditEvent.APPROVAL_REFUSED)
    assert "somebody else must approve" in refused.message


def test_an_override_counts_once_whatever_became_of_its_command() -> None:
    world = _waiting()
    _ask(world, Command.PAUSE, "ada")
    world.override = "payments are down"
    _ask(world, Command.PROMOTE, "ada", override_by="ada")
    assert "paused" in _told(world, AuditEvent.COMMAND_IGNORED)[-1].message
    _ask(world, Command.RESUME, "ada", reason="go on", reason_by="ada")
    _ask(world, Command.PROMOTE, "ada", reason="again", reason_by="ada")
    assert _told(world, AuditEvent.APPROVAL_REFUSED)


def test_a_rollback_by_override_says_so() -> None:
    world = World(versions={one: a_version(one) for one in ("0.9.0", "1.0.0", "2.0.0")}, served=frozenset({"0.9.0"}))
    world.run(Phase.HEALTHY)
    world.rollback_to, world.override = "0.9.0", "1.0.0 has the same defect"
    _ask(world, Command.ROLLBACK, "carol", override_by="carol")
    (started,) = _told(world, AuditEvent.ROLLBACK_STARTED)
    assert (started.to, started.reason, started.details["override"]) == ("0.9.0", world.override, "true")
