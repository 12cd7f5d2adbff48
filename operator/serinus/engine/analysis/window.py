"""The window of the Observed judgement, and the timer of how long a condition has held."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from serinus.engine.analysis.measurements import Batch

EMPTY_BATCH: Final = Batch(0.0, 0.0, 0.0, 0.0)
_SLICES: Final = 32


def add(first: Batch, second: Batch) -> Batch:
    """Return the sum of both batches."""
    return Batch(
        first.requests + second.requests,
        first.certain + second.certain,
        first.likely + second.likely,
        first.possible + second.possible,
    )


@dataclass(frozen=True, slots=True)
class Slice:
    """The ticks from ``first`` to ``last``, added up."""

    first: datetime
    last: datetime
    batch: Batch


@dataclass(frozen=True, slots=True)
class Window:
    """The requests of a sliding window, exact to a 32nd of its length and bounded in size."""

    slices: tuple[Slice, ...] = ()
    total: Batch = EMPTY_BATCH

    def plus(self, batch: Batch, at: datetime, length: timedelta) -> "Window":
        """Add the tick at ``at``, which is later than all before, and drop what is older than ``length``."""
        kept = [entry for entry in self.slices if at - entry.last < length]
        if kept and at - kept[-1].first < length / _SLICES:
            kept[-1] = Slice(kept[-1].first, at, add(kept[-1].batch, batch))
        else:
            kept.append(Slice(at, at, batch))
        total = EMPTY_BATCH
        for entry in kept:
            total = add(total, entry.batch)
        return Window(tuple(kept), total)


@dataclass(frozen=True, slots=True)
class HoldTimer:
    """How long a condition has held.

    Attributes:
        held: time between consecutive readings in which the condition held; None while it does not hold.
        known_at: time of the last conclusive reading.
        gap: whether an inconclusive reading has followed.
    """

    held: timedelta | None = None
    known_at: datetime | None = None
    gap: bool = False

    def plus(self, *, holds: bool | None, at: datetime, max_gap: timedelta, reset_after: timedelta) -> "HoldTimer":
        """Add one reading.

        Args:
            holds: whether the condition holds; None if the reading is inconclusive.
            at: time of the reading.
            max_gap: readings further apart than this have a gap between them, which does not count as holding.
            reset_after: a longer gap resets the timer to zero.
        """
        if holds is None:
            return self if self.held is None or self.gap else HoldTimer(self.held, self.known_at, gap=True)
        if not holds:
            return HoldTimer(None, at)
        if self.held is None or self.known_at is None:
            return HoldTimer(timedelta(0), at)
        passed = at - self.known_at
        if not self.gap and passed <= max_gap:
            return HoldTimer(self.held + passed, at)
        return HoldTimer(timedelta(0) if passed > reset_after else self.held, at)


EMPTY_WINDOW: Final = Window()
NOT_HELD: Final = HoldTimer()
