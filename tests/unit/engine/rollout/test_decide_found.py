"""Histories in which the exploration once found a law broken: the shortest of each kind."""

import pytest

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from support.exploration.search import replay
from support.exploration.worlds import WORLDS
from support.histories import Event, lived, play

FOUND: dict[str, tuple[str, str]] = {
    "a deleted Rollout forgets where its candidate serves": (
        "deletion",
        "look; look; the gateway accepts; crash after write 1; the Rollout is deleted; 2.0.0 is deleted; look",
    ),
    "another wish forgets where the candidate serves": (
        "watch gaps and wishes",
        "look; look; 2.0.0 is deleted; somebody gives 2.0.0 weight; 1.0.0 is wanted; look",
    ),
    "a candidate at 0 in the status alone is called safe": (
        "both versions' objects",
        "look; look; the gateway accepts; crash after write 1; abort; 1.0.0 has no endpoints; look",
    ),
    "a candidate that somebody gave weight is called safe": (
        "foreign writes",
        "somebody removes 1.0.0's entry; look; abort; somebody gives 2.0.0 weight; look",
    ),
    "a rule that would go dark keeps its bad version": (
        "foreign writes",
        "somebody removes 1.0.0's entry; look; abort; Git puts 1.0.0 back alone; somebody gives 2.0.0 weight; look",
    ),
    "a stranded version is given its traffic back": (
        "foreign writes",
        (
            "somebody removes 1.0.0's entry; look; the gateway accepts; look; it is bad; "
            "somebody removes 2.0.0's entry; look"
        ),
    ),
    "an older status gets weight before it is upgraded": (
        "other releases",
        "look; look; the gateway accepts; an older release wrote the status; look",
    ),
    "a version that was rolled back is adopted on another route": (
        "another route",
        (
            "look; look; 1.0.0 is wanted on the other route; abort; somebody gives 2.0.0 weight on the other route; "
            "1.0.0 has no endpoints; look; look"
        ),
    ),
    "a weight rises on evidence from before its endpoints were lost": (
        "two stages",
        (
            "look; look; crash after write 1; the gateway accepts; look; it is good; 31 s pass; "
            "2.0.0 has no endpoints; look; 2.0.0 is well; look"
        ),
    ),
    "a fight is never noticed while the gateway does not accept": (
        "a fight",
        "somebody gives 2.0.0 weight; look; " * 5 + "look",
    ),
    "another route is taken over by the sight of the one before": (
        "another route",
        (
            "1.0.0 is wanted on the other route; somebody gives 2.0.0 weight on the other route; look; look; "
            "the first route is wanted; the other route is deleted; the other route is created; look"
        ),
    ),
}


@pytest.mark.parametrize(("world", "history"), FOUND.values(), ids=FOUND)
def test_a_history_that_once_broke_a_law_keeps_them_all(world: str, history: str) -> None:
    found = next(one for one in WORLDS if one.name == world)

    assert replay(found, tuple(history.split("; "))) == []


_TAKEN: list[Event] = [("edit", "Git", "2.0.0"), ("measure", 40)]

LIVED: dict[str, tuple[str, list[Event]]] = {
    "a deletion gives the traffic to a version without endpoints": ("Stranded", [("delete", False), ("look", "")]),
    "the same beside a backend that somebody has added": (
        "Stranded",
        [("delete", False), ("edit", "raise", "3.0.0"), ("look", ""), ("look", "")],
    ),
    "another wish gives the traffic to a version without endpoints": (
        "Stranded",
        [("wish", "1.0.0", 0), ("look", "")],
    ),
    "an older status hides that the spec cannot be read": (
        "Idle",
        [("look", ""), ("spoil", True), ("status", "older"), ("look", "")],
    ),
    "a stage's time goes on while somebody has taken its weight and nobody can ask": (
        "Running",
        [("quality", "2.0.0", "down"), ("measure", 2), *_TAKEN, ("quality", "2.0.0", "good"), ("measure", 2)],
    ),
}
"""The same of the random histories, which go deeper: the mode in which they begin, and what happens then."""


@pytest.mark.parametrize(("mode", "events"), LIVED.values(), ids=LIVED)
def test_a_random_history_that_once_broke_a_law_keeps_them_all(mode: str, events: list[Event]) -> None:
    world = lived(mode, events)

    assert world.decisions
    assert any(entry.weight for entry in world.route.entries)


def test_weight_that_is_not_given_back_yet_is_said_not_to_be() -> None:
    world = lived("Running", [("quality", "2.0.0", "down"), ("measure", 2), *_TAKEN])

    confirmed = find_condition(world.status.conditions, ConditionType.TRAFFIC_CONFIRMED)
    assert confirmed is not None
    assert confirmed.status is not ConditionStatus.TRUE
    assert confirmed.message == "2.0.0 has 0% instead of 5%. It gets the rest back once the metrics answer again."


def test_a_deletion_ends_once_another_version_has_an_endpoint() -> None:
    world = lived("Stranded", [("delete", False), ("look", "")])
    gone_before, weight_before = world.gone, world.weight("2.0.0")

    play(world, ("ready", "1.0.0", 1))
    world.settle()

    assert (gone_before, weight_before) == (False, 10_000)
    assert (world.gone, world.weight("2.0.0")) == (True, 0)
