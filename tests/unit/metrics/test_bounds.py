"""Bucket bounds of a histogram and the bracket around a latency limit."""

from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.engine.analysis.measurements import Batch, Coarse
from serinus.metrics.bounds import Bounds, Bracket

_ENVOY = Bounds.of([("100", 2), ("250.0", 2), ("500", 2), ("+Inf", 2)], 0)
assert _ENVOY is not None


@pytest.mark.parametrize(
    ("limit", "bracket"),
    [
        (250, Bracket(250, 250, 250)),
        (0.25 * 1000 * (1 + 1e-12), Bracket(250, 250, 250)),
        (200, Bracket(200, 100, 250)),
        (50, Bracket(50, 0, 100)),
        (900, Bracket(900, 500, inf)),
    ],
)
def test_a_limit_finds_the_bounds_next_to_it(limit: float, bracket: Bracket) -> None:
    assert _ENVOY is not None
    assert _ENVOY.bracket(limit) == bracket


def test_a_bound_is_asked_for_in_every_spelling() -> None:
    assert _ENVOY is not None
    assert _ENVOY.needed([_ENVOY.bracket(250)]) == {250: {"250", "250.0"}, inf: {"+Inf"}}


def test_a_bound_in_two_spellings_is_one_bound() -> None:
    bounds = Bounds.of([("0.2", 1), ("0.20", 1), ("+Inf", 2)], 0)
    assert bounds is not None
    assert bounds.finite == (0.2,)
    assert bounds.spellings[0.2] == {"0.2", "0.20"}


def test_a_bound_that_not_all_series_have_is_left_out() -> None:
    bounds = Bounds.of([("100", 2), ("200", 1), ("+Inf", 2)], 0)
    assert bounds is not None
    assert bounds.finite == (100,)


@pytest.mark.parametrize("rows", [[], [("100", 1)], [("nonsense", 3)]])
def test_without_the_whole_count_there_is_no_histogram(rows: list[tuple[str, float]]) -> None:
    assert Bounds.of(rows, 0) is None


def test_a_missing_bucket_gives_no_count() -> None:
    assert Bracket(200, 100, 250).batch({100: 4, inf: 10}) is None


def test_coarse_bounds_are_in_seconds() -> None:
    assert Bracket(200, 100, 250).coarse(1000) == Coarse(0.1, 0.25)
    assert Bracket(250, 250, 250).coarse(1000) is None


@given(
    st.lists(st.integers(0, 1000), min_size=4, max_size=4).map(sorted),
    st.floats(1, 2000, allow_nan=False),
)
def test_certain_is_never_above_likely_nor_likely_above_possible(counts: list[int], limit: float) -> None:
    assert _ENVOY is not None
    batch = _ENVOY.bracket(limit).batch(dict(zip((100, 250, 500, inf), map(float, counts), strict=True)))
    assert batch is not None
    assert 0 <= batch.certain <= batch.likely + 1e-9
    assert batch.likely <= batch.possible + 1e-9
    assert batch.possible <= batch.requests


def test_an_exact_limit_gives_one_count() -> None:
    assert Bracket(250, 250, 250).batch({250: 8, inf: 10}) == Batch(10, 2, 2, 2)


@pytest.mark.parametrize(
    ("now", "limit", "due"),
    [
        (599_999, 250, False),
        (600_000, 250, True),
        (59_999, 900, False),
        (60_000, 900, True),
        (-1, 250, True),
    ],
)
def test_bounds_are_refreshed_when_old_or_when_a_limit_exceeds_them(now: int, limit: float, *, due: bool) -> None:
    assert _ENVOY is not None
    assert _ENVOY.is_due([limit], now) is due
