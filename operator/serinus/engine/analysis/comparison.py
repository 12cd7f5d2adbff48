"""Comparison with the stable version: the likelihood ratios of a block of both versions' requests.

The hypothesis is that the candidate's error rate exceeds the stable version's by no more than a margin, whatever that
rate is and however it changes: a common outage does not count. Candidate and stable version are judged against a point
on the border of the hypothesis. The worse rate of the candidate is paired with the lower rate of the stable version for
which that point is the nearest one in the sense of Kullback and Leibler; their likelihood ratio then has a mean of at
most 1 on the whole hypothesis (Turner, Ly and Gruenwald, arXiv 2106.02693, section 3).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis.adaptive import FAILING, TIMES, WORST, Block
from serinus.engine.analysis.likelihood import BlockLikelihood, Floats
from serinus.engine.analysis.nulls import grid

# The lower rate must not reach 0, or a single failure of the stable version would end all evidence.
_LOWEST: Final = 0.2
_HIGHEST_NULL: Final = 0.9
_MAX_EXPONENT: Final = 200.0
_BISECTIONS: Final = 30


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
    guarded = grid(sensitivity)
    shares = np.array([[null.share] for null in guarded])
    bursts = np.array([[null.size.burst(block.largest)] for null in guarded])
    tolerated = min(_HIGHEST_NULL, reference.rate + margin)
    nothing = shares * tolerated
    worse, lower = _paired(_worse_rates(tolerated), nothing, tolerated, block, reference)
    null = BlockLikelihood.of(nothing[:, 0], bursts[:, 0], block.requests).log_likelihood(block.bad)
    candidate = block.bad * np.log(worse) + (block.requests - block.bad) * np.log1p(-worse) - null[:, np.newaxis]
    good = reference.requests - reference.bad
    stable = reference.bad * np.log(lower / reference.rate) + good * np.log((1 - lower) / (1 - reference.rate))
    result: Floats = np.exp(np.clip(candidate + stable / bursts, -_MAX_EXPONENT, _MAX_EXPONENT))
    return result


def _worse_rates(tolerated: float) -> Floats:
    """Return the wanted rates of the candidate, always as many: the tolerated rate follows the stable version."""
    wanted = np.array([*(min(WORST, times * tolerated) for times in TIMES), *FAILING])
    return np.where(wanted > tolerated, wanted, WORST)


def _paired(
    wanted: Floats, nothing: Floats, tolerated: float, block: Block, reference: Reference
) -> tuple[Floats, Floats]:
    """Return the worse rate of the candidate and the lower rate of the stable version, for each cell.

    Along the border, where the candidate's rate is ``share * (stable rate + margin)``, the logarithm of the mean
    likelihood ratio must not rise in either direction: its two derivatives cancel each other.
    """
    rate = reference.rate
    # Fewer requests of the stable version tell less about it: then only a smaller excess can be seen.
    strength = (reference.requests / block.requests) * tolerated * (1 - nothing) / (1 - rate)
    worse = np.minimum(wanted, nothing + (1 - _LOWEST) * strength)
    lower = rate - rate * (worse - nothing) / strength
    return worse, lower


def failing_logarithms(block: Block, reference: Reference, *, margin: float, rates: Sequence[float]) -> list[float]:
    """Return the logarithms of the likelihood ratios of outright failure, each divided by the largest burst."""
    result = []
    for rate in rates:
        stable = _nearest(rate, block.requests, reference, margin)
        candidate = min(1 - 1e-9, stable + margin)
        if candidate >= rate:
            result.append(0.0)
            continue
        logs = (
            block.bad * np.log(rate / candidate),
            (block.requests - block.bad) * np.log((1 - rate) / (1 - candidate)),
            reference.bad * np.log(reference.rate / stable),
            (reference.requests - reference.bad) * np.log((1 - reference.rate) / (1 - stable)),
        )
        result.append(float(sum(logs)) / block.largest)
    return result


def _nearest(rate: float, requests: float, reference: Reference, margin: float) -> float:
    """Return the stable version's rate of the nearest point on the border to this pair of rates, by bisection."""
    low, high = reference.rate, rate - margin
    if high <= low:
        return low
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        candidate = middle + margin
        slope = requests * (candidate - rate) / (candidate * (1 - candidate)) + reference.requests * (
            middle - reference.rate
        ) / (middle * (1 - middle))
        low, high = (middle, high) if slope < 0 else (low, middle)
    return (low + high) / 2
