"""Likelihood of a block's bad count, for errors that come one by one or in bursts.

The beta-binomial distribution has the mean of the binomial and ``burst`` times its variance: two requests of a block of
``n`` are correlated by ``(burst - 1) / (n - 1)``. The binomial coefficient is left out: it cancels in every ratio.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Below this the arguments of the beta function grow without bound; the binomial is close enough.
_INDEPENDENT: Final = 1.01
# A block whose requests all succeed or all fail has a correlation of 1, for which the formula has no value.
_MOST_CORRELATED: Final = 0.95
_HALF_LOG_TWO_PI: Final = 0.9189385332046727


@dataclass(frozen=True, slots=True, eq=False)
class BlockLikelihood:
    """The distribution of the bad count of a block of a given size, for pairs of an error rate and a burst.

    Attributes:
        requests: the size of the block.
        independent: where the burst is 1.
        log_bad: logarithm of the rate.
        log_good: logarithm of 1 minus the rate.
        shapes: the two parameters of the beta distribution, as rows.
        constant: the part of the logarithm of the likelihood that does not depend on the bad count.
    """

    requests: float
    independent: NDArray[np.bool_]
    log_bad: Floats
    log_good: Floats
    shapes: Floats
    constant: Floats

    @classmethod
    def of(
        cls, rates: Sequence[float] | Floats, bursts: Sequence[float] | Floats, requests: float
    ) -> "BlockLikelihood":
        """Pair rates, strictly between 0 and 1, with bursts of at least 1, for a block of at least 2 requests."""
        rate, burst = np.asarray(rates), np.asarray(bursts)
        independent = burst < _INDEPENDENT
        correlation = np.clip((np.maximum(burst, _INDEPENDENT) - 1) / (requests - 1), 0.0, _MOST_CORRELATED)
        both = (1 - correlation) / correlation
        shapes = np.array((rate * both, (1 - rate) * both))
        constant = log_gamma(both) - log_gamma(requests + both) - log_gamma(shapes).sum(axis=0)
        return cls(requests, independent, np.log(rate), np.log1p(-rate), shapes, constant)

    def log_likelihood(self, bad: float) -> Floats:
        """Return the logarithm of the likelihood of this many bad requests, not necessarily a whole number."""
        good = self.requests - bad
        gammas = log_gamma(self.shapes + np.array(((bad,), (good,))))
        bursty = gammas[0] + gammas[1] + self.constant
        return np.where(self.independent, bad * self.log_bad + good * self.log_good, bursty)


def log_gamma(values: Floats) -> Floats:
    """Return the logarithm of the gamma function of positive values with an absolute error below 1e-9 up to 1e5.

    Stirling's series for the value plus 8, minus the logarithm of the product of the eight factors between.
    """
    pairs = values * (values + 7)  # z (z+7), and (z+1) (z+6) is 6 more, and so on
    product = pairs * (pairs + 6) * (pairs + 10) * (pairs + 12)
    shifted = values + 8
    inverse = 1 / shifted
    square = inverse * inverse
    series = inverse * (1 / 12 - square * (1 / 360 - square / 1260))
    result: Floats = (shifted - 0.5) * np.log(shifted) - shifted + _HALF_LOG_TWO_PI + series - np.log(product)
    return result
