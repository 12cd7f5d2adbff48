"""Requests without an answer: counted once they have been there for a while, and never more often."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from serinus.engine.analysis.measurements import Batch, Counted
from serinus.engine.analysis.unanswered import NONE_OUTSTANDING, settle
from support.analysis import at

SETTLED = timedelta(seconds=30)
TICK = 5


def counted_of(changes: list[float], *, ended: float = 10.0, broken: float = 0.0) -> list[Batch]:
    """Fold answers five seconds apart, and return what each of them counts."""
    state, batches = NONE_OUTSTANDING, []
    for number, change in enumerate(changes):
        answer = Counted(at=at(TICK * number), batch=Batch(ended, broken, broken, broken), open=change)
        state, settled = settle(state, answer, SETTLED)
        assert settled.open == 0
        batches.append(settled.batch)
    return batches


def test_what_stays_open_counts_as_a_request_and_as_a_bad_one() -> None:
    batches = counted_of([0, 3, *[0] * 8])

    assert [batch.certain for batch in batches] == [0] * 7 + [3, 0, 0]
    assert [batch.requests for batch in batches] == [10] * 7 + [13, 10, 10]


def test_what_closes_again_within_the_time_counts_never() -> None:
    assert sum(batch.certain for batch in counted_of([0, 5, 0, 0, -5, *[0] * 10])) == 0


def test_what_the_backend_broke_off_counts_at_once() -> None:
    batches = counted_of([0.0, 0.0], broken=4.0)

    assert [(batch.requests, batch.certain) for batch in batches] == [(10, 4), (10, 4)]


def test_answers_under_way_hide_as_many_and_no_more() -> None:
    # Three answers are being streamed all the time, and one request after the other gets none.
    batches = counted_of([-3, *[1] * 20, *[0] * 8])

    assert sum(batch.certain for batch in batches) == 17


@given(st.lists(st.integers(-5, 5), max_size=60))
def test_never_more_are_counted_than_there_were_at_the_least_for_the_time(changes: list[int]) -> None:
    batches = counted_of([float(change) for change in changes])
    numbers = [sum(changes[: place + 1]) for place in range(len(changes))]

    window = SETTLED // timedelta(seconds=TICK)
    least = [min(numbers[place - window : place + 1]) for place in range(window, len(numbers))]
    assert sum(batch.certain for batch in batches) == max([0, *least])
    assert all(0 <= batch.certain <= batch.requests for batch in batches)


@given(st.lists(st.floats(0, 5), max_size=40), st.integers(1, 5))
def test_a_state_that_is_kept_is_as_good_as_one_that_is_folded_again(changes: list[float], every: int) -> None:
    whole = counted_of(changes)

    assert counted_of(changes)[::every] == whole[::every]
