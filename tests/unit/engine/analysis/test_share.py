"""The observed share of the requests: of the latest ones, and of no more than are needed."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Batch, Counted, NoData
from serinus.engine.analysis.share import ENOUGH_REQUESTS, NO_REQUESTS, RequestShare

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)


def counted(requests: float) -> Answer:
    return Counted(at=AT, batch=Batch(requests, 0, 0, 0))


def test_other_weights_of_a_while_ago_are_forgotten_with_the_next_200_requests() -> None:
    share = NO_REQUESTS
    for _ in range(50):
        share = share.plus(100, 0)
    assert share.candidate == share.total == ENOUGH_REQUESTS
    for _ in range(2):
        share = share.plus(5, 95)
    assert (share.candidate, share.total) == (10, 200)


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300))))
def test_it_keeps_the_fewest_of_the_latest_ticks_that_have_enough_requests(ticks: list[tuple[int, int]]) -> None:
    share = NO_REQUESTS
    for candidate, stable in ticks:
        share = share.plus(candidate, stable)
    busy = [tick for tick in ticks if sum(tick)]
    kept = list(share.ticks)
    assert kept == busy[len(busy) - len(kept) :]
    assert len(kept) == len(busy) or share.total >= ENOUGH_REQUESTS
    assert share.total - sum(kept[0], start=0) < ENOUGH_REQUESTS if kept else share == NO_REQUESTS


def test_the_condition_that_counts_the_most_requests_counts() -> None:
    pairs = [(counted(3), counted(60)), (counted(5), counted(95)), (counted(9), None)]
    assert NO_REQUESTS.plus_answers(pairs) == RequestShare(((5, 95),))


def test_a_tick_without_figures_of_both_changes_nothing() -> None:
    nothing = NoData(at=AT, cause=Cause.NO_SERIES, message="none")
    share = RequestShare(((5, 95),))
    assert share.plus_answers([(counted(5), nothing), (nothing, counted(95))]) is share
    assert share.plus_answers([]) is share
