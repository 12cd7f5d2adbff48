"""Which share of the requests the candidate gets, counted over the latest of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from serinus.engine.analysis.measurements import Answer, Counted

ENOUGH_REQUESTS: Final = 200
"""Requests to both versions together from which the observed share means something."""


@dataclass(frozen=True, slots=True)
class RequestShare:
    """The requests of the latest ticks to the candidate and to the stable version.

    It keeps as many ticks as are needed for 200 requests, so that a share which was right or wrong a while ago says
    nothing of now: after a restart the past of a stage may contain weights that were put right since.

    Attributes:
        ticks: the requests to the candidate and to the stable version, the oldest tick first.
    """

    ticks: tuple[tuple[float, float], ...] = ()

    @property
    def candidate(self) -> float:
        """The requests to the candidate."""
        return sum(candidate for candidate, _ in self.ticks)

    @property
    def total(self) -> float:
        """The requests to both."""
        return sum(candidate + stable for candidate, stable in self.ticks)

    def contradicts(self, wanted: float) -> bool:
        """Return whether the candidate surely gets another share of the requests than this one, from 0 to 1.

        The tolerance is four standard deviations of a binomial count and half of the wanted share: it is meant to find
        a gateway that ignores weights, not to measure them.
        """
        total = self.total
        expected = total * wanted
        tolerance = 4 * math.sqrt(expected * (1 - wanted)) + expected / 2
        return total >= ENOUGH_REQUESTS and abs(self.candidate - expected) > tolerance

    def plus(self, candidate: float, stable: float) -> "RequestShare":
        """Return the share with one more tick, and without those that are not needed any more."""
        if candidate + stable <= 0:
            return self
        ticks, total = (*self.ticks, (candidate, stable)), self.total + candidate + stable
        while total - sum(ticks[0]) >= ENOUGH_REQUESTS:
            total -= sum(ticks[0])
            ticks = ticks[1:]
        return replace(self, ticks=ticks)

    def plus_answers(self, pairs: Sequence[tuple[Answer, Answer | None]]) -> "RequestShare":
        """Return the share with one tick's answers about candidate and stable version, one pair a condition.

        The conditions count the same requests; a condition whose series are incomplete counts fewer of them.
        """
        counts = [
            (candidate.batch.requests, stable.batch.requests)
            for candidate, stable in pairs
            if isinstance(candidate, Counted) and isinstance(stable, Counted)
        ]
        return self.plus(*max(counts, key=sum)) if counts else self


NO_REQUESTS: Final = RequestShare()
