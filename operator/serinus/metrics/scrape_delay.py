"""How far behind the present queries are evaluated, so that no sample falls between two ticks.

A sample carries the time at which its scrape began, but can be read only when the scrape has ended. A tick evaluated in
between misses it, and the next tick treats it as already counted (``offset``): its increments would be in neither. With
scrapes that take as long as a tick (a gateway with thousands of backends) *every* increment would be lost. So each
tick is evaluated at a time before which all scrapes have ended, estimated from the slowest recent scrape.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from serinus.metrics.promql import millis

_MARGIN_MS: Final = 250
"""Time until the samples of a finished scrape are readable, with some slack for a scrape slower than the last."""

_UNKNOWN_SCRAPE_MS: Final = 750
_REMEMBERED: Final = 64


class ScrapeDelay:
    """Maps ticks to evaluation times; consecutive ticks join without gap or overlap, however the delay changes."""

    def __init__(self, scrape_interval: timedelta) -> None:
        """Start with an assumed delay until the first health query returns the scrape duration."""
        self._longest = scrape_interval // timedelta(milliseconds=1)
        self._delay = min(_MARGIN_MS + _UNKNOWN_SCRAPE_MS, self._longest // 4)
        self._ends: dict[datetime, int] = {}

    def span(self, at: datetime, since: datetime) -> tuple[int, int]:
        """Return the start and end, in milliseconds since 1970, of the tick between two of the caller's times.

        The end is after the start even where the delay has grown by more than a tick: PromQL has no empty range.
        """
        start = self.start(since)
        end = max(start + 1, millis(at) - self._delay)
        self.record(at, end)
        return start, end

    def start(self, since: datetime) -> int:
        """Return a tick's start, in milliseconds since 1970: the recorded end of the previous tick, where known."""
        return self._ends.get(since, millis(since) - self._delay)

    def record(self, at: datetime, end: int) -> None:
        """Record the evaluation time of the tick that the caller dates ``at``."""
        self._ends[at] = end
        while len(self._ends) > _REMEMBERED:
            del self._ends[next(iter(self._ends))]

    def update(self, scrape_seconds: Iterable[float | None]) -> None:
        """Set the delay from the slowest scrapes' durations; a scrape never takes longer than its interval."""
        known = [seconds for seconds in scrape_seconds if seconds is not None]
        if known:
            self._delay = min(_MARGIN_MS + round(max(known) * 1000), self._longest)
