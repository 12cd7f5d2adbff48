"""Search for the smallest regression that a plan finds."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from serinus.engine.simulation.outcomes import End, Summary

WANTED: Final = 0.95
"""The share of the runs that must be rolled back in the plan's time."""

STEPS: Final = 7
"""Halvings of the ratio of the bounds: from 0.5 % to 100 % the result is exact to 4 %."""


@dataclass(frozen=True, slots=True)
class Smallest:
    """The smallest regression that is found.

    Attributes:
        share: of bad requests.
        summary: of the runs with that share.
    """

    share: float
    summary: Summary


def smallest_found(runs_at: Callable[[float], Summary], lowest: float, highest: float = 1.0) -> Smallest | None:
    """Return the smallest share of bad requests with which most runs are rolled back; None where not even the highest.

    Args:
        runs_at: simulates runs whose share of bad requests is this.
        lowest: a share above 0 that is tolerable.
        highest: the highest one to try.
    """
    summary = runs_at(highest)
    if not _is_found(summary):
        return None
    best = Smallest(highest, summary)
    for _ in range(STEPS):
        middle = (lowest * best.share) ** 0.5
        summary = runs_at(middle)
        if _is_found(summary):
            best = Smallest(middle, summary)
        else:
            lowest = middle
    return best


def _is_found(summary: Summary) -> bool:
    return summary.ending(End.ROLLED_BACK).share >= WANTED
