"""Comparison with the stable version: the likelihood ratios of a block of both versions' requests.

The hypothesis is that the candidate's error rate exceeds the stable version's by no more than a margin, whatever that
rate is and however it changes: a common outage does not count. Candidate and stable version are judged against a point
on the border of the hypothesis. The worse rate of the candidate is paired with the lower rate of the stable version for
which that point is the nearest one in the sense of Kullback and Leibler; their likelihood ratio then has a mean of at
most 1 on the whole hypothesis (Turner, Ly and Gruenwald, arXiv 2106.02693, section 3).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis.adaptive import Block
from serinus.engine.analysis.likelihood import Floats, Hypotheses
from serinus.engine.analysis.nulls import SHARES, grid
from serinus.engine.analysis.worse import as_many_worse_rates

# The lower rate must not reach 0, or a single failure of the stable version would end all evidence.
_LOWEST: Final = 0.2
_HIGHEST_NULL: Final = 0.9
_MAX_EXPONENT: Final = 200.0
_CLOSE: Final = 1e-14
_MOST_STEPS: Final = 60
_SHARES: Final = np.array(SHARES)[:, np.newaxis]


@dataclass(frozen=True, slots=True)
class Reference:
    """The stable version's requests of a block.

    Attributes:
        requests: their number.
        bad: number of bad ones.
        rate: the error rate expected of it from the ticks before.
    """

    requests: float
    bad: float
    rate: float

    def plus(self, tick: "Reference") -> "Reference":
        """Return the block with one more tick; what was expected before its first one stays."""
        return Reference(self.requests + tick.requests, self.bad + tick.bad, self.rate)


def factors(block: Block, reference: Reference, *, margin: float, sensitivity: Sensitivity) -> Floats:
    """Return the likelihood ratios of a block: rows are hypotheses, columns are alternatives."""
    rows, shares, bursts, hypotheses = _hypotheses(sensitivity, block.largest, block.requests)
    rate = reference.rate
    tolerated = min(_HIGHEST_NULL, rate + margin)
    worse, lower = _paired(_SHARES * tolerated, tolerated, block, reference)
    candidate = block.bad * np.log(worse) + (block.requests - block.bad) * np.log1p(-worse)
    good = reference.requests - reference.bad
    stable = reference.bad * np.log(lower / rate) + good * np.log((1 - lower) / (1 - rate))
    null = hypotheses.log_likelihood(shares * tolerated, block.bad)
    result: Floats = stable[rows] / bursts
    result += candidate[rows]
    result -= null[:, np.newaxis]
    np.minimum(result, _MAX_EXPONENT, out=result)
    np.maximum(result, -_MAX_EXPONENT, out=result)
    return np.exp(result, out=result)


@lru_cache(maxsize=1024)
def _hypotheses(
    sensitivity: Sensitivity, largest: float, requests: float
) -> tuple[NDArray[np.intp], Floats, Floats, Hypotheses]:
    """Return of each hypothesis the place of its share among all, the share, the burst as a column, and all bursts."""
    guarded = grid(sensitivity)
    bursts = np.array([null.size.burst(largest) for null in guarded])
    return (
        np.array([SHARES.index(null.share) for null in guarded]),
        np.array([null.share for null in guarded]),
        bursts[:, np.newaxis],
        Hypotheses(bursts, requests),
    )


def _paired(nothing: Floats, tolerated: float, block: Block, reference: Reference) -> tuple[Floats, Floats]:
    """Return the worse rate of the candidate and the lower rate of the stable version, for each share and alternative.

    Along the border, where the candidate's rate is ``share * (stable rate + margin)``, the logarithm of the mean
    likelihood ratio must not rise in either direction: its two derivatives cancel each other.
    """
    rate = reference.rate
    # Fewer requests of the stable version tell less about it: then only a smaller excess can be seen.
    strength = (reference.requests / block.requests) * tolerated * (1 - nothing) / (1 - rate)
    worse = np.minimum(np.array(as_many_worse_rates(tolerated)), nothing + (1 - _LOWEST) * strength)
    lower = rate - rate * (worse - nothing) / strength
    return worse, lower


def failing_logarithms(block: Block, reference: Reference, *, margin: float, rates: Sequence[float]) -> list[float]:
    """Return the logarithms of the likelihood ratios of outright failure, each divided by the largest burst."""
    good, stable_good = block.requests - block.bad, reference.requests - reference.bad
    result = []
    for rate in rates:
        stable = _nearest(rate, block.requests, reference, margin)
        candidate = min(1 - 1e-9, stable + margin)
        if candidate >= rate:
            result.append(0.0)
            continue
        logarithm = (
            block.bad * math.log(rate / candidate)
            + good * math.log((1 - rate) / (1 - candidate))
            + reference.bad * math.log(reference.rate / stable)
            + stable_good * math.log((1 - reference.rate) / (1 - stable))
        )
        result.append(logarithm / block.largest)
    return result


def _nearest(rate: float, requests: float, reference: Reference, margin: float) -> float:
    """Return the stable version's rate of the nearest point on the border to this pair of rates.

    The distance is convex along the border: Newton's method finds where its slope is 0, and a bisection replaces each
    step that would leave the interval in which that is.
    """
    expected, others = reference.rate, reference.requests
    low, high = expected, rate - margin
    if high <= low:
        return low
    found = (requests * high + others * low) / (requests + others)
    for _ in range(_MOST_STEPS):
        candidate = found + margin
        variance, other_variance = candidate * (1 - candidate), found * (1 - found)
        excess, other_excess = candidate - rate, found - expected
        slope = requests * excess / variance + others * other_excess / other_variance
        if slope < 0:
            low = found
        else:
            high = found
        bend = requests * (variance - excess * (1 - 2 * candidate)) / (variance * variance) + others * (
            other_variance - other_excess * (1 - 2 * found)
        ) / (other_variance * other_variance)
        step = found - slope / bend
        after = step if low < step < high else (low + high) / 2
        if abs(after - found) <= _CLOSE * found:
            return after
        found = after
    return found
