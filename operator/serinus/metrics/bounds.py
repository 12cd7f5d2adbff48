"""Which bucket bounds a histogram has, and on which of them a limit is counted. Pure."""

from bisect import bisect_left
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from math import inf, isinf
from typing import Final, Self

from serinus.engine.analysis.measurements import Batch, Coarse

REFRESH_MS: Final = 600_000
RETRY_MS: Final = 60_000

Spelt = Mapping[float, frozenset[str]]
"""Bucket bounds, each with the values of ``le`` that mean it."""


@dataclass(frozen=True, slots=True)
class Bracket:
    """A limit and the bounds next to it, in the histogram's unit; all three are equal where the limit is a bound.

    ``lower`` is 0 below the first bound, ``upper`` is infinite above the last.
    """

    limit: float
    lower: float
    upper: float

    @property
    def exact(self) -> bool:
        """Whether the limit is a bound itself."""
        return self.lower == self.upper

    def coarse(self, per_second: float) -> Coarse | None:
        """Return the bounds in seconds, or None where the limit is one."""
        return None if self.exact else Coarse(self.lower / per_second, self.upper / per_second)

    def batch(self, within: Mapping[float, float]) -> Batch | None:
        """Count the requests above the limit, given the requests within each bound; None where a bound is missing.

        Between two bounds the likely count interpolates linearly, as ``histogram_quantile`` does. Above the last finite
        bound nothing is certain and nothing can be interpolated: all above that bound are then likely, so that a
        version never passes on figures that nobody has.
        """
        needed = {self.lower, self.upper, inf} - {0.0}
        if not needed <= within.keys():
            return None
        requests = within[inf]
        above_lower = requests - (within[self.lower] if self.lower > 0 else 0.0)
        above_upper = requests - within[self.upper]
        return Batch(requests, above_upper, self._likely(above_lower, above_upper), above_lower)

    def _likely(self, above_lower: float, above_upper: float) -> float:
        if self.exact or isinf(self.upper):
            return above_lower
        share = (self.limit - self.lower) / (self.upper - self.lower)
        return above_lower - (above_lower - above_upper) * share


@dataclass(frozen=True, slots=True)
class Bounds:
    """The finite bounds that every series of a histogram has, each with the texts in which it is written.

    Attributes:
        finite: the bounds, rising, in the histogram's unit.
        texts: the values of ``le`` that mean each bound; ``200`` and ``200.0`` are both in use (Prometheus 3 and
            OpenMetrics always write a fraction).
        learnt_at: when they were learnt, in milliseconds since 1970.
    """

    finite: tuple[float, ...]
    texts: Spelt
    learnt_at: int

    @classmethod
    def of(cls, series_by_text: Iterable[tuple[str, float]], learnt_at: int) -> Self | None:
        """Make them of each ``le`` and the number of series that have it; None where no histogram is there.

        A bound that only some series have (two builds of an exporter side by side) is left out: counted over all of
        them it would call the others' requests slow.
        """
        counts: dict[float, float] = {}
        texts: dict[float, set[str]] = {}
        for text, series in series_by_text:
            bound = bound_of(text)
            counts[bound] = counts.get(bound, 0.0) + series
            texts.setdefault(bound, set()).add(text)
        if not counts.get(inf):
            return None
        common = tuple(sorted(bound for bound, series in counts.items() if series == counts[inf] and bound < inf))
        return cls(common, {bound: frozenset(texts[bound]) for bound in (*common, inf)}, learnt_at)

    def bracket(self, limit: float) -> Bracket:
        """Return the bounds next to a limit of this unit."""
        place = bisect_left(self.finite, limit * (1 - 1e-9))
        upper = self.finite[place] if place < len(self.finite) else inf
        # 0.2 s x 1000 must find the bound 200 whatever binary fractions make of it.
        if upper <= limit * (1 + 1e-9):
            return Bracket(upper, upper, upper)
        return Bracket(limit, self.finite[place - 1] if place else 0.0, upper)

    def spelt(self, brackets: Collection[Bracket]) -> Spelt:
        """Return every bound that these brackets and the whole count need, with all its spellings."""
        wanted = {bound for bracket in brackets for bound in (bracket.lower, bracket.upper)} - {0.0} | {inf}
        return {bound: self.texts[bound] | _usual_texts(bound) for bound in sorted(wanted)}

    def is_due(self, limits: Collection[float], now: int) -> bool:
        """Say whether to learn them again: they are old, or a limit is above all of them and a minute has passed."""
        age = now - self.learnt_at
        past_last = any(isinf(self.bracket(limit).upper) for limit in limits)
        return age >= REFRESH_MS or age < 0 or (past_last and age >= RETRY_MS)


def bound_of(text: str) -> float:
    """Return the number that a value of ``le`` stands for; NaN where it is none."""
    try:
        return float(text)
    except ValueError:
        return float("nan")


def _usual_texts(bound: float) -> frozenset[str]:
    if isinf(bound):
        return frozenset({"+Inf"})
    return frozenset({f"{bound:g}", repr(bound)})
