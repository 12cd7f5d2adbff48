"""The windowed value of the Observed judgement, and for how long a condition has held."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from serinus.engine.analysis.measurements import Batch

NOTHING: Final = Batch(0.0, 0.0, 0.0, 0.0)
_SLICES: Final = 32


def add(one: Batch, other: Batch) -> Batch:
    """Return both batches' requests as one."""
    return Batch(
        one.requests + other.requests,
        one.certain + other.certain,
        one.likely + other.likely,
        one.possible + other.possible,
    )


@dataclass(frozen=True, slots=True)
class Slice:
    """The ticks from ``first`` to ``last``, added up."""

    first: datetime
    last: datetime
    batch: Batch


@dataclass(frozen=True, slots=True)
class Window:
    """The requests of the last so many seconds, exact to a 32nd of that, whatever the number of ticks in it."""

    slices: tuple[Slice, ...] = ()
    total: Batch = NOTHING

    def plus(self, batch: Batch, at: datetime, length: timedelta) -> "Window":
        """Add the tick at ``at``, later than all before it, and forget what is ``length`` or more before it."""
        kept = [piece for piece in self.slices if at - piece.last < length]
        if kept and at - kept[-1].first < length / _SLICES:
            kept[-1] = Slice(kept[-1].first, at, add(kept[-1].batch, batch))
        else:
            kept.append(Slice(at, at, batch))
        total = NOTHING
        for piece in kept:
            total = add(total, piece.batch)
        return Window(tuple(kept), total)


@dataclass(frozen=True, slots=True)
class HoldTimer:
    """For how long a condition has been seen to hold.

    Attributes:
        held: the time between neighbouring readings that both held; None while it does not hold.
        known_at: the last reading that said either.
        broken: a reading since then could not say.
    """

    held: timedelta | None = None
    known_at: datetime | None = None
    broken: bool = False

    def plus(self, *, holds: bool | None, at: datetime, unbroken: timedelta, forget: timedelta) -> "HoldTimer":
        """Add one reading.

        Args:
            holds: what it says; None where it cannot say.
            at: when.
            unbroken: readings further apart than this have a gap between them.
            forget: a gap longer than this puts the clock back to zero.
        """
        if holds is None:
            return self if self.held is None or self.broken else HoldTimer(self.held, self.known_at, broken=True)
        if not holds:
            return HoldTimer(None, at)
        if self.held is None or self.known_at is None:
            return HoldTimer(timedelta(0), at)
        passed = at - self.known_at
        if not self.broken and passed <= unbroken:
            return HoldTimer(self.held + passed, at)
        return HoldTimer(timedelta(0) if passed > forget else self.held, at)


EMPTY_WINDOW: Final = Window()
NOT_HELD: Final = HoldTimer()
