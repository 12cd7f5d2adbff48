"""Histories in which the exploration once found a law broken: the shortest of each kind."""

import pytest

from support.exploration.search import replay
from support.exploration.worlds import WORLDS

FOUND: dict[str, tuple[str, str]] = {
    "a deleted Rollout forgets where its candidate serves": (
        "deletion",
        "look; look; the gateway accepts; crash after write 1; the Rollout is deleted; 2.0.0 is deleted; look",
    ),
    "another wish forgets where the candidate serves": (
        "watch gaps",
        "look; look; 2.0.0 is deleted; somebody gives 2.0.0 weight; spec 1; look",
    ),
    "a candidate at 0 in the status alone is called safe": (
        "objects",
        "look; look; the gateway accepts; crash after write 1; abort; 1.0.0 has no endpoints; look",
    ),
    "a candidate that somebody gave weight is called safe": (
        "route",
        "somebody removes 1.0.0's entry; look; abort; somebody gives 2.0.0 weight; look",
    ),
    "a rule that would go dark keeps its bad version": (
        "route",
        "somebody removes 1.0.0's entry; look; abort; Git puts 1.0.0 back alone; somebody gives 2.0.0 weight; look",
    ),
    "a stranded version is given its traffic back": (
        "route",
        (
            "somebody removes 1.0.0's entry; look; the gateway accepts; look; it is bad; "
            "somebody removes 2.0.0's entry; look"
        ),
    ),
    "an older status gets weight before it is upgraded": (
        "deletion",
        "look; look; the gateway accepts; an older release wrote the status; look",
    ),
}


@pytest.mark.parametrize(("world", "history"), FOUND.values(), ids=FOUND)
def test_a_history_that_once_broke_a_law_keeps_them_all(world: str, history: str) -> None:
    found = next(one for one in WORLDS if one.name == world)

    assert replay(found, tuple(history.split("; "))) == []
