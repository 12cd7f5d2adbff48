"""The e-process that looks for outright failure, tick by tick, whatever the traffic."""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from serinus.engine.analysis.weights import starting_weight, unspent_weight

FAILING: Final = (0.3, 0.6, 0.95)
"""Error rates of outright failure."""

_MAX_EXPONENT: Final = 700.0
_MAX_RATIO: Final = 1e300


@dataclass(frozen=True, slots=True)
class OutrightEvidence:
    """The state of the e-process.

    Attributes:
        ratios: for each rate of outright failure, the likelihood ratio summed over the ticks at which it may have
            started; empty before the first request.
        ticks: number of ticks with requests so far.
        value: the evidence; 1 initially.
    """

    ratios: tuple[float, ...] = ()
    ticks: int = 0
    value: float = 1.0


NO_EVIDENCE: Final = OutrightEvidence()


@lru_cache(maxsize=4096)
def exponents(tolerated: float) -> tuple[tuple[float, float], ...]:
    """Return what a bad and a good request add to the logarithm of each likelihood ratio.

    Raises:
        ValueError: the tolerated proportion is not strictly between 0 and 1.
    """
    if not 0 < tolerated < 1:
        raise ValueError(f"tolerated: {tolerated} is not between 0 and 1")
    rates = [rate for rate in FAILING if rate > tolerated] or [(1 + tolerated) / 2]
    return tuple((math.log(rate / tolerated), math.log1p(-rate) - math.log1p(-tolerated)) for rate in rates)


def fold(  # noqa: PLR0913 - the counts of a tick and what they are judged by
    evidence: OutrightEvidence, requests: float, bad: float, *, burst: float, tolerated: float, planned: int
) -> OutrightEvidence:
    """Add a tick with requests; ``burst`` must not depend on the bad ones."""
    pairs = exponents(tolerated)
    return advance(evidence, [(bad * b + (requests - bad) * g) / burst for b, g in pairs], planned=planned)


def advance(evidence: OutrightEvidence, logarithms: list[float], *, planned: int) -> OutrightEvidence:
    """Multiply the mixtures by the likelihood ratios of one tick, given as logarithms."""
    ticks = evidence.ticks + 1
    weight = starting_weight(ticks, planned)
    before = evidence.ratios or (0.0,) * len(logarithms)
    ratios = [(ratio + weight) * _exp(logarithm) for ratio, logarithm in zip(before, logarithms, strict=True)]
    if max(ratios) > _MAX_RATIO:
        ratios = [min(_MAX_RATIO, ratio) for ratio in ratios]
    return OutrightEvidence(tuple(ratios), ticks, sum(ratios) / len(ratios) + unspent_weight(ticks, planned))


def _exp(exponent: float) -> float:
    if -_MAX_EXPONENT < exponent < _MAX_EXPONENT:
        return math.exp(exponent)
    return math.exp(math.copysign(_MAX_EXPONENT, exponent))
