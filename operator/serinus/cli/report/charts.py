"""Geometry of a page's charts: horizontal positions in percent of the width, heights in pixels.

Widths are relative and text is not scaled, so a chart is as readable on a phone as on paper.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from serinus.api.audit_record import Evidence
from serinus.engine.report.compile import AuditReport
from serinus.engine.report.measures import Gauge
from serinus.engine.report.periods import Period, PeriodKind
from serinus.engine.report.runs import Run, RunEnd
from serinus.pages.axis import Scale, Tick, ticks
from serinus.pages.text import day, period_range, when

ROW: Final = 22
BAR: Final = 12
MOST_ROWS: Final = 14
"""With more versions the whole history is shown in one line, and the latest versions in rows."""

SHARE_HEIGHT: Final = 84
_NARROW: Final = 2.2
_WIDE: Final = 0.95
"""Width of a letter in percent of the narrowest and of a wide chart (300 and 700 px)."""


@dataclass(frozen=True, slots=True)
class Bar:
    """A period of time; ``kind`` is the CSS class that colours it."""

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
        gaps: periods without a version in production, or without records.
        marks: times at which a rollback was decided.
        summary: the chart as a sentence.
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
    """Return the charts of the versions in production: one if all versions fit, else the whole history first."""
    begins = [period.begin for period in report.periods if period.begin is not None]
    if not begins:
        return ()
    scale = Scale(min(begins), report.as_of)
    versions = list(dict.fromkeys(period.version for period in reversed(report.periods) if period.version))
    if len(versions) <= MOST_ROWS:
        return (_rows(report, versions, scale),)
    latest = versions[:MOST_ROWS]
    first = min(_begin(period, scale) for period in report.periods if period.version in latest)
    return _strip(report, scale), _rows(report, latest, Scale(first, report.as_of))


def _begin(period: Period, scale: Scale) -> datetime:
    return scale.begin if period.begin is None else period.begin


def _title(period: Period) -> str:
    name = period.version or ("nobody can tell" if period.kind is PeriodKind.UNKNOWN else "nothing in production")
    return f"{name}: {period_range(period)} UTC"


def _bars(periods: Iterable[Period], scale: Scale, kind: str = "") -> tuple[Bar, ...]:
    return tuple(
        _bar(scale, _begin(period, scale), period.end or scale.end, kind or _kind(period), _title(period))
        for period in periods
        if period.end is None or period.end > scale.begin
    )


def _kind(period: Period) -> str:
    if period.kind is PeriodKind.PRODUCTION:
        return "live" if period.end is None else "past"
    return period.kind.value.lower()


def _gaps(report: AuditReport, scale: Scale) -> tuple[Bar, ...]:
    return _bars((period for period in report.periods if period.kind is not PeriodKind.PRODUCTION), scale)


def _marks(report: AuditReport, scale: Scale) -> tuple[Bar, ...]:
    marked = [(rollback.version, rollback.decided_at) for rollback in report.rollbacks]
    return tuple(
        _bar(scale, at, at, "mark", f"{version} rolled back, {when(at)} UTC")
        for version, at in marked
        if at >= scale.begin
    )


def _rows(report: AuditReport, versions: Sequence[str], scale: Scale) -> Timeline:
    own = {version: [period for period in report.periods if period.version == version] for version in versions}
    rows = tuple(
        Row(version, number * ROW + (ROW - BAR) // 2, _bars(own[version], scale))
        for number, version in enumerate(versions)
    )
    height = len(rows) * ROW
    summary = f"The last {len(rows)} versions in production" if len(rows) == MOST_ROWS else "Versions in production"
    return Timeline(rows, _gaps(report, scale), _marks(report, scale), ticks(scale), height, summary)


def _strip(report: AuditReport, scale: Scale) -> Timeline:
    served = [period for period in report.periods if period.kind is PeriodKind.PRODUCTION]
    bars = tuple(
        bar
        for number, period in enumerate(served)
        for bar in _bars((period,), scale, "past" if number % 2 else "other")
    )
    row = Row("", (ROW - BAR) // 2, bars)
    summary = f"The whole history, {len(served)} periods in production"
    return Timeline((row,), _gaps(report, scale), _marks(report, scale), ticks(scale), ROW, summary)


# ---- the share of the traffic -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Step:
    """A share of the traffic for some time: a block from the bottom; ``top`` in pixels from above."""

    x: float
    width: float
    top: float
    share: str


@dataclass(frozen=True, slots=True)
class Label:
    """The begin of a stage; ``room``: its name fits into ``every`` chart, into ``wide`` ones or into ``none``."""

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
    """Return the chart of a run's traffic; None if no share is recorded."""
    end = run.ended_at or as_of
    if not run.shifts or end <= run.began_at:
        return None
    scale = Scale(run.began_at, end)
    until = [*(shift.at for shift in run.shifts[1:]), end]
    steps = tuple(
        Step(
            scale.x(shift.at),
            round(scale.x(later) - scale.x(shift.at), 3),
            round(SHARE_HEIGHT * (1 - shift.share.ratio), 2),
            str(shift.share),
        )
        for shift, later in zip(run.shifts, until, strict=True)
    )
    changes = ", ".join(f"{shift.share} from {when(shift.at)}" for shift in run.shifts)
    rolled_back = run.ends[0] is RunEnd.ROLLED_BACK
    summary = f"Share of the traffic of {run.version}: {changes} UTC"
    return Shares(steps, _labels(run, scale), ticks(scale), 100.0 if rolled_back else None, SHARE_HEIGHT, summary)


def _labels(run: Run, scale: Scale) -> tuple[Label, ...]:
    entered = [(stage.name, stage.entered) for stage in run.stages if stage.entered is not None]
    places = [scale.x(at) for _, at in entered]
    room = [after - before for before, after in zip(places, [*places[1:], 100.0], strict=True)]
    return tuple(Label(x, name, _room(space, name)) for (name, _), x, space in zip(entered, places, room, strict=True))


def _room(space: float, name: str) -> str:
    letters = len(name) + 1
    return "every" if space > _NARROW * letters else "wide" if space > _WIDE * letters else "none"


# ---- a value against its limit ----------------------------------------------------------------

GAUGE_LIMIT: Final = 60.0
"""Position of the limit in every gauge, in percent, so that bars below each other can be compared."""


@dataclass(frozen=True, slots=True)
class GaugeBar:
    """The bar of a value; ``over`` if the value does not fit."""

    width: float
    bad: bool
    over: bool


def gauge_bar(gauge: Gauge) -> GaugeBar:
    """Return the bar of a value against its limit."""
    width = GAUGE_LIMIT * gauge.ratio
    bad = gauge.ratio < 1 if gauge.low_is_bad else gauge.ratio > 1
    return GaugeBar(round(min(100.0, width), 2), bad, width > 100)  # noqa: PLR2004 - percent


def evidence_source(evidence: Evidence) -> str:
    """Return where a value came from: the source, the query and the window."""
    source = f"source {evidence.source}" if evidence.source else ""
    window = f"over {evidence.window}" if evidence.window else ""
    return ", ".join(part for part in (source, evidence.query, window) if part) or "—"


def evidence_sources(run: Run) -> tuple[str, ...]:
    """Return where the values of a run came from, without repetition."""
    return tuple(dict.fromkeys(evidence_source(evidence) for stage in run.stages for evidence in stage.evidence))


def covered_time(report: AuditReport) -> str:
    """Return the period that the charts cover."""
    begins = [period.begin for period in report.periods if period.begin is not None]
    return f"{day(min(begins))} to {day(report.as_of)}" if begins else "no time"
