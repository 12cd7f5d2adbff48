"""The error rates and bursts of a worse version, for which evidence is collected."""

from functools import lru_cache
from typing import Final

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
    higher = sorted(set(_wanted(tolerated)))
    return tuple(rate for rate in higher if rate > tolerated) or ((1 + tolerated) / 2,)


def alternatives(tolerated: float, requests: float) -> tuple[tuple[float, float], ...]:
    """Return what a worse version may be, given the size of a block: pairs of a rate and a burst.

    High rates are no sharper than in a block of 50 requests. In a large block, the binomial of such a rate excludes
    every rate a little beside it, so that a version in the gap between two of them is found late; and an outage that
    two ticks share by chance fits the one whose share of both it is.
    """
    wide = max(1.0, requests / _SHARPEST)
    return tuple(
        [(rate, burst * (wide if rate >= _HIGH else 1.0)) for burst in _BURSTS for rate in worse_rates(tolerated)]
    )


def as_many_worse_rates(tolerated: float) -> tuple[float, ...]:
    """Return always as many rates, however high the tolerated one is; those not above it are outright failure."""
    return tuple([rate if rate > tolerated else _WORST for rate in _wanted(tolerated)])


def _wanted(tolerated: float) -> list[float]:
    return [*[min(_WORST, times * tolerated) for times in _TIMES], *_FAILING]
