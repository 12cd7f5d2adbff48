"""The burst-adaptive e-process: evidence against every hypothesis of a grid at once.

For each hypothesis, a mixture of likelihood ratios over worse rates and over the block at which the regression began is
a supermartingale with a mean of at most 1 if that hypothesis is true. The evidence is the least of these mixtures, and
therefore at most 1 on average under every hypothesis of the grid. docs/explanation/statistics.md has the formulae.
"""

from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis.likelihood import BlockLikelihood, Floats
from serinus.engine.analysis.nulls import grid
from serinus.engine.analysis.weights import starting_weight, unspent_weight
from serinus.engine.analysis.worse import alternatives

MIN_BLOCK: Final = 20
"""Requests that are judged together at least, so that a burst lies within one block at low traffic as well."""

_MAX_EXPONENT: Final = 200.0
_MAX_RATIO: Final = 1e200
_AT_ONCE: Final = 16
"""Bad counts whose likelihoods are computed together: one array costs hardly more than one count."""


@dataclass(frozen=True, slots=True)
class AdaptiveEvidence:
    """The state of the e-process.

    Attributes:
        ratios: the mixture over onsets for each hypothesis and each alternative, packed as doubles in native order;
            empty before the first block.
        blocks: number of blocks so far.
        value: the evidence; 1 initially.
    """

    ratios: bytes = b""
    blocks: int = 0
    value: float = 1.0


NO_EVIDENCE: Final = AdaptiveEvidence()


@dataclass(frozen=True, slots=True)
class Block:
    """The requests that are judged together.

    Attributes:
        requests: their number; ``MIN_BLOCK`` at least in a complete block.
        bad: number of bad ones, at most ``requests``.
        largest: the largest burst to expect; must not depend on the bad requests of this block.
    """

    requests: float
    bad: float
    largest: float

    def plus(self, tick: "Block") -> "Block":
        """Return the block with one more tick."""
        return Block(self.requests + tick.requests, self.bad + tick.bad, max(self.largest, tick.largest))


EMPTY_BLOCK: Final = Block(0.0, 0.0, 1.0)


def fold(
    evidence: AdaptiveEvidence, block: Block, *, tolerated: float, planned: int, sensitivity: Sensitivity
) -> AdaptiveEvidence:
    """Add one block to the evidence against the tolerated proportion, in a stage of ``planned`` blocks."""
    factors = _factors(sensitivity, tolerated, block.largest, block.requests, block.bad)
    return advance(evidence, factors, planned=planned)


# Versions with similar traffic have the same counts, mostly without a bad request: 1,000 of them share these tables.
@lru_cache(maxsize=1024)
def _factors(sensitivity: Sensitivity, tolerated: float, largest: float, requests: float, bad: float) -> Floats:
    """Return the likelihood ratios of a block: rows are hypotheses, columns are alternatives."""
    hypotheses, negated_shares = len(grid(sensitivity)), _negated_shares(sensitivity)
    whole = int(bad)
    if whole == bad:
        group, place = divmod(whole, _AT_ONCE)
        likelihoods = _log_likelihoods(sensitivity, tolerated, largest, requests, group)[place]
    else:
        likelihoods = _distribution(sensitivity, tolerated, largest, requests).log_likelihood(bad)
    factors: Floats = likelihoods[hypotheses:] - likelihoods[:hypotheses, np.newaxis]
    # A block that is no worse than a hypothesis is never evidence against it, even where a bursty alternative explains
    # its good requests better. The grid begins with the highest rates.
    no_worse = bisect_right(negated_shares, -bad / (tolerated * requests))
    np.minimum(factors[:no_worse], 0.0, out=factors[:no_worse])
    np.minimum(factors, _MAX_EXPONENT, out=factors)
    np.exp(factors, out=factors)
    return factors


@lru_cache
def _negated_shares(sensitivity: Sensitivity) -> tuple[float, ...]:
    """Return the rates of the hypotheses as shares of the limit, negated and therefore rising."""
    return tuple(-null.share for null in grid(sensitivity))


@lru_cache(maxsize=2048)
def _log_likelihoods(sensitivity: Sensitivity, tolerated: float, largest: float, requests: float, group: int) -> Floats:
    """Return the logarithms of the likelihoods of the bad counts of a group, each as a row."""
    first = group * _AT_ONCE
    # A count above the requests has no likelihood; nobody asks for it.
    counts = np.minimum(np.arange(first, first + _AT_ONCE, dtype=np.float64), requests)
    return _distribution(sensitivity, tolerated, largest, requests).log_likelihoods(counts)


@lru_cache(maxsize=512)
def _distribution(sensitivity: Sensitivity, tolerated: float, largest: float, requests: float) -> BlockLikelihood:
    """Return the distribution of the bad count under each hypothesis, followed by the alternatives."""
    guarded, worse = grid(sensitivity), alternatives(tolerated, requests)
    return BlockLikelihood.of(
        [*(null.share * tolerated for null in guarded), *(rate for rate, _ in worse)],
        [*(null.size.burst(largest) for null in guarded), *(burst for _, burst in worse)],
        requests,
    )


def advance(evidence: AdaptiveEvidence, factors: Floats, *, planned: int) -> AdaptiveEvidence:
    """Multiply the mixtures by the likelihood ratios of one block; rows are hypotheses, columns are alternatives."""
    blocks = evidence.blocks + 1
    weight = starting_weight(blocks, planned)
    columns = factors.shape[1]
    if evidence.ratios:
        ratios = np.frombuffer(evidence.ratios).reshape(factors.shape) + weight
        ratios *= factors
    else:
        ratios = weight * factors
    # One product and a list: an eighth of the time of numpy's sum and minimum.
    sums = ratios.dot(_ones(columns)).tolist()
    if max(sums) > _MAX_RATIO:
        np.minimum(ratios, _MAX_RATIO, out=ratios)
        sums = ratios.dot(_ones(columns)).tolist()
    value = min(sums) / columns + unspent_weight(blocks, planned)
    return AdaptiveEvidence(ratios.tobytes(), blocks, value)


@lru_cache
def _ones(count: int) -> Floats:
    return np.ones(count)
