"""Estimates the burstiness of errors from the stable version.

Pearson's statistic of the bad counts given each tick's requests, divided by its degrees of freedom, is about 1 where
requests fail independently and about b where they fail b at a time.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from serinus.engine.analysis.measurements import Batch

UNKNOWN_BURST: Final = 3.0
"""Assumed until there is enough data from the stable version."""

_MIN_BURST: Final = 1.0
_MAX_BURST: Final = 20.0
# Below these the statistic reflects chance rather than bursts.
_MIN_TICKS: Final = 20
_MIN_BAD: Final = 10.0
_HALF_MEMORY: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Tally:
    """The sums from which Pearson's statistic is computed, so that no tick has to be stored."""

    ticks: int = 0
    requests: float = 0.0
    bad: float = 0.0
    squares: float = 0.0

    def plus(self, batch: Batch) -> "Tally":
        """Add one tick; a tick without requests changes nothing."""
        requests, bad = batch.requests, min(batch.certain, batch.requests)
        if requests <= 0:
            return self
        return Tally(self.ticks + 1, self.requests + requests, self.bad + bad, self.squares + bad * bad / requests)


@dataclass(frozen=True, slots=True)
class Dispersion:
    """The burst size, estimated from the stable version or given by the stage.

    Attributes:
        given: the stage's ``burst``; overrides the estimate.
        older: the half hour before ``recent``, or the hour before the stage.
        recent: at most half an hour.
        recent_since: start of ``recent``.
    """

    given: int | None = None
    older: Tally = field(default_factory=Tally)
    recent: Tally = field(default_factory=Tally)
    recent_since: datetime | None = None

    @property
    def burst(self) -> float:
        """The divisor phi of the evidence's exponent: 1 to 20, and 3 until it can be estimated."""
        if self.given is not None:
            return float(self.given)
        estimate = _pearson(self.older, self.recent)
        return UNKNOWN_BURST if estimate is None else max(_MIN_BURST, min(_MAX_BURST, estimate))


def _pearson(older: Tally, recent: Tally) -> float | None:
    ticks, bad = older.ticks + recent.ticks, older.bad + recent.bad
    if ticks < _MIN_TICKS or bad < _MIN_BAD:
        return None
    share = bad / (older.requests + recent.requests)
    if share >= 1:
        return None
    # sum (x - n p)^2 / (n p (1 - p)), expanded.
    statistic = ((older.squares + recent.squares) / share - bad) / (1 - share)
    return statistic / (ticks - 1)


def learn(dispersion: Dispersion, batch: Batch, at: datetime) -> Dispersion:
    """Add one tick of the stable version; data older than an hour is dropped, half an hour at a time."""
    if dispersion.given is not None or batch.requests <= 0:
        return dispersion
    since = dispersion.recent_since
    if since is None or at - since < _HALF_MEMORY:
        return Dispersion(None, dispersion.older, dispersion.recent.plus(batch), since or at)
    return Dispersion(None, dispersion.recent, Tally().plus(batch), at)


def learn_history(dispersion: Dispersion, batches: Iterable[Batch]) -> Dispersion:
    """Start from the ticks of the hour before the stage, replacing any earlier history."""
    tally = Tally()
    for batch in batches:
        tally = tally.plus(batch)
    return replace(dispersion, older=tally)
