"""Short answers for a terminal: which version was live at a time, and which versions used data or an artifact."""

from collections.abc import Iterable, Sequence

from serinus.api.names import ObjectKey
from serinus.cli.session import name_of
from serinus.engine.report.compile import AuditReport
from serinus.engine.report.periods import Live, PeriodKind
from serinus.engine.report.versions import VersionStory
from serinus.pages.text import period_range, visible, when

_HEADING = ("MODEL", "VERSION", "STAGE", "REGISTERED", "IN PRODUCTION (UTC)")


def live_line(report: AuditReport, live: Live) -> str:
    """Return one line about the version that was live at a time, after a warning if the chain is broken."""
    warning = "" if report.proof.ok else "DO NOT RELY ON THIS, the audit chain does not verify: "
    return visible(f"{warning}{name_of(report.model)} {_live(live)}{_trial(live)}")


def _live(live: Live) -> str:
    at, period = f"at {when(live.at)} UTC", live.period
    if period is None:
        return f"has no record before or at {when(live.at)} UTC"
    match period.kind:
        case PeriodKind.PRODUCTION:
            number = f", record #{period.began_by.sequence}" if period.began_by is not None else ""
            return f"{period.version} was in production {at} ({period_range(period)}{number})"
        case PeriodKind.NOTHING:
            return f"had no version in production {at} ({period_range(period)})"
        case PeriodKind.UNKNOWN:
            return f"{at}: unknown, because records are missing ({period_range(period)})"


def _trial(live: Live) -> str:
    if not live.candidate:
        return ""
    stage = f" in stage {live.stage}" if live.stage else ""
    return f"; on trial: {live.candidate} with {live.traffic or 'no recorded share'} of the traffic{stage}"


def used_table(uses: Iterable[tuple[ObjectKey, VersionStory]]) -> str:
    """Return a table of versions and when each was in production."""
    rows = [_HEADING, *(_row(model, story) for model, story in uses)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_HEADING) - 1)]
    return "\n".join(_line(row, widths) for row in rows)


def _row(model: ObjectKey, story: VersionStory) -> tuple[str, ...]:
    at = story.entry.registered_at if story.entry is not None else None
    spans = "; ".join(period_range(period) for period in story.production) or "never"
    return tuple(visible(cell) for cell in (name_of(model), story.version, story.stage.value, when(at), spans))


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
