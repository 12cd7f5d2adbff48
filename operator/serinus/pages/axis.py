"""The time axis of a chart: round times, and their positions in percent of the width."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

_MAX_TICKS: Final = 6
_HOUR, _DAY = timedelta(hours=1), timedelta(days=1)
_STEPS: Final = (
    *(timedelta(seconds=count) for count in (1, 5, 15, 30)),
    *(timedelta(minutes=count) for count in (1, 5, 15, 30)),
    *(count * _HOUR for count in (1, 3, 6, 12)),
    *(count * _DAY for count in (1, 2, 7, 14)),
)
_MONTHS: Final = (1, 2, 3, 6, 12, 24, 60, 120)


@dataclass(frozen=True, slots=True)
class Tick:
    """A mark on the time axis; a narrow chart hides the minor ones."""

    x: float
    label: str
    minor: bool
    edge: str


@dataclass(frozen=True, slots=True)
class Scale:
    """A period of time over the whole width."""

    begin: datetime
    end: datetime

    def x(self, at: datetime) -> float:
        """Return the position of a time in percent; a time outside is at the edge."""
        whole = (self.end - self.begin) / timedelta(seconds=1)
        share = (at - self.begin) / timedelta(seconds=1) / whole if whole > 0 else 0.0
        return round(100 * min(1.0, max(0.0, share)), 3)


def ticks(scale: Scale) -> tuple[Tick, ...]:
    """Return a few round times; midnight between hours is labelled with its date."""
    times, form = _round_times(scale)
    marks = []
    for number, at in enumerate(times):
        x = scale.x(at)
        edge = "start" if x < 8 else "end" if x > 92 else "middle"  # noqa: PLR2004 - half a label's width, in percent
        shown = "%m-%d" if form == "%H:%M" and (at.hour, at.minute) == (0, 0) else form
        marks.append(Tick(x, at.strftime(shown), number % 2 == 1, edge))
    return tuple(marks)


def _round_times(scale: Scale) -> tuple[list[datetime], str]:
    whole = scale.end - scale.begin
    step = next((step for step in _STEPS if whole <= _MAX_TICKS * step), None)
    if step is not None:
        form = "%Y-%m-%d" if step >= _DAY else "%H:%M" if step >= timedelta(minutes=1) else "%H:%M:%S"
        return _every(scale, step), form
    months = next((count for count in _MONTHS if whole <= _MAX_TICKS * count * timedelta(days=30.4)), _MONTHS[-1])
    return _monthly(scale, months), "%Y-%m" if months < 12 else "%Y"  # noqa: PLR2004 - a year


def _every(scale: Scale, step: timedelta) -> list[datetime]:
    start = datetime(2000, 1, 3, tzinfo=UTC)  # a Monday
    number = -((start - scale.begin) // step)
    times = []
    while (at := start + number * step) <= scale.end:
        times.append(at)
        number += 1
    return [at for at in times if at >= scale.begin]


def _monthly(scale: Scale, months: int) -> list[datetime]:
    count = scale.begin.year * 12 + scale.begin.month
    count += -count % months
    times = []
    while (at := datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)) <= scale.end:
        times.append(at)
        count += months
    return [at for at in times if at >= scale.begin]
