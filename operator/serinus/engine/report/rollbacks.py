"""The rollbacks in a chain: their causes and their time to safety."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from serinus.api.audit_record import AuditEvent, AuditRecordSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """One rollback.

    Attributes:
        version: the version that was rolled back.
        to: its target; empty where there was none.
        cause: the record of the decision; the record of the end where only that is kept.
        done: the record of its end; None where the traffic was not safe yet, or there was nothing to go back to.
        safe_at: when the gateway had accepted the target again; None where that was not observed.
    """

    version: str
    to: str
    cause: AuditRecordSpec
    done: AuditRecordSpec | None
    decided_at: datetime
    safe_at: datetime | None

    @property
    def run(self) -> int:
        """The run's number; 0 for a rollback outside any run."""
        return self.cause.rollout.run if self.cause.rollout is not None else 0

    @property
    def at_traffic(self) -> str:
        """The share that the bad version had; empty where none is recorded."""
        recorded = self.done.details.get("atWeight", "") if self.done is not None else ""
        return recorded or self.cause.traffic

    @property
    def word(self) -> str:
        """The cause in one stable word, such as MetricBreached; empty where none is recorded."""
        return self.done.details.get("cause", "") if self.done is not None else ""

    @property
    def time_to_safety(self) -> timedelta | None:
        """From the decision until the traffic was safe."""
        return None if self.safe_at is None else self.safe_at - self.decided_at


_BEGINNINGS: Final = frozenset({AuditEvent.ROLLBACK_STARTED, AuditEvent.ROLLBACK_IMPOSSIBLE})


def rollbacks(records: Iterable[AuditRecordSpec]) -> tuple[Rollback, ...]:
    """Return every rollback, oldest first."""
    decided: dict[tuple[str, str], AuditRecordSpec] = {}
    result: list[Rollback] = []
    for record in records:
        key = (record.rollout.name if record.rollout is not None else "", record.version)
        if record.event in _BEGINNINGS:
            decided[key] = record
        elif record.event is AuditEvent.ROLLED_BACK:
            result.append(_rollback(decided.pop(key, record), record))
    result += (_rollback(record, None) for record in decided.values())
    return tuple(sorted(result, key=lambda rollback: rollback.cause.sequence))


def _rollback(cause: AuditRecordSpec, done: AuditRecordSpec | None) -> Rollback:
    details = done.details if done is not None else {}
    decided_at = _time(details.get("decidedAt", ""))
    safe = _time(details.get("trafficSafeAt", ""))
    if safe is None and done is not None and done.rollout is not None:
        safe = done.at
    return Rollback(
        version=cause.version,
        to=done.to if done is not None else cause.to,
        cause=cause,
        done=done,
        decided_at=decided_at or cause.at,
        safe_at=safe,
    )


def _time(text: str) -> datetime | None:
    """Return a recorded time; None for any other text, or a time without a zone."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        return None
    return time if time.tzinfo is not None else None
