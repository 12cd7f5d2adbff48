"""Requests of all models: Poisson arrivals by day and night, with bursts, counted by backend and scraped."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from numpy.typing import NDArray

from support.soak.facts import Counted, Fact, Quality

SCRAPE: Final = 180.0
"""Seconds between two scrapes."""

KEPT: Final = 600
"""Scrapes that are kept for range queries: 30 hours, longer than a stage may last."""

SLOTS: Final = 6
"""Versions of one model that have series at a time: more than a route ever has."""

DAY: Final = 86_400.0
GOOD: Final = Quality("good", errors=0.001, slow=0.005)
"""What a version that becomes bad later is until then."""


@dataclass(slots=True)
class _Series:
    """One version's counters.

    Attributes:
        slot: its column in the arrays.
        served: seconds for which it has had traffic.
    """

    slot: int
    quality: Quality
    served: float = 0.0
    in_route: bool = True


@dataclass(slots=True)
class _ModelSeries:
    number: int
    rate: float
    versions: dict[str, _Series] = field(default_factory=dict)


class Traffic:
    """The counters of all backends.

    Args:
        rates: requests a second by model, over the day on average.
        rng: draws the requests.
        tell: takes what a scrape has counted of the versions that ``watched`` names.
    """

    def __init__(self, rates: Mapping[str, float], rng: np.random.Generator, tell: Callable[[Fact], None]) -> None:
        self._rng, self._tell = rng, tell
        self._models = {name: _ModelSeries(number, rate) for number, (name, rate) in enumerate(rates.items())}
        size = len(rates) * SLOTS
        self._base = np.array([rate for rate in rates.values() for _ in range(SLOTS)])
        self._phase = np.repeat(rng.uniform(0, DAY, len(rates)), SLOTS)
        self._burst, self._burst_until = np.ones(size), np.zeros(size)
        self._share, self._exposure, self._since = np.zeros(size), np.zeros(size), np.zeros(size)
        self._totals = np.zeros((size, 3), dtype=np.int64)
        self._history = np.zeros((KEPT, size, 3), dtype=np.int64)
        self._scrapes = 0
        self.watched: Callable[[str], frozenset[str]] = lambda _: frozenset()

    def set_shares(self, model: str, shares: Mapping[str, float], qualities: Mapping[str, Quality], at: float) -> None:
        """Send each version its percentage from now on."""
        mine = self._models[model]
        for name, series in mine.versions.items():
            series.in_route = name in shares
            if name not in shares:
                self._set(series.slot, 0.0, at)
        for version, share in shares.items():
            known = mine.versions.get(version)
            if known is None:
                known = self._claim(mine, version, qualities[version])
            self._set(known.slot, share / 100, at)

    def _set(self, slot: int, share: float, at: float) -> None:
        self._exposure[slot] += self._share[slot] * (at - self._since[slot])
        self._share[slot], self._since[slot] = share, at

    def _claim(self, mine: _ModelSeries, version: str, quality: Quality) -> _Series:
        taken = {series.slot for series in mine.versions.values()}
        free = next((mine.number * SLOTS + n for n in range(SLOTS) if mine.number * SLOTS + n not in taken), None)
        if free is None:
            oldest = next(name for name, series in mine.versions.items() if not series.in_route)
            free = mine.versions.pop(oldest).slot
        self._totals[free], self._history[:, free] = 0, 0
        self._share[free] = self._exposure[free] = 0.0
        mine.versions[version] = _Series(free, quality)
        return mine.versions[version]

    def scrape(self, at: float) -> None:
        """Count the requests since the scrape before, and keep the counters."""
        self._exposure += self._share * (at - self._since)
        self._since[:] = at
        rates = self._rates(at)
        errors, slow = np.zeros(len(rates)), np.zeros(len(rates))
        for mine in self._models.values():
            for series in mine.versions.values():
                served = self._exposure[series.slot] > 0
                series.served += SCRAPE if served else 0.0
                quality = series.quality if series.served > series.quality.good_for else GOOD
                errors[series.slot], slow[series.slot] = quality.errors, quality.slow
        requests = self._rng.poisson(self._exposure * rates)
        counts = np.stack([requests, self._rng.binomial(requests, errors), self._rng.binomial(requests, slow)], axis=1)
        self._exposure[:] = 0.0
        self._totals += counts
        self._history[self._scrapes % KEPT] = self._totals
        self._scrapes += 1
        self._report(counts, at)

    def _report(self, counts: NDArray[np.int64], at: float) -> None:
        for name, mine in self._models.items():
            for version in self.watched(name):
                series = mine.versions.get(version)
                if series is not None and counts[series.slot, 0]:
                    requests, errors, slow = (int(count) for count in counts[series.slot])
                    self._tell(Counted(at, name, version, requests, errors, slow))

    def _rates(self, at: float) -> NDArray[np.float64]:
        """Return requests a second: night has a third of the day's, and a burst several times as many."""
        ended = self._burst_until < at
        self._burst[ended] = 1.0
        for number in np.flatnonzero(self._rng.random(len(self._models)) < 1 / 500):
            mine = slice(number * SLOTS, (number + 1) * SLOTS)
            self._burst[mine] = self._rng.uniform(2, 6)
            self._burst_until[mine] = at + self._rng.uniform(60, 600)
        daily = 1 + 0.5 * np.sin(2 * math.pi * (at + self._phase) / DAY)
        return self._base * daily * self._burst

    def visible(self, model: str, version: str, at: float) -> tuple[float, NDArray[np.int64]]:
        """Return the time of the last scrape until then and the counters (requests, errors, slow) that it has."""
        last = min(int(at // SCRAPE), self._scrapes)
        series = self._models[model].versions.get(version)
        if series is None or last <= max(0, self._scrapes - KEPT):
            return last * SCRAPE, np.zeros(3, dtype=np.int64)
        return last * SCRAPE, self._history[(last - 1) % KEPT, series.slot]

    def rate(self, model: str) -> float:
        """Return the model's requests a second, over the day on average."""
        return self._models[model].rate
