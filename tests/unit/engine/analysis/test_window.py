from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from serinus.engine.analysis.measurements import Batch
from serinus.engine.analysis.window import EMPTY_BATCH, HoldTimer, Window, add

START = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def a_batch(requests: float = 1.0) -> Batch:
    return Batch(requests, requests, requests, requests)


def held_after(*readings: tuple[float, bool | None]) -> timedelta | None:
    timer = HoldTimer()
    for seconds, holds in readings:
        timer = timer.plus(holds=holds, at=at(seconds), max_gap=timedelta(seconds=45), reset_after=MINUTE)
    return timer.held


def test_a_new_window_is_empty() -> None:
    assert Window().total == EMPTY_BATCH


def test_a_window_of_a_minute_contains_the_last_minute() -> None:
    window = Window()
    for tick in range(1, 101):
        window = window.plus(a_batch(), at(5 * tick), MINUTE)
    assert window.total == a_batch(12)


@given(st.lists(st.tuples(st.integers(1, 30), st.integers(0, 9)), min_size=1, max_size=200), st.integers(10, 600))
def test_a_window_is_exact_to_a_32nd_of_its_length_and_stays_small(ticks: list[tuple[int, int]], length: int) -> None:
    window, seconds, history = Window(), 0, list[tuple[int, int]]()
    for gap, requests in ticks:
        seconds += gap
        history.append((seconds, requests))
        window = window.plus(a_batch(requests), at(seconds), timedelta(seconds=length))
    exact = sum(n for when, n in history if seconds - when < length)
    at_most = sum(n for when, n in history if seconds - when < length * 33 / 32)
    assert exact <= window.total.requests <= at_most
    assert len(window.slices) <= 34


def test_batches_add_up_in_every_count() -> None:
    assert add(Batch(10, 1, 2, 3), Batch(20, 4, 5, 6)) == Batch(30, 5, 7, 9)


def test_a_condition_that_never_held_has_no_time() -> None:
    assert held_after((0, False), (5, False)) is None


def test_time_between_readings_that_hold_counts() -> None:
    assert held_after((0, False), (5, True), (20, True), (35, True)) == timedelta(seconds=30)


def test_a_reading_that_does_not_hold_stops_the_timer() -> None:
    assert held_after((0, True), (15, True), (30, False)) is None
    assert held_after((0, True), (15, True), (30, False), (45, True)) == timedelta(0)


def test_time_without_data_neither_counts_nor_stops_the_timer() -> None:
    assert held_after((0, True), (15, True), (30, None), (45, True), (60, True)) == timedelta(seconds=30)


def test_time_without_any_answer_is_a_gap() -> None:
    assert held_after((0, True), (15, True), (65, True), (70, True)) == timedelta(seconds=20)


def test_a_gap_longer_than_the_window_resets_the_timer() -> None:
    assert held_after((0, True), (30, True), (45, None), (95, True)) == timedelta(0)


def test_missing_data_does_not_start_the_timer() -> None:
    assert held_after((0, None), (5, None)) is None
