"""Comparison with the stable version: the likelihood ratios of a block of both versions' requests.

The hypothesis is that the candidate's error rate exceeds the stable version's by no more than a margin, whatever that
rate is and however it changes: a common outage does not count. Candidate and stable version are judged against a point
on the border of the hypothesis. The worse rate of the candidate is paired with the lower rate of the stable version for
which that point is the nearest one in the sense of Kullback and Leibler; their likelihood ratio then has a mean of at
most 1 on the whole hypothesis (Turner, Ly and Gruenwald, arXiv 2106.02693, section 3).
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis.adaptive import Block, bursts_of, columns
from serinus.engine.analysis.likelihood import Floats, log_likelihoods
from serinus.engine.analysis.nulls import SHARES, grid
from serinus.engine.analysis.outright import FAILING
from serinus.engine.analysis.worse import as_many_worse_rates

# The lower rate must not reach 0, or a single failure of the stable version would end all evidence.
_LOWEST: Final = 0.2
_HIGHEST_NULL: Final = 0.9
_MAX_EXPONENT: Final = 200.0
_CLOSE: Final = 1e-14
_MOST_STEPS: Final = 60
_ALMOST_ALL: Final = 1 - 1e-9
_SHARES: Final = np.array(SHARES)
_FAILING: Final = np.array(FAILING)


class Reference(Struct, frozen=True):
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


class Pair(Struct, frozen=True):
    """A block of the candidate's requests, those of the stable version beside it, and by how much they may differ."""

    block: Block
    reference: Reference
    margin: float


def factors(pairs: Sequence[Pair], sensitivity: Sensitivity) -> Floats:
    """Return the likelihood ratios of each pair: pairs, hypotheses, alternatives."""
    requests, bad, stable_requests, stable_bad, rate, margin = _figures(pairs)
    rows, bursts = _rows(sensitivity), bursts_of([pair.block for pair in pairs], sensitivity)
    tolerated = np.minimum(_HIGHEST_NULL, rate + margin)
    nothing = _SHARES * tolerated
    null = log_likelihoods(nothing[:, rows], bursts, requests, bad)
    # For each share and each alternative: they have an axis more.
    deeper = [figure[:, :, np.newaxis] for figure in (nothing, tolerated, requests, stable_requests, rate)]
    worse, lower = _paired(*deeper)
    bad, good = bad[:, :, np.newaxis], (requests - bad)[:, :, np.newaxis]
    candidate = bad * np.log(worse) + good * np.log1p(-worse)
    rate, stable_good = rate[:, :, np.newaxis], (stable_requests - stable_bad)[:, :, np.newaxis]
    stable = stable_bad[:, :, np.newaxis] * np.log(lower / rate) + stable_good * np.log((1 - lower) / (1 - rate))
    result: Floats = stable[:, rows] / bursts[:, :, np.newaxis]
    result += candidate[:, rows]
    result -= null[:, :, np.newaxis]
    np.clip(result, -_MAX_EXPONENT, _MAX_EXPONENT, out=result)
    return np.exp(result, out=result)


def _figures(pairs: Sequence[Pair]) -> tuple[Floats, ...]:
    """Return as columns: requests and bad ones of both versions, the expected rate of the stable one, the margin."""
    return columns(
        [
            (
                pair.block.requests,
                pair.block.bad,
                pair.reference.requests,
                pair.reference.bad,
                pair.reference.rate,
                pair.margin,
            )
            for pair in pairs
        ]
    )


@lru_cache
def _rows(sensitivity: Sensitivity) -> NDArray[np.intp]:
    """Return the place of each hypothesis's share among all shares."""
    return np.array([SHARES.index(null.share) for null in grid(sensitivity)])


def _paired(
    nothing: Floats, tolerated: Floats, requests: Floats, stable_requests: Floats, rate: Floats
) -> tuple[Floats, Floats]:
    """Return the worse rate of the candidate and the lower rate of the stable version, for each share and alternative.

    Along the border, where the candidate's rate is ``share * (stable rate + margin)``, the logarithm of the mean
    likelihood ratio must not rise in either direction: its two derivatives cancel each other.
    """
    # Fewer requests of the stable version tell less about it: then only a smaller excess can be seen.
    strength = (stable_requests / requests) * tolerated * (1 - nothing) / (1 - rate)
    worse = np.minimum(as_many_worse_rates(tolerated), nothing + (1 - _LOWEST) * strength)
    return worse, rate - rate * (worse - nothing) / strength


def failing_logarithms(pairs: Sequence[Pair]) -> Floats:
    """Return the logarithms of the likelihood ratios of outright failure, each divided by the largest burst."""
    requests, bad, stable_requests, stable_bad, rate, margin = _figures(pairs)
    stable = _nearest(requests, stable_requests, rate, margin)
    candidate = np.minimum(_ALMOST_ALL, stable + margin)
    result = (
        bad * np.log(_FAILING / candidate)
        + (requests - bad) * np.log((1 - _FAILING) / (1 - candidate))
        + stable_bad * np.log(rate / stable)
        + (stable_requests - stable_bad) * np.log((1 - rate) / (1 - stable))
    )
    result /= np.array([pair.block.largest for pair in pairs])[:, np.newaxis]
    return np.where(candidate >= _FAILING, 0.0, result)


def _nearest(requests: Floats, others: Floats, expected: Floats, margin: Floats) -> Floats:
    """Return the stable version's rate of the nearest point on the border to each pair of rates of outright failure.

    The distance is convex along the border: Newton's method finds where its slope is 0, and a bisection replaces each
    step that would leave the interval in which that is. What is found does not move any more.
    """
    low = np.broadcast_to(expected, (len(expected), len(_FAILING)))
    high = np.maximum(low, _FAILING - margin)
    found = (requests * high + others * low) / (requests + others)
    near = high <= low
    for _ in range(_MOST_STEPS):
        after, low, high = _closer(found, low, high, (requests, others, expected, margin))
        done = near | (np.abs(after - found) <= _CLOSE * found)
        found, near = np.where(near, found, after), done
        if near.all():
            break
    return found


def _closer(
    found: Floats, low: Floats, high: Floats, figures: tuple[Floats, Floats, Floats, Floats]
) -> tuple[Floats, Floats, Floats]:
    """Return the next point, and the interval that is left; the figures are those of :func:`_nearest`, in its order."""
    requests, others, expected, margin = figures
    # Beyond it there is no interval to look in, and a rate of 1 has no variance to divide by.
    candidate = np.minimum(_ALMOST_ALL, found + margin)
    variance, other_variance = candidate * (1 - candidate), found * (1 - found)
    excess, other_excess = candidate - _FAILING, found - expected
    slope = requests * excess / variance + others * other_excess / other_variance
    low, high = np.where(slope < 0, found, low), np.where(slope < 0, high, found)
    bend = requests * (variance - excess * (1 - 2 * candidate)) / (variance * variance) + others * (
        other_variance - other_excess * (1 - 2 * found)
    ) / (other_variance * other_variance)
    step = found - slope / bend
    return np.where((low < step) & (step < high), step, (low + high) / 2), low, high
