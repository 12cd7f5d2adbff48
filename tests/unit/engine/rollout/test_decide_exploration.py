"""The first states of every small world, breadth first; ``make explore`` visits many more.

The laws that each decision and each rest are held against are in support.laws.
"""

from collections.abc import Iterator

import pytest

from support.examples import examples
from support.exploration.__main__ import in_total, told
from support.exploration.events import CRASH, CUT, EVENTS, Happening, moves_of
from support.exploration.looks import NEWER
from support.exploration.moves import MOVES
from support.exploration.search import Report, Search
from support.exploration.state import FLAGS, GONE
from support.exploration.worlds import WORLDS, SmallWorld

SAMPLE = 50_000


@pytest.fixture(scope="module")
def reports(pytestconfig: pytest.Config) -> Iterator[list[Report]]:
    """Collect what was found; tell it at the end, past pytest's capture."""
    found: list[Report] = []
    yield found
    capture = pytestconfig.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print(f"\n{in_total(found)}")  # noqa: T201 - the counts are what the test has to tell


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_every_decision_and_every_rest_of_a_small_world_keeps_the_laws(
    world: SmallWorld, reports: list[Report]
) -> None:
    most = examples(SAMPLE // len(WORLDS), developer=SAMPLE // len(WORLDS) // 25)

    report = Search(world).run(most, seconds=600)

    reports.append(report)
    assert not report.violations, told(report)
    assert report.complete or report.states >= most
    assert report.transitions > report.states


@pytest.mark.parametrize("happening", Happening)
def test_every_event_is_in_a_world(happening: Happening) -> None:
    known = MOVES.keys() | {move for world in WORLDS for move in moves_of(world)}

    assert EVENTS[happening]
    assert set(EVENTS[happening]) <= known
    for move in EVENTS[happening]:
        assert any(move in moves_of(world) for world in WORLDS), f"nothing explores: {move}"


def test_every_move_of_a_world_is_an_event() -> None:
    listed = {move for moves in EVENTS.values() for move in moves}

    assert {move for world in WORLDS for move in moves_of(world)} <= listed
    assert {CRASH, CUT, NEWER} <= listed


def test_the_same_is_decided_for_two_versions_that_differ_in_their_names_only() -> None:
    """Merging symmetric states leaves nothing out: what follows on the one is what follows on the other."""
    search = Search(next(world for world in WORLDS if world.alike is not None))
    symmetry, looks = search.symmetry, search.looks
    assert symmetry is not None
    search.run(examples(3_000, developer=150), seconds=600)
    different = 0

    for state in list(search.order):
        exchanged = symmetry.exchanged(state)
        different += exchanged != state
        assert symmetry.exchanged(exchanged) == state
        assert symmetry.merged(exchanged) == symmetry.merged(state) == state
        if not state[FLAGS] & GONE:
            one, two = looks.look(state).whole, looks.look(exchanged).whole
            assert one is not None
            assert two is not None
            assert symmetry.exchanged(one) == two

    assert different
