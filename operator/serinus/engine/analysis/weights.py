"""The prior probability of the tick or block at which a regression begins."""

from typing import Final

_FIRST: Final = 0.5
_PLANNED: Final = 0.4
_LATER: Final = 0.1


def starting_weight(tick: int, planned: int) -> float:
    """Return the prior probability that a regression starts at this tick (from 1), given the planned ticks."""
    if tick == 1:
        return _FIRST
    return _PLANNED / planned if tick <= planned else _LATER * planned / ((tick - 1) * tick)


def unspent_weight(ticks: int, planned: int) -> float:
    """Return 1 minus the weights of the first ``ticks`` ticks, in closed form."""
    if ticks == 0:
        return 1.0
    if ticks <= planned:
        return 1 - _FIRST - _PLANNED * (ticks - 1) / planned
    return _PLANNED / planned + _LATER * planned / ticks
