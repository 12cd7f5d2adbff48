"""The periods of production: which version from when to when, including gaps and unknown times."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from serinus.api.audit_record import PROMOTED_BECAUSE, PROMOTED_BY, AuditRecordSpec
from serinus.engine.report.chain import breaks


class PeriodKind(StrEnum):
    """What is known about a period."""

    PRODUCTION = "Production"
    NOTHING = "Nothing"
    """No version was in production."""
    UNKNOWN = "Unknown"
    """Records are missing or unreadable."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A time during which one version was in production, or none, or an unknown one.

    Attributes:
        begin: None where it began before the first record that is kept.
        end: exclusive; None while it lasts.
        began_by: the record that began it; None where there is none.
    """

    kind: PeriodKind
    version: str
    begin: datetime | None
    end: datetime | None = None
    began_by: AuditRecordSpec | None = None

    @property
    def promoted_by(self) -> str:
        """Who made it the production version; empty where the record of that is not kept."""
        record = self.began_by
        return record.details.get(PROMOTED_BY, record.actor.name) if record is not None and self.version else ""

    @property
    def promoted_because(self) -> str:
        """Why; empty likewise, or where nobody said so."""
        record = self.began_by
        if record is None or not self.version:
            return ""
        return record.details.get(PROMOTED_BECAUSE, "") or record.reason or record.message

    def length(self, until: datetime) -> timedelta | None:
        """Return its length, up to ``until`` while it lasts; None where its beginning is not known."""
        return None if self.begin is None else (self.end or until) - self.begin

    def covers(self, at: datetime) -> bool:
        """Return whether it contains a time; its end belongs to the next period."""
        return (self.begin is None or self.begin <= at) and (self.end is None or at < self.end)


def periods(records: Sequence[AuditRecordSpec]) -> tuple[Period, ...]:
    """Return the periods without overlap or gap, oldest first.

    Each record contains the head's summary before and after it, so this works for any part of a chain. Times never run
    backwards: an entry that is recorded late begins its period where the previous one ended.
    """
    result: list[Period] = []
    lost = breaks(records)
    for number, record in enumerate(records):
        if number == 0 and (record.before.production or record.sequence > 1):
            result.append(_known(record.before.production, None, None))
        if record.sequence in lost:
            _append(result, Period(kind=PeriodKind.UNKNOWN, version="", begin=records[number - 1].at))
            _append(result, _known(record.before.production, record.at, None))
        if not result or result[-1].version != record.after.production:
            _append(result, _known(record.after.production, record.at, record))
    return tuple(period for period in result if period.begin is None or period.begin != period.end)


def _known(version: str, begin: datetime | None, record: AuditRecordSpec | None) -> Period:
    kind = PeriodKind.PRODUCTION if version else PeriodKind.NOTHING
    return Period(kind=kind, version=version, begin=begin, began_by=record)


def _append(result: list[Period], period: Period) -> None:
    if result and period.begin is not None:
        last = result[-1]
        start = period.begin if last.begin is None else max(period.begin, last.begin)
        result[-1] = replace(last, end=start)
        period = replace(period, begin=start)
    result.append(period)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """The versions that were live at a time.

    Attributes:
        period: the period that contains the time; None before the first record.
        candidate: the version on trial; empty where there was none.
        traffic: its share, such as 5%; empty where none is recorded.
        stage: its Rollout's stage.
    """

    at: datetime
    period: Period | None
    candidate: str = ""
    traffic: str = ""
    stage: str = ""


def live_at(records: Iterable[AuditRecordSpec], known: Iterable[Period], at: datetime) -> Live:
    """Return the version in production at a time, and the one on trial beside it.

    Args:
        records: in order.
        known: their periods.
        at: the time, aware.
    """
    until = [record for record in records if record.at <= at]
    current = next((period for period in known if period.covers(at)), None)
    if not until:
        return Live(at=at, period=current)
    summary = until[-1].after
    return Live(at=at, period=current, candidate=summary.candidate, traffic=summary.traffic, stage=summary.stage)
