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
        both = concentration(burst, requests)
        shapes = np.array((rate * both, (1 - rate) * both))
        # One call for all: arrays are so small that each operation costs the same, whatever their size.
        gammas = log_gamma(np.array((both, requests + both, shapes[0], shapes[1])))
        constant = gammas[0] - gammas[1] - (gammas[2] + gammas[3])
        return cls(requests, independent, np.log(rate), np.log1p(-rate), shapes, constant)

    def log_likelihood(self, bad: float) -> Floats:
        """Return the logarithm of the likelihood of this many bad requests, not necessarily a whole number."""
        result: Floats = self.log_likelihoods(np.array((bad,)))[0]
        return result

    def log_likelihoods(self, bad: Floats) -> Floats:
        """Return the logarithms of the likelihoods of several numbers of bad requests, each as a row."""
        counts = np.array((bad, self.requests - bad))[:, :, np.newaxis]
        gammas = log_gamma(self.shapes[:, np.newaxis, :] + counts)
        bursty = gammas[0] + gammas[1] + self.constant
        result: Floats = np.where(self.independent, counts[0] * self.log_bad + counts[1] * self.log_good, bursty)
        return result


def concentration(bursts: Floats, requests: float) -> Floats:
    """Return the sum of the two parameters of the beta distribution, for a block of this size."""
    correlation = np.minimum((np.maximum(bursts, _INDEPENDENT) - 1) / (requests - 1), _MOST_CORRELATED)
    result: Floats = (1 - correlation) / correlation
    return result


class Hypotheses:
    """Bursts with rates that differ from block to block: what does not depend on the rates is computed once."""

    __slots__ = ("_both", "_constant", "_independent", "_requests")

    def __init__(self, bursts: Floats, requests: float) -> None:
        """Take bursts of at least 1, for a block of at least 2 requests."""
        self._requests, self._independent = requests, bursts < _INDEPENDENT
        self._both = concentration(bursts, requests)
        self._constant = log_gamma(self._both) - log_gamma(requests + self._both)

    def log_likelihood(self, rates: Floats, bad: float) -> Floats:
        """Return the logarithm of the likelihood of this many bad requests, for a rate beside each burst."""
        good, first, size = self._requests - bad, rates * self._both, len(rates)
        second = self._both - first
        arguments = np.empty((4, size))
        np.add(first, bad, out=arguments[0])
        np.add(second, good, out=arguments[1])
        arguments[2], arguments[3] = first, second
        gammas = log_gamma(arguments)
        bursty = gammas[0] + gammas[1] + (self._constant - (gammas[2] + gammas[3]))
        return np.where(self._independent, bad * np.log(rates) + good * np.log1p(-rates), bursty)


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
