"""How much errors come in bursts, learned from the stable version.

Pearson's statistic of the bad counts given each tick's requests, divided by its degrees of freedom, is 1 where requests
fail independently of each other and about b where they fail b at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from serinus.engine.analysis.measurements import Batch

UNKNOWN_BURST: Final = 3.0
"""Held until the stable version has shown its own."""

_LEAST: Final = 1.0
_MOST: Final = 20.0
# Below these the statistic says more of chance than of bursts.
_TICKS_TO_KNOW: Final = 20
_BAD_TO_KNOW: Final = 10.0
_HALF_MEMORY: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Tally:
    """The sums that Pearson's statistic needs, so that no tick must be kept."""

    ticks: int = 0
    requests: float = 0.0
    bad: float = 0.0
    squares: float = 0.0

    def plus(self, batch: Batch) -> "Tally":
        """Add one tick; one without requests says nothing."""
        requests, bad = batch.requests, min(batch.certain, batch.requests)
        if requests <= 0:
            return self
        return Tally(self.ticks + 1, self.requests + requests, self.bad + bad, self.squares + bad * bad / requests)


@dataclass(frozen=True, slots=True)
class Dispersion:
    """What is known of the stable version's bursts.

    Attributes:
        given: the burst that the stage names; it wins over all that is learned.
        older: the half hour before ``recent``, or the hour before the stage.
        recent: at most half an hour.
        recent_since: when that began.
    """

    given: int | None = None
    older: Tally = field(default_factory=Tally)
    recent: Tally = field(default_factory=Tally)
    recent_since: datetime | None = None

    @property
    def burst(self) -> float:
        """The divisor phi of the evidence's exponent: 1 to 20, and 3 until known."""
        if self.given is not None:
            return float(self.given)
        known = _pearson(self.older, self.recent)
        return UNKNOWN_BURST if known is None else max(_LEAST, min(_MOST, known))


def _pearson(one: Tally, other: Tally) -> float | None:
    ticks, bad = one.ticks + other.ticks, one.bad + other.bad
    if ticks < _TICKS_TO_KNOW or bad < _BAD_TO_KNOW:
        return None
    share = bad / (one.requests + other.requests)
    if share >= 1:
        return None
    # sum (x - n p)^2 / (n p (1 - p)), multiplied out.
    statistic = ((one.squares + other.squares) / share - bad) / (1 - share)
    return statistic / (ticks - 1)


def learn(dispersion: Dispersion, batch: Batch, at: datetime) -> Dispersion:
    """Add one tick of the stable version; what is older than an hour is forgotten, half an hour at a time."""
    if dispersion.given is not None or batch.requests <= 0:
        return dispersion
    since = dispersion.recent_since
    if since is None or at - since < _HALF_MEMORY:
        return Dispersion(None, dispersion.older, dispersion.recent.plus(batch), since or at)
    return Dispersion(None, dispersion.recent, Tally().plus(batch), at)


def learn_history(dispersion: Dispersion, batches: Iterable[Batch]) -> Dispersion:
    """Begin with the ticks of the hour before the stage, in place of any such hour given before."""
    tally = Tally()
    for batch in batches:
        tally = tally.plus(batch)
    return replace(dispersion, older=tally)
