"""How far apart the samples really are: a source whose ``scrapeInterval`` is not what Prometheus uses looks stale."""

from collections.abc import Mapping
from typing import Final

from serinus.metrics.presets import Key

_MOST: Final = 20_000
"""So many backends are followed; a source that has more of them starts anew."""


class Spacing:
    """The time between the newest samples of each backend, as they come.

    Several instances that are scraped at different moments make it shorter, never longer: what is found to be far apart
    is.
    """

    def __init__(self) -> None:
        """Start without any sample."""
        self._newest: dict[Key, float] = {}
        self._seconds: dict[Key, float] = {}

    def record(self, newest: Mapping[Key, float]) -> None:
        """Record the time of each backend's newest sample, in seconds since 1970."""
        if len(self._newest) > _MOST:
            self._newest, self._seconds = {}, {}
        for key, at in newest.items():
            before = self._newest.get(key)
            if before is not None and at > before:
                self._seconds[key] = at - before
            self._newest[key] = at

    def newest(self) -> dict[Key, float]:
        """Return the time of the newest sample of each backend, as last recorded."""
        return dict(self._newest)

    def seconds(self, key: Key) -> float | None:
        """Return the time between the last two samples; None before there were two."""
        return self._seconds.get(key)
