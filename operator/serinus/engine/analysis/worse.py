"""The error rates of a worse version, for which evidence is collected."""

from functools import lru_cache
from typing import Final

_TIMES: Final = (1.5, 2.5, 5.0, 12.0, 40.0)
# Far above a low limit, the multiples alone would leave a gap in which nothing is found.
_FAILING: Final = (0.35, 0.95)
_WORST: Final = 0.95


@lru_cache(maxsize=4096)
def worse_rates(tolerated: float) -> tuple[float, ...]:
    """Return the rates above the tolerated one, each once and in rising order; the last one is outright failure."""
    higher = sorted(set(_wanted(tolerated)))
    return tuple(rate for rate in higher if rate > tolerated) or ((1 + tolerated) / 2,)


def as_many_worse_rates(tolerated: float) -> tuple[float, ...]:
    """Return always as many rates, however high the tolerated one is; those not above it are outright failure."""
    return tuple([rate if rate > tolerated else _WORST for rate in _wanted(tolerated)])


def _wanted(tolerated: float) -> list[float]:
    return [*[min(_WORST, times * tolerated) for times in _TIMES], *_FAILING]
