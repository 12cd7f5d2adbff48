"""Consecutive ticks join without gap or overlap, however the scrape delay changes."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from serinus.metrics.promql import millis
from serinus.metrics.scrape_delay import ScrapeDelay
from support.prometheus.questions import after


@given(st.lists(st.tuples(st.floats(0.1, 9), st.none() | st.floats(0, 20)), min_size=2, max_size=40))
def test_every_tick_begins_where_the_one_before_it_ended(ticks: list[tuple[float, float | None]]) -> None:
    delay, at, last = ScrapeDelay(timedelta(seconds=10)), after(0), None
    for length, scrape in ticks:
        since, at = at, at + timedelta(milliseconds=round(length * 1000))
        begin, end = delay.span(at, since)
        assert last is None or begin == last
        assert begin < end
        delay.update([scrape])
        last = end


def test_a_tick_is_evaluated_at_a_time_before_which_all_scrapes_have_ended() -> None:
    delay = ScrapeDelay(timedelta(seconds=10))
    delay.update([0.5, 2.0, None])
    assert delay.span(after(20), after(10)) == (millis(after(10)) - 2250, millis(after(20)) - 2250)


def test_the_delay_never_exceeds_one_scrape_interval() -> None:
    delay = ScrapeDelay(timedelta(seconds=10))
    delay.update([300.0])
    assert delay.span(after(20), after(10))[1] == millis(after(10))


def test_a_clock_that_went_back_still_gives_a_span() -> None:
    begin, end = ScrapeDelay(timedelta(seconds=10)).span(after(5), after(10))
    assert end == begin + 1
