"""Which version was in production from when to when, and when none was, or nobody can tell any more."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from serinus.api.audit_record import AuditRecordSpec
from serinus.engine.report.chain import breaks


class PeriodKind(StrEnum):
    """What is known of a time."""

    PRODUCTION = "Production"
    NOTHING = "Nothing"
    """No version was in production."""
    UNKNOWN = "Unknown"
    """Records are missing or cannot be read: nobody can tell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A time during which one version was in production, or none, or nobody knows.

    Attributes:
        begin: None where it began before the first record that is kept.
        end: None where it lasts.
        began_by: the record that began it; None where there is none.
    """

    kind: PeriodKind
    version: str
    begin: datetime | None
    end: datetime | None = None
    began_by: AuditRecordSpec | None = None

    def length(self, until: datetime) -> timedelta | None:
        """Return how long it lasted, or lasts until then; None where its beginning is not known."""
        return None if self.begin is None else (self.end or until) - self.begin

    def covers(self, at: datetime) -> bool:
        """Say whether it holds at a time; its end belongs to the next one."""
        return (self.begin is None or self.begin <= at) and (self.end is None or at < self.end)


def periods(records: Sequence[AuditRecordSpec]) -> tuple[Period, ...]:
    """Return the periods without overlap or gap, the oldest first.

    Each record seals where the model stood before and after it, so this holds for any part of a chain. Times never run
    backwards: an entry that is told late begins its period where the one before it was left.
    """
    found: list[Period] = []
    lost = breaks(records)
    for number, record in enumerate(records):
        if number == 0 and (record.before.production or record.sequence > 1):
            found.append(_known(record.before.production, None, None))
        if record.sequence in lost:
            _begin(found, Period(kind=PeriodKind.UNKNOWN, version="", begin=records[number - 1].at))
            _begin(found, _known(record.before.production, record.at, None))
        if not found or found[-1].version != record.after.production:
            _begin(found, _known(record.after.production, record.at, record))
    return tuple(one for one in found if one.begin is None or one.begin != one.end)


def _known(version: str, begin: datetime | None, record: AuditRecordSpec | None) -> Period:
    kind = PeriodKind.PRODUCTION if version else PeriodKind.NOTHING
    return Period(kind=kind, version=version, begin=begin, began_by=record)


def _begin(found: list[Period], period: Period) -> None:
    if found and period.begin is not None:
        last = found[-1]
        start = period.begin if last.begin is None else max(period.begin, last.begin)
        found[-1] = replace(last, end=start)
        period = replace(period, begin=start)
    found.append(period)


@dataclass(frozen=True, slots=True, kw_only=True)
class Live:
    """Which version was live at a time.

    Attributes:
        period: what holds then; None before the first record.
        candidate: the version on trial then; empty where there was none.
        traffic: its share, such as 5%; empty where none is recorded.
        stage: its Rollout's stage.
    """

    at: datetime
    period: Period | None
    candidate: str = ""
    traffic: str = ""
    stage: str = ""


def live_at(records: Iterable[AuditRecordSpec], found: Iterable[Period], at: datetime) -> Live:
    """Return which version was live at a time, and which was on trial beside it."""
    until = [record for record in records if record.at <= at]
    period = next((one for one in found if one.covers(at)), None)
    if not until:
        return Live(at=at, period=period)
    standing = until[-1].after
    return Live(at=at, period=period, candidate=standing.candidate, traffic=standing.traffic, stage=standing.stage)
