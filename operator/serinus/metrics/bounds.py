"""Bucket bounds of a histogram, and the ones between which a latency limit is counted. Pure."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf, isinf
from typing import Final, Self

from serinus.engine.analysis.measurements import Batch, Coarse

REFRESH_MS: Final = 600_000
RETRY_MS: Final = 60_000

Spellings = Mapping[float, frozenset[str]]
"""Bucket bounds, each with the values of ``le`` that denote it."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """A limit and its neighbouring bounds, in the histogram's unit; all three are equal where the limit is a bound.

    ``lower`` is 0 below the first bound, ``upper`` is infinite above the last.
    """

    limit: float
    lower: float
    upper: float

    @property
    def exact(self) -> bool:
        """Whether the limit is itself a bound."""
        return self.lower == self.upper

    def coarse(self, per_second: float) -> Coarse | None:
        """Return the bounds in seconds, or None where the limit is exact."""
        return None if self.exact else Coarse(self.lower / per_second, self.upper / per_second)

    def batch(self, cumulative: Mapping[float, float]) -> Batch | None:
        """Count the requests above the limit, given each bucket's cumulative count; None where a bucket is missing.

        Between two bounds the likely count is interpolated linearly, as ``histogram_quantile`` does. Above the last
        finite bound nothing is certain and nothing can be interpolated: every request above that bound then counts as
        likely, so that a version never passes on missing data.
        """
        needed = {self.lower, self.upper, inf} - {0.0}
        if not needed <= cumulative.keys():
            return None
        requests = cumulative[inf]
        above_lower = requests - (cumulative[self.lower] if self.lower > 0 else 0.0)
        above_upper = requests - cumulative[self.upper]
        return Batch(requests, above_upper, self._likely(above_lower, above_upper), above_lower)

    def _likely(self, above_lower: float, above_upper: float) -> float:
        if self.exact or isinf(self.upper):
            return above_lower
        share = (self.limit - self.lower) / (self.upper - self.lower)
        return above_lower - (above_lower - above_upper) * share


@dataclass(frozen=True, slots=True)
class Bounds:
    """The finite bounds common to all series of a histogram, each with its spellings.

    Attributes:
        finite: the bounds, ascending, in the histogram's unit.
        spellings: the values of ``le`` that denote each bound; ``200`` and ``200.0`` are both in use (Prometheus 3 and
            OpenMetrics always write a fraction).
        read_at: when they were read, in milliseconds since 1970.
    """

    finite: tuple[float, ...]
    spellings: Spellings
    read_at: int

    @classmethod
    def of(cls, series_by_text: Iterable[tuple[str, float]], read_at: int) -> Self | None:
        """Build from each value of ``le`` and the number of series that have it; None where there is no histogram.

        A bound that only some series have (two builds of an exporter side by side) is left out: summed over all
        series, it would count the requests of the others as slow.
        """
        counts: dict[float, float] = {}
        spellings: dict[float, set[str]] = {}
        for text, series in series_by_text:
            bound = bound_of(text)
            counts[bound] = counts.get(bound, 0.0) + series
            spellings.setdefault(bound, set()).add(text)
        if not counts.get(inf):
            return None
        common = tuple(sorted(bound for bound, series in counts.items() if series == counts[inf] and bound < inf))
        return cls(common, {bound: frozenset(spellings[bound]) for bound in (*common, inf)}, read_at)

    def bracket(self, limit: float) -> Bracket:
        """Return the bounds around a limit, which is given in the histogram's unit."""
        index = bisect_left(self.finite, limit * (1 - 1e-9))
        upper = self.finite[index] if index < len(self.finite) else inf
        # 0.2 s x 1000 must match the bound 200 despite binary rounding.
        if upper <= limit * (1 + 1e-9):
            return Bracket(upper, upper, upper)
        return Bracket(limit, self.finite[index - 1] if index else 0.0, upper)

    def needed(self, brackets: Collection[Bracket]) -> Spellings:
        """Return every bound needed for these brackets and for the total, with all its spellings."""
        bounds = {bound for bracket in brackets for bound in (bracket.lower, bracket.upper)} - {0.0} | {inf}
        return {bound: self.spellings[bound] | _usual_spellings(bound) for bound in sorted(bounds)}

    def is_due(self, limits: Collection[float], now: int) -> bool:
        """Return whether to refresh: the bounds are old, or a limit exceeds them all and a minute has passed."""
        age = now - self.read_at
        past_last = any(isinf(self.bracket(limit).upper) for limit in limits)
        return age >= REFRESH_MS or age < 0 or (past_last and age >= RETRY_MS)


def bound_of(text: str) -> float:
    """Return the number that a value of ``le`` denotes; NaN where it is malformed."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _usual_spellings(bound: float) -> frozenset[str]:
    if isinf(bound):
        return frozenset({"+Inf"})
    return frozenset({f"{bound:g}", repr(bound)})
