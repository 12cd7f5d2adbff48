"""Likelihood of a block's bad count, for errors that come one by one or in bursts.

The beta-binomial distribution has the mean of the binomial and ``burst`` times its variance: two requests of a block of
``n`` are correlated by ``(burst - 1) / (n - 1)``. The binomial coefficient is left out: it cancels in every ratio.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Below this the arguments of the beta function grow without bound; the binomial is close enough.
_INDEPENDENT: Final = 1.01
# A block whose requests all succeed or all fail has a correlation of 1, for which the formula has no value.
_MOST_CORRELATED: Final = 0.95
_HALF_LOG_TWO_PI: Final = 0.9189385332046727


def log_likelihoods(rates: Floats, bursts: Floats, requests: Floats, bad: Floats) -> Floats:
    """Return the logarithm of the likelihood of each block's bad count under each of its pairs.

    Args:
        rates: error rates, strictly between 0 and 1; rows are blocks, columns are pairs of a rate and a burst.
        bursts: at least 1, in the same form.
        requests: the size of each block, at least 2, as a column.
        bad: the number of bad requests of each block, not necessarily whole, as a column.
    """
    good, both = requests - bad, _concentration(bursts, requests)
    first = rates * both
    second = both - first
    # One call for all: where there are few blocks, each operation costs the same, whatever its size.
    gammas = log_gamma(np.stack((both, requests + both, first, second, first + bad, second + good)))
    bursty = gammas[4] + gammas[5] + (gammas[0] - gammas[1] - (gammas[2] + gammas[3]))
    return np.where(bursts < _INDEPENDENT, bad * np.log(rates) + good * np.log1p(-rates), bursty)


def _concentration(bursts: Floats, requests: Floats) -> Floats:
    """Return the sum of the two parameters of the beta distribution, for blocks of these sizes."""
    correlation = np.minimum((np.maximum(bursts, _INDEPENDENT) - 1) / (requests - 1), _MOST_CORRELATED)
    result: Floats = (1 - correlation) / correlation
    return result


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
