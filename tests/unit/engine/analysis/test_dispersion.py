import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.engine.analysis.dispersion import UNKNOWN_BURST, Dispersion, Tally, learn, learn_history
from serinus.engine.analysis.measurements import Batch

START = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


def batch(requests: float, bad: float) -> Batch:
    return Batch(requests, bad, bad, bad)


def bursty(*, size: int, ticks: int = 2000, requests: int = 60, rate: float = 0.01, seed: int = 7) -> list[Batch]:
    """Requests that fail ``size`` at a time, or none of those ``size``."""
    chance = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    return [batch(requests, size * sum(chance.random() < rate for _ in range(requests // size))) for _ in range(ticks)]


def test_without_data_the_burst_is_three() -> None:
    assert Dispersion().burst == UNKNOWN_BURST == 3.0


@pytest.mark.parametrize(("size", "tolerance"), [(1, 0.15), (3, 0.15), (10, 0.15)])
def test_requests_that_fail_together_are_recognised_by_their_number(size: int, tolerance: float) -> None:
    assert learn_history(Dispersion(), bursty(size=size)).burst == pytest.approx(size, rel=tolerance)


def test_ticks_of_unequal_size_are_not_bursts() -> None:
    chance = random.Random(3)  # noqa: S311 - a simulation, not a secret
    sizes = [chance.choice((5, 50, 500)) for _ in range(2000)]
    independent = [batch(size, sum(chance.random() < 0.02 for _ in range(size))) for size in sizes]
    assert learn_history(Dispersion(), independent).burst == pytest.approx(1.0, abs=0.15)


def test_bursts_beyond_twenty_count_as_twenty() -> None:
    assert learn_history(Dispersion(), bursty(size=60)).burst == 20.0


def test_errors_more_even_than_chance_count_as_single() -> None:
    assert learn_history(Dispersion(), [batch(100, 1)] * 100).burst == 1.0


@pytest.mark.parametrize(
    "batches",
    [[batch(100, 1)] * 19, [batch(100, 0)] * 500, [batch(100, 0)] * 500 + [batch(100, 9)], [batch(5, 5)] * 100],
    ids=["too few ticks", "no errors", "too few errors", "nothing but errors"],
)
def test_too_little_data_leaves_the_burst_unknown(batches: list[Batch]) -> None:
    assert learn_history(Dispersion(), batches).burst == UNKNOWN_BURST


def test_the_burst_of_the_stage_takes_precedence() -> None:
    named = learn_history(Dispersion(given=1), bursty(size=10))
    assert learn(named, batch(100, 50), START).burst == 1.0


def test_an_incident_of_the_stable_version_is_forgotten_within_an_hour() -> None:
    dispersion = Dispersion()
    for tick in range(60):
        dispersion = learn(dispersion, batch(50, 50 if tick % 2 else 0), START + timedelta(seconds=5 * tick))
    assert dispersion.burst == 20.0
    quiet = learn_history(Dispersion(), bursty(size=1))
    for tick, calm in enumerate(bursty(size=1, ticks=720)):
        dispersion = learn(dispersion, calm, START + timedelta(seconds=300 + 5 * tick))
    assert dispersion.burst == pytest.approx(quiet.burst, abs=0.3)


@given(ticks=st.lists(st.integers(1, 200).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n)))))
def test_the_burst_always_lies_between_one_and_twenty(ticks: list[tuple[int, int]]) -> None:
    assert 1 <= learn_history(Dispersion(), [batch(n, x) for n, x in ticks]).burst <= 20


def test_a_tick_without_requests_is_not_learned_from() -> None:
    assert Tally().plus(batch(0, 0)) == Tally()
    assert learn(Dispersion(), batch(0, 0), START) == Dispersion()
