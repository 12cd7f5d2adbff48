"""A plan that is edited while a run is under way: the trail has who changed which limits, and when."""

import json
from dataclasses import replace
from typing import Any

from msgspec import structs

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.observation import InvalidSpec
from serinus.engine.rollout.outbox import BACKLOG
from support.builders import CANARY, PRODUCTION, STAGING, a_spec
from support.world import World
from support.world_states import in_canary

LOOSE = {**CANARY, "abortOn": ["error_rate > 50%"], "minRequests": 1}


def edit(world: World, canary: dict[str, Any] = LOOSE, **fields: Any) -> None:
    world.spec = a_spec("2.0.0", STAGING, canary, PRODUCTION, **fields)
    world.generation += 1


def recorded(world: World) -> list[AuditEntry]:
    """The records of edits that were made, in the order in which they were."""
    made = {entry.id: entry for _, _, decision in world.decisions for entry in decision.status.records}
    return [entry for entry in made.values() if entry.event is AuditEvent.PLAN_CHANGED]


def test_the_record_of_an_edit_says_who_made_it_and_what_the_version_is_judged_by_now() -> None:
    world = in_canary()
    world.measure().settle()
    world.actors = replace(world.actors, spec_by="mallory", requested_by="somebody else")
    edit(world, guards="Off")
    world.settle()
    (entry,) = recorded(world)
    assert (entry.actor.name, entry.version) == ("mallory", "2.0.0")
    assert entry.rollout is not None
    assert (entry.rollout.stage, entry.rollout.generation) == ("canary", 2)
    assert "has now the limits error_rate > 50% and was judged by " in entry.message
    canary = json.loads(entry.details["plan"])[1]
    assert (canary["abortOn"], canary["minRequests"]) == (["error_rate > 50%"], 1)
    assert entry.details["guards"] == "Off"
    assert (entry.details["former"], entry.details["generation"]) == ("1", "2")


def test_the_beginning_of_a_run_and_an_edit_are_recorded_alike_so_that_they_can_be_compared() -> None:
    world = in_canary()
    began = next(
        entry
        for _, _, decision in world.decisions
        for entry in decision.status.records
        if entry.event is AuditEvent.ROLLOUT_STARTED
    )
    edit(world, {**CANARY, "minRequests": 7})
    world.measure().settle()
    (entry,) = recorded(world)
    before, after = (json.loads(one.details["plan"]) for one in (began, entry))
    assert after[1].pop("minRequests") == 7
    assert before[1].pop("minRequests", None) != 7
    assert after == before
    assert began.details.keys() - {"from"} == entry.details.keys() - {"former", "generation"}


def test_each_edit_is_recorded_once() -> None:
    world = in_canary()
    for number in range(3):
        edit(world, {**LOOSE, "minRequests": number + 1})
        world.measure().settle()
        world.measure().settle()
    assert len(recorded(world)) == 3


def test_an_edit_that_ends_the_run_has_the_record_of_that() -> None:
    world = in_canary()
    world.wish("3.0.0")
    world.generation += 1
    world.settle()
    assert recorded(world) == []
    assert "RolloutSuperseded" in world.reasons()


def test_an_edit_between_two_runs_is_in_the_record_of_the_next_one() -> None:
    world = in_canary()
    world.settle()
    while world.status.phase is not Phase.HEALTHY:
        world.pass_time(hours=3).measure().settle()
    edit(world)
    world.settle()
    world.wish("3.0.0")
    world.settle()
    assert recorded(world) == []


def test_a_spec_that_cannot_be_read_is_no_plan_yet_and_the_mended_one_is() -> None:
    world = in_canary()
    readable = world.spec
    assert not isinstance(readable, InvalidSpec)
    world.spec = InvalidSpec("spec.stages", "must rise", readable)
    world.generation += 1
    world.settle()
    assert recorded(world) == []
    edit(world)
    world.settle()
    assert [entry.details["former"] for entry in recorded(world)] == ["1"]


def test_the_run_of_an_earlier_release_has_no_plan_to_compare_with() -> None:
    world = in_canary()
    world.status = structs.replace(world.status, plan_generation=0)
    edit(world)
    world.settle()
    assert recorded(world) == []


def test_while_too_much_waits_for_the_registry_an_edit_is_recorded_later() -> None:
    world = in_canary()
    world.registry_down = True
    waiting = tuple(structs.replace(world.status.records[0], id=f"id-{number}") for number in range(BACKLOG))
    before = world.status.records
    world.status = structs.replace(world.status, records=waiting)
    edit(world)
    world.settle()
    assert recorded(world) == []
    world.status = structs.replace(world.status, records=before)
    world.settle()
    assert len(recorded(world)) == 1


def test_an_edit_of_a_run_that_is_held_is_recorded_at_once() -> None:
    world = in_canary()
    world.freeze = "the quarter ends"
    world.settle()
    edit(world)
    world.settle()
    assert len(recorded(world)) == 1
