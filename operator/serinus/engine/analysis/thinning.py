"""Bounds a list of points in time without leaving a long gap."""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Protocol, TypeVar


class Dated(Protocol):
    """Anything with a time."""

    @property
    def at(self) -> datetime:
        """When it was so."""


Point = TypeVar("Point", bound=Dated)


def _any_may_go(*_: object) -> bool:
    return True


def thinned(
    points: Sequence[Point], most: int, first: Callable[[Point, Point, Point], bool] = _any_may_go
) -> tuple[Point, ...]:
    """Return at most so many of the points, always the first and the last.

    The point whose neighbours are closest to each other goes, and so on: where all may go, no gap that this makes is
    ever longer than two of ``most - 1`` equal parts of the whole time.

    Args:
        points: in order of time.
        most: how many are kept, at least 2.
        first: given a point between its neighbours, returns whether it is to go before those of which this is false.
    """
    kept = [*points]
    while len(kept) > most:
        inner = range(1, len(kept) - 1)
        spare = [index for index in inner if first(kept[index - 1], kept[index], kept[index + 1])]
        del kept[min(spare or inner, key=lambda index: kept[index + 1].at - kept[index - 1].at)]
    return tuple(kept)
