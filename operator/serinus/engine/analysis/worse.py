"""The error rates and bursts of a worse version, for which evidence is collected."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Final

import numpy as np

from serinus.engine.analysis.likelihood import Floats

_TIMES: Final = (1.5, 2.5, 5.0, 12.0, 40.0)
# Far above a low limit, the multiples alone would leave a gap in which nothing is found.
_FAILING: Final = (0.35, 0.95)
_WORST: Final = 0.95
_BURSTS: Final = (1.0, 4.0)
_HIGH: Final = 0.1
_SHARPEST: Final = 50.0


@lru_cache(maxsize=4096)
def worse_rates(tolerated: float) -> tuple[float, ...]:
    """Return the rates above the tolerated one, each once and in rising order; the last one is outright failure."""
    wanted = [*(min(_WORST, times * tolerated) for times in _TIMES), *_FAILING]
    return tuple(rate for rate in sorted(set(wanted)) if rate > tolerated) or ((1 + tolerated) / 2,)


def alternatives(tolerated: Sequence[float], requests: Floats) -> tuple[Floats, Floats]:
    """Return what a worse version may be, for each block: error rates, and the burst beside each.

    High rates are no sharper than in a block of 50 requests. In a large block, the binomial of such a rate excludes
    every rate a little beside it, so that a version in the gap between two of them is found late; and an outage that
    two ticks share by chance fits the one whose share of both it is.

    Args:
        tolerated: the tolerated proportion of each block; all have as many worse rates.
        requests: the size of each block, as a column.
    """
    worse = np.array([worse_rates(each) for each in tolerated])
    wide = np.where(worse >= _HIGH, np.maximum(1.0, requests / _SHARPEST), 1.0)
    return np.tile(worse, len(_BURSTS)), np.concatenate([burst * wide for burst in _BURSTS], axis=1)


def as_many_worse_rates(tolerated: Floats) -> Floats:
    """Return always as many rates, however high the tolerated one is; those not above it are outright failure.

    Args:
        tolerated: the tolerated proportions, with a last axis of length 1, which becomes that of the rates.
    """
    wanted = np.minimum(_WORST, tolerated * np.array(_TIMES))
    wanted = np.concatenate((wanted, np.broadcast_to(_FAILING, (*wanted.shape[:-1], len(_FAILING)))), axis=-1)
    return np.where(wanted > tolerated, wanted, _WORST)
