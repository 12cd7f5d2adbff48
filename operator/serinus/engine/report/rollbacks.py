"""Every rollback that a chain tells of: why, and how long it took until the traffic was safe."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from serinus.api.audit_record import AuditEvent, AuditRecordSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class Rollback:
    """One rollback: why, and how long it took until the traffic was safe.

    Attributes:
        decided: the record of the decision; None where only the end is recorded.
        done: the record of its end; None where the traffic was not safe yet, or there was nothing to go back to.
        safe_at: when the gateway had accepted the old version again; None where nobody has seen it.
    """

    version: str
    to: str
    decided: AuditRecordSpec | None
    done: AuditRecordSpec | None
    decided_at: datetime
    safe_at: datetime | None

    @property
    def cause(self) -> AuditRecordSpec:
        """The record that says why."""
        found = self.decided or self.done
        assert found is not None  # noqa: S101 - a rollback is made of at least one of them
        return found

    @property
    def run(self) -> int:
        """The run's number; 0 where it belongs to none."""
        return self.cause.rollout.run if self.cause.rollout is not None else 0

    @property
    def at_traffic(self) -> str:
        """The share that the bad version had; empty where none is recorded."""
        told = self.done.details.get("atWeight", "") if self.done is not None else ""
        return told or self.cause.traffic

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
    """Return every rollback, the oldest first."""
    begun: dict[tuple[str, str], AuditRecordSpec] = {}
    found: list[Rollback] = []
    for record in records:
        key = (record.rollout.name if record.rollout is not None else "", record.version)
        if record.event in _BEGINNINGS:
            begun[key] = record
        elif record.event is AuditEvent.ROLLED_BACK:
            found.append(_rollback(begun.pop(key, None), record))
    found += (_rollback(record, None) for record in begun.values())
    return tuple(sorted(found, key=lambda one: one.cause.sequence))


def _rollback(decided: AuditRecordSpec | None, done: AuditRecordSpec | None) -> Rollback:
    cause = decided or done
    assert cause is not None  # noqa: S101 - both callers have one
    details = done.details if done is not None else {}
    told = _time(details.get("decidedAt", ""))
    safe = _time(details.get("trafficSafeAt", ""))
    if safe is None and done is not None and done.rollout is not None:
        safe = done.at
    return Rollback(
        version=cause.version,
        to=done.to if done is not None else cause.to,
        decided=decided,
        done=done,
        decided_at=told or cause.at,
        safe_at=safe,
    )


def _time(text: str) -> datetime | None:
    """Return a recorded time; None where it is none, or says no zone."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
