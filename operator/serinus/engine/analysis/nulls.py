"""The hypotheses against which evidence is collected: tolerable error rates, each with a size of the bursts.

A version is tolerable with any rate up to the limit, and its errors may come one by one or in bursts. One hypothesis is
a rate and a size of the bursts; the evidence must refute every hypothesis of the grid before it is a breach.
"""

import math
from dataclasses import dataclass
from enum import Enum
from typing import Final

from serinus.api.rollout import Sensitivity

SHARES: Final = (1.0, 0.5, 0.2, 0.05)
"""The rates of the grid, as shares of the limit."""

LEAST_BURST: Final = 3.0
"""Errors that come together at any traffic: those of one client that retries twice."""

_MEDIUM: Final = 9.0
_POWER_AT_THE_LIMIT: Final = 0.7
_STEP: Final = 1 / 16


class Size(Enum):
    """A size of bursts, relative to the largest one to expect."""

    SINGLE = "errors that are independent of each other"
    SMALL = "at most 3 errors"
    MEDIUM = "at most 9 errors"
    LARGE = "between medium and the largest, in geometric progression"
    LARGEST = "the largest"
    AT_THE_LIMIT = "medium, or the power of 0.7 of the largest"

    def burst(self, largest: float) -> float:
        """Return the variance of the bad count relative to independent errors, given the largest burst."""
        match self:
            case Size.SINGLE:
                return 1.0
            case Size.SMALL:
                return min(LEAST_BURST, largest)
            case Size.MEDIUM:
                return min(_MEDIUM, largest)
            case Size.LARGE:
                return math.sqrt(min(_MEDIUM, largest) * largest)
            case Size.LARGEST:
                return largest
            case Size.AT_THE_LIMIT:
                return min(largest, max(_MEDIUM, math.pow(largest, _POWER_AT_THE_LIMIT)))


@dataclass(frozen=True, slots=True)
class Null:
    """One hypothesis.

    Attributes:
        share: its error rate as a share of the limit.
        size: the size of its bursts.
    """

    share: float
    size: Size


_EVERY: Final = (Size.SINGLE, Size.SMALL, Size.MEDIUM, Size.LARGE, Size.LARGEST)
_AT_THE_LIMIT: Final = (Size.SINGLE, Size.SMALL, Size.MEDIUM, Size.AT_THE_LIMIT)
_GRIDS: Final = {
    Sensitivity.FAST: tuple(Null(share, Size.SINGLE) for share in SHARES),
    Sensitivity.BALANCED: (
        *(Null(1.0, size) for size in _AT_THE_LIMIT),
        *(Null(share, size) for share in SHARES[1:] for size in _EVERY),
    ),
    Sensitivity.CAREFUL: tuple(Null(share, size) for share in SHARES for size in _EVERY),
}


def grid(sensitivity: Sensitivity) -> tuple[Null, ...]:
    """Return the hypotheses that a sensitivity guards."""
    return _GRIDS[sensitivity]


def largest_burst(per_second: float, blip_seconds: float) -> float:
    """Return the number of requests that may fail together: those of one blip and one more, and 3 at least.

    It is rounded up by at most 5 %, to one of a few values, so that versions with similar traffic share their tables.
    """
    requests = max(LEAST_BURST, 1 + per_second * blip_seconds)
    return math.pow(2.0, _STEP * math.ceil(math.log2(requests) / _STEP - 1e-9))
