"""Where the lines and bars of a page's charts are: shares of the width in percent, heights in pixels.

Widths are relative and texts are not scaled, so a chart is as readable on a telephone as on paper.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from serinus.api.audit_record import Evidence
from serinus.cli.report.axis import Scale, Tick, ticks
from serinus.cli.report.text import day, stretch, when
from serinus.engine.report.compile import AuditReport
from serinus.engine.report.measures import Gauge
from serinus.engine.report.periods import Period, PeriodKind
from serinus.engine.report.runs import Run, RunEnd

ROW: Final = 22
BAR: Final = 12
MOST_ROWS: Final = 14
"""More versions than that are shown in one line for the whole history, and the latest in rows."""

SHARE_HEIGHT: Final = 84
_NARROW: Final = 2.2
_WIDE: Final = 0.95
"""So many percent of the narrowest and of a wide chart (300 and 700 px) does a letter take."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A stretch of time; ``kind`` is the word by which the page colours it."""

    x: float
    width: float
    kind: str
    title: str


@dataclass(frozen=True, slots=True)
class Row:
    """One version's line."""

    version: str
    y: int
    bars: tuple[Bar, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """Which version was in production when.

    Attributes:
        gaps: when nothing was in production, or nobody can tell.
        marks: when a rollback was decided.
        summary: the same in a sentence.
    """

    rows: tuple[Row, ...]
    gaps: tuple[Bar, ...]
    marks: tuple[Bar, ...]
    ticks: tuple[Tick, ...]
    height: int
    summary: str


def _bar(scale: Scale, begin: datetime, end: datetime, kind: str, title: str) -> Bar:
    left = scale.x(begin)
    return Bar(left, round(max(0.15, scale.x(end) - left), 3), kind, title)


def timelines(report: AuditReport) -> tuple[Timeline, ...]:
    """Return the charts of what was in production: one where all versions fit, else the whole history first."""
    begins = [period.begin for period in report.periods if period.begin is not None]
    if not begins:
        return ()
    scale = Scale(min(begins), report.as_of)
    versions = list(dict.fromkeys(one.version for one in reversed(report.periods) if one.version))
    if len(versions) <= MOST_ROWS:
        return (_rows(report, versions, scale),)
    latest = versions[:MOST_ROWS]
    first = min(_begin(one, scale) for one in report.periods if one.version in latest)
    return _strip(report, scale), _rows(report, latest, Scale(first, report.as_of))


def _begin(period: Period, scale: Scale) -> datetime:
    return scale.begin if period.begin is None else period.begin


def _title(period: Period) -> str:
    name = period.version or ("nobody can tell" if period.kind is PeriodKind.UNKNOWN else "nothing in production")
    return f"{name}: {stretch(period)} UTC"


def _bars(periods: Iterable[Period], scale: Scale, kind: str = "") -> tuple[Bar, ...]:
    return tuple(
        _bar(scale, _begin(one, scale), one.end or scale.end, kind or _kind(one), _title(one))
        for one in periods
        if one.end is None or one.end > scale.begin
    )


def _kind(period: Period) -> str:
    if period.kind is PeriodKind.PRODUCTION:
        return "live" if period.end is None else "past"
    return period.kind.value.lower()


def _gaps(report: AuditReport, scale: Scale) -> tuple[Bar, ...]:
    return _bars((one for one in report.periods if one.kind is not PeriodKind.PRODUCTION), scale)


def _marks(report: AuditReport, scale: Scale) -> tuple[Bar, ...]:
    return tuple(
        _bar(scale, one.decided_at, one.decided_at, "mark", f"{one.version} rolled back, {when(one.decided_at)} UTC")
        for one in report.rollbacks
        if one.decided_at >= scale.begin
    )


def _rows(report: AuditReport, versions: Sequence[str], scale: Scale) -> Timeline:
    own = {version: [one for one in report.periods if one.version == version] for version in versions}
    rows = tuple(
        Row(version, number * ROW + (ROW - BAR) // 2, _bars(own[version], scale))
        for number, version in enumerate(versions)
    )
    height = len(rows) * ROW
    summary = f"The last {len(rows)} versions in production" if len(rows) == MOST_ROWS else "Versions in production"
    return Timeline(rows, _gaps(report, scale), _marks(report, scale), ticks(scale), height, summary)


def _strip(report: AuditReport, scale: Scale) -> Timeline:
    served = [one for one in report.periods if one.kind is PeriodKind.PRODUCTION]
    bars = tuple(
        bar for number, one in enumerate(served) for bar in _bars((one,), scale, "past" if number % 2 else "other")
    )
    row = Row("", (ROW - BAR) // 2, bars)
    summary = f"The whole history, {len(served)} periods in production"
    return Timeline((row,), _gaps(report, scale), _marks(report, scale), ticks(scale), ROW, summary)


# ---- the share of the traffic -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """The share from one moment to the next: a block from the bottom; ``top`` in pixels from above."""

    x: float
    width: float
    top: float
    share: str


@dataclass(frozen=True, slots=True)
class Label:
    """The beginning of a stage; ``room``: whether its name has room in ``every`` chart, in ``wide`` ones or in none."""

    x: float
    name: str
    room: str


@dataclass(frozen=True, slots=True)
class Shares:
    """The candidate's share of the traffic over a run."""

    steps: tuple[Step, ...]
    labels: tuple[Label, ...]
    ticks: tuple[Tick, ...]
    fall: float | None
    height: int
    summary: str


def shares(run: Run, as_of: datetime) -> Shares | None:
    """Return the chart of a run's traffic; None where no share is recorded."""
    end = run.ended_at or as_of
    if not run.shifts or end <= run.began_at:
        return None
    scale = Scale(run.began_at, end)
    until = [*(one.at for one in run.shifts[1:]), end]
    steps = tuple(
        Step(
            scale.x(one.at),
            round(scale.x(later) - scale.x(one.at), 3),
            round(SHARE_HEIGHT * (1 - one.share.ratio), 2),
            str(one.share),
        )
        for one, later in zip(run.shifts, until, strict=True)
    )
    told = ", ".join(f"{one.share} from {when(one.at)}" for one in run.shifts)
    fallen = run.ends[0] is RunEnd.ROLLED_BACK
    summary = f"Share of the traffic of {run.version}: {told} UTC"
    return Shares(steps, _labels(run, scale), ticks(scale), 100.0 if fallen else None, SHARE_HEIGHT, summary)


def _labels(run: Run, scale: Scale) -> tuple[Label, ...]:
    entered = [(one.name, one.entered) for one in run.stages if one.entered is not None]
    places = [scale.x(at) for _, at in entered]
    room = [after - before for before, after in zip(places, [*places[1:], 100.0], strict=True)]
    return tuple(Label(x, name, _room(space, name)) for (name, _), x, space in zip(entered, places, room, strict=True))


def _room(space: float, name: str) -> str:
    letters = len(name) + 1
    return "every" if space > _NARROW * letters else "wide" if space > _WIDE * letters else "none"


# ---- a value against its limit ----------------------------------------------------------------

GAUGE_LIMIT: Final = 60.0
"""Where the limit stands in every gauge, in percent: bars below each other can be compared."""


@dataclass(frozen=True, slots=True)
class GaugeBar:
    """How far the value reaches; ``over`` where it is further than there is room for."""

    width: float
    bad: bool
    over: bool


def gauge_bar(found: Gauge) -> GaugeBar:
    """Return the bar of a value against its limit."""
    width = GAUGE_LIMIT * found.ratio
    bad = found.ratio < 1 if found.low_is_bad else found.ratio > 1
    return GaugeBar(round(min(100.0, width), 2), bad, width > 100)  # noqa: PLR2004 - percent


def asked(one: Evidence) -> str:
    """Say where a value came from: the source, the query and the window."""
    window = f"over {one.window}" if one.window else ""
    return ", ".join(part for part in (f"source {one.source}" if one.source else "", one.query, window) if part) or "—"


def asked_of(run: Run) -> tuple[str, ...]:
    """Return where a run's values came from, each place once."""
    return tuple(dict.fromkeys(asked(one) for stage in run.stages for one in stage.evidence))


def described(report: AuditReport) -> str:
    """Say over which time the charts go."""
    begins = [one.begin for one in report.periods if one.begin is not None]
    return f"{day(min(begins))} to {day(report.as_of)}" if begins else "no time"
