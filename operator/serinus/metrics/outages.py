"""Outages of the metrics: extends the lookback, so that a counter that returns does not count as new.

A series that was absent for ten minutes counts as new, its whole value as increments. After a longer outage of
Prometheus or of all targets that would count each counter from zero again, last week's errors included. So the first
ticks after an outage use a lookback that reaches before it. Outages before the operator started are covered by the
replay, up to an hour.
"""

from datetime import timedelta
from typing import Final

from serinus.metrics.promql import LOOKBACK_MS

_MARGIN_MS: Final = 60_000
_PROMETHEUS_LOOKBACK_MS: Final = 300_000
"""Prometheus' own lookback: during a shorter gap it still returns every series."""

_MAX_LOOKBACK_MS: Final = 86_400_000
_RECOVERY_SCRAPES: Final = 5
"""Scrapes after an outage within which all targets are expected back."""


class Outages:
    """Tracks the newest sample and the last outage; times in milliseconds since 1970."""

    def __init__(self, scrape_interval: timedelta) -> None:
        """Start without an outage."""
        self._recovery = _RECOVERY_SCRAPES * (scrape_interval // timedelta(milliseconds=1))
        self._newest = 0
        self._outage_start, self._recovery_end = 0, 0

    def record(self, newest: int) -> None:
        """Record the time of the newest sample of any backend; 0 where there is none."""
        if self._newest and newest - self._newest > _PROMETHEUS_LOOKBACK_MS:
            self._outage_start, self._recovery_end = self._newest, newest + self._recovery
        self._newest = max(self._newest, newest)

    def lookback(self, start: int) -> int:
        """Return how far before ``start`` to search for the previous sample of a series."""
        last = self._outage_start if start < self._recovery_end else self._newest
        if not last:
            return LOOKBACK_MS
        return min(max(LOOKBACK_MS, start - last + _MARGIN_MS), _MAX_LOOKBACK_MS)
