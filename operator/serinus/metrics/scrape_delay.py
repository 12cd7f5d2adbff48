"""How far behind the present Prometheus is asked, so that no sample falls between two ticks.

A sample carries the time at which its scrape began, but can be read only when the scrape has ended. A tick evaluated in
between does not see it, and the next tick takes it for known already (``offset``): its increments would be in neither.
With scrapes that take as long as a tick - a gateway with thousands of backends - *every* increment would be lost. So
each tick looks at the moment up to which all scrapes have ended, as the slowest of late tells.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Final

from serinus.metrics.promql import millis

_MARGIN_MS: Final = 250
"""From the end of a scrape to its samples being readable, with room for a scrape slower than those before."""

_UNKNOWN_SCRAPE_MS: Final = 750
_REMEMBERED: Final = 64


class ScrapeDelay:
    """Where ticks begin and end for Prometheus; consecutive ticks join without gap or overlap, whatever is learnt."""

    def __init__(self, scrape_interval: timedelta) -> None:
        """Begin with a guess until the first answer tells how long scrapes take."""
        self._most = scrape_interval // timedelta(milliseconds=1)
        self._delay = min(_MARGIN_MS + _UNKNOWN_SCRAPE_MS, self._most // 4)
        self._ends: dict[datetime, int] = {}

    def span(self, at: datetime, since: datetime) -> tuple[int, int]:
        """Return the begin and end, in milliseconds since 1970, of the tick between two of the caller's times.

        The end is later than the begin even where the delay has grown by more than a tick: PromQL has no empty span.
        """
        start = self.begin(since)
        end = max(start + 1, millis(at) - self._delay)
        self.note(at, end)
        return start, end

    def begin(self, since: datetime) -> int:
        """Return where a tick begins for Prometheus: where the one before it ended, if that is remembered."""
        return self._ends.get(since, millis(since) - self._delay)

    def note(self, at: datetime, end: int) -> None:
        """Remember where the tick of this time ended for Prometheus."""
        self._ends[at] = end
        while len(self._ends) > _REMEMBERED:
            del self._ends[next(iter(self._ends))]

    def learn(self, scrape_seconds: Iterable[float | None]) -> None:
        """Take note of how long the slowest scrapes took; a scrape never takes longer than its interval."""
        known = [seconds for seconds in scrape_seconds if seconds is not None]
        if known:
            self._delay = min(_MARGIN_MS + round(max(known) * 1000), self._most)
