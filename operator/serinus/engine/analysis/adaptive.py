"""The burst-adaptive e-process: evidence against every hypothesis of a grid at once.

For each hypothesis, a mixture of likelihood ratios over worse rates and over the block at which the regression began is
a supermartingale with a mean of at most 1 if that hypothesis is true. The evidence is the least of these mixtures, and
therefore at most 1 on average under every hypothesis of the grid. docs/explanation/statistics.md has the formulae.

Many conditions are computed together: an array operation on one costs nearly as much as on a hundred. Each element goes
through the same operations whatever stands beside it, so that the result does not depend on that, to the bit.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np
from msgspec import Struct

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis.likelihood import Floats, log_likelihoods
from serinus.engine.analysis.nulls import grid
from serinus.engine.analysis.weights import starting_weight, unspent_weight
from serinus.engine.analysis.worse import alternatives

MIN_BLOCK: Final = 20
"""Requests that are judged together at least, so that a burst lies within one block at low traffic as well."""

_MAX_EXPONENT: Final = 200.0
_MAX_RATIO: Final = 1e200


class AdaptiveEvidence(Struct, frozen=True):
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


class Block(Struct, frozen=True):
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


def factors(blocks: Sequence[Block], tolerated: Sequence[float], sensitivity: Sensitivity) -> Floats:
    """Return the likelihood ratios of each block: blocks, hypotheses, alternatives.

    ``tolerated`` has the proportion that is tolerated in each block; all must have as many worse rates.
    """
    requests, bad, limit = columns(
        [(block.requests, block.bad, each) for block, each in zip(blocks, tolerated, strict=True)]
    )
    shares = _shares(sensitivity)
    worse, worse_bursts = alternatives(tolerated, requests)
    rates = np.concatenate((shares * limit, worse), axis=1)
    bursts = np.concatenate((bursts_of(blocks, sensitivity), worse_bursts), axis=1)
    likelihoods = log_likelihoods(rates, bursts, requests, bad)
    hypotheses = len(shares)
    # A block that is no worse than a hypothesis is never evidence against it, even where a bursty alternative explains
    # its good requests better.
    most = np.where(bad / (limit * requests) <= shares, 0.0, _MAX_EXPONENT)
    result = likelihoods[:, np.newaxis, hypotheses:] - likelihoods[:, :hypotheses, np.newaxis]
    np.minimum(result, most[:, :, np.newaxis], out=result)
    return np.exp(result, out=result)


def columns(rows: Sequence[tuple[float, ...]]) -> tuple[Floats, ...]:
    """Return the figures of each row as columns that can be combined with an array of as many rows."""
    table = np.array(rows, dtype=np.float64)
    return tuple(table[:, place : place + 1] for place in range(table.shape[1]))


def bursts_of(blocks: Sequence[Block], sensitivity: Sensitivity) -> Floats:
    """Return the burst of each hypothesis for each block."""
    return np.array([_bursts(sensitivity, block.largest) for block in blocks])


@lru_cache(maxsize=4096)
def _bursts(sensitivity: Sensitivity, largest: float) -> tuple[float, ...]:
    return tuple(null.size.burst(largest) for null in grid(sensitivity))


@lru_cache
def _shares(sensitivity: Sensitivity) -> Floats:
    return np.array([null.share for null in grid(sensitivity)])


def advance(
    evidence: Sequence[AdaptiveEvidence], likelihood_ratios: Floats, planned: Sequence[int]
) -> list[AdaptiveEvidence]:
    """Multiply the mixtures of each condition by the likelihood ratios of its block: blocks, hypotheses, alternatives.

    ``planned`` has the number of blocks that the stage of each condition is planned to have.
    """
    shape = likelihood_ratios.shape
    blocks = [one.blocks + 1 for one in evidence]
    spread = list(zip(blocks, planned, strict=True))
    nothing = bytes(likelihood_ratios[0].nbytes)
    before = np.frombuffer(b"".join([one.ratios or nothing for one in evidence])).reshape(shape)
    ratios = before + np.array([starting_weight(*place) for place in spread])[:, np.newaxis, np.newaxis]
    ratios *= likelihood_ratios
    np.minimum(ratios, _MAX_RATIO, out=ratios)
    least = (_sums(ratios).min(axis=1) / shape[2]).tolist()
    packed, length = ratios.tobytes(), len(nothing)
    return [
        AdaptiveEvidence(packed[length * row : length * (row + 1)], block, value + unspent_weight(block, of))
        for row, ((block, of), value) in enumerate(zip(spread, least, strict=True))
    ]


def _sums(ratios: Floats) -> Floats:
    """Return the sums over the last axis, each in the same order whatever the shape: numpy's own sum does not say."""
    total = ratios[:, :, 0].copy()
    for place in range(1, ratios.shape[2]):
        total += ratios[:, :, place]
    return total
