"""The first states of every small world, breadth first; ``make explore`` visits all of them.

The laws that each decision and each rest are held against are in support.laws and support.exploration.search.
"""

import pytest

from support.examples import examples
from support.exploration.__main__ import told
from support.exploration.moves import MOVES
from support.exploration.search import Search
from support.exploration.worlds import WORLDS, SmallWorld

SAMPLE = 50_000


@pytest.mark.parametrize("world", WORLDS, ids=lambda world: world.name)
def test_every_decision_and_every_rest_of_a_small_world_keeps_the_laws(
    world: SmallWorld, capsys: pytest.CaptureFixture[str]
) -> None:
    most = examples(SAMPLE // len(WORLDS))

    report = Search(world).run(most, seconds=600)

    with capsys.disabled():
        print(f"\n  {told(report)}")  # noqa: T201 - the counts are what the test has to tell
    assert not report.violations
    assert report.complete or report.states >= most
    assert report.transitions > report.states


def test_every_move_belongs_to_a_world() -> None:
    used = {move for world in WORLDS for move in world.moves}

    assert used <= MOVES.keys()
    unused = {name for name in MOVES if name not in used and not name.startswith("spec ")}
    assert not {name for name in unused if "3.0.0" not in name}, "an event that nothing explores"
