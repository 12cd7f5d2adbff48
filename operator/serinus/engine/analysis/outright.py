"""The e-process that looks for outright failure, tick by tick, whatever the traffic."""

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from msgspec import Struct

from serinus.engine.analysis.likelihood import Floats
from serinus.engine.analysis.weights import starting_weight, unspent_weight

FAILING: Final = (0.3, 0.6, 0.95)
"""Error rates of outright failure."""

_MAX_EXPONENT: Final = 700.0
_MAX_RATIO: Final = 1e300


class OutrightEvidence(Struct, frozen=True):
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


def logarithms(requests: float, bad: float, burst: float, tolerated: float) -> list[float]:
    """Return the logarithms of the likelihood ratios of one tick; ``burst`` must not depend on the bad requests."""
    good = requests - bad
    return [(bad * of_bad + good * of_good) / burst for of_bad, of_good in exponents(tolerated)]


def advance(evidence: Sequence[OutrightEvidence], ratios: Floats, planned: Sequence[int]) -> list[OutrightEvidence]:
    """Multiply the mixtures of each condition by the likelihood ratios of one tick, given as logarithms.

    Args:
        evidence: of each condition.
        ratios: a row for each condition, as many columns as there are rates of outright failure.
        planned: the number of ticks that the stage of each condition is planned to have.
    """
    ticks = [one.ticks + 1 for one in evidence]
    spread = list(zip(ticks, planned, strict=True))
    nothing = (0.0,) * ratios.shape[1]
    grown = np.array([one.ratios or nothing for one in evidence])
    grown += np.array([starting_weight(*place) for place in spread])[:, np.newaxis]
    with np.errstate(over="ignore"):  # infinite becomes the maximum
        grown *= np.exp(np.clip(ratios, -_MAX_EXPONENT, _MAX_EXPONENT))
    np.minimum(grown, _MAX_RATIO, out=grown)
    return [
        OutrightEvidence(tuple(row), tick, sum(row) / len(row) + unspent_weight(tick, of))
        for row, (tick, of) in zip(grown.tolist(), spread, strict=True)
    ]
