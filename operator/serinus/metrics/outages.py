"""Outages of the metrics: a counter that comes back after one is no new counter.

A series counts as new, and its whole value as increments, where it was not there for ten minutes. When Prometheus or
all targets were away for longer, that would count the backends' whole lives again, errors of last week included. So
the first ticks after an outage look back to before it. An outage that the operator itself did not live through is
covered by the replay, up to an hour.
"""

from datetime import timedelta
from typing import Final

from serinus.metrics.promql import LOOKBACK_MS

_MARGIN_MS: Final = 60_000
_FORGOTTEN_MS: Final = 300_000
"""Prometheus' own lookback: shorter gaps leave no series unseen."""

_MOST_MS: Final = 86_400_000
_RETURN_SCRAPES: Final = 5
"""Scrapes in which all targets are expected back."""


class Outages:
    """Remembers when samples were last seen and how long the last outage was; times in milliseconds since 1970."""

    def __init__(self, scrape_interval: timedelta) -> None:
        """Begin without an outage."""
        self._return = _RETURN_SCRAPES * (scrape_interval // timedelta(milliseconds=1))
        self._newest = 0
        self._before, self._until = 0, 0

    def note(self, newest: int) -> None:
        """Take note of the time of the newest sample of any backend; 0 where there is none."""
        if self._newest and newest - self._newest > _FORGOTTEN_MS:
            self._before, self._until = self._newest, newest + self._return
        self._newest = max(self._newest, newest)

    def lookback(self, start: int) -> int:
        """Return how far before ``start`` a series is looked for."""
        last = self._before if start < self._until else self._newest
        if not last:
            return LOOKBACK_MS
        return min(max(LOOKBACK_MS, start - last + _MARGIN_MS), _MOST_MS)
