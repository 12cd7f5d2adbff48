"""Who acted, whether anybody vouches for the name, and what people did against or beside the rules."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from serinus.api.audit_record import Actor, AuditEvent, AuditRecordSpec, Authentication


def vouched_for(actor: Actor) -> bool:
    """Say whether anybody but the client itself says that this is the actor's name."""
    return actor.authentication is not Authentication.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One actor and what the chain tells of it."""

    actor: Actor
    acts: int
    events: tuple[str, ...]
    first: datetime
    last: datetime


def people(records: Iterable[AuditRecordSpec]) -> tuple[Person, ...]:
    """Return every actor, those first that nobody vouches for, then by name."""
    acts: dict[Actor, list[AuditRecordSpec]] = {}
    for record in records:
        acts.setdefault(record.actor, []).append(record)
    found = (_person(actor, own) for actor, own in acts.items())
    return tuple(sorted(found, key=lambda one: (vouched_for(one.actor), one.actor.name, one.actor.kind)))


def _person(actor: Actor, records: list[AuditRecordSpec]) -> Person:
    times = [record.at for record in records]
    return Person(
        actor=actor,
        acts=len(records),
        events=tuple(sorted({record.event.value for record in records})),
        first=min(times),
        last=max(times),
    )


class Departure(StrEnum):
    """In which way something departs from a run that goes by its plan."""

    WAIVER = "Waiver"
    OVERRIDE = "Override"
    CORRECTION = "Drift corrected"
    REFUSAL = "Refused"
    CHANGE = "Registry"
    DIRECT = "Outside any run"


_DEPARTURES: Final = {
    AuditEvent.SCHEMA_WAIVED: Departure.WAIVER,
    AuditEvent.UNSAFE_ROLLBACK_ACCEPTED: Departure.WAIVER,
    AuditEvent.QUARANTINE_LIFTED: Departure.OVERRIDE,
    AuditEvent.PAUSED: Departure.OVERRIDE,
    AuditEvent.RESUMED: Departure.OVERRIDE,
    AuditEvent.TRAFFIC_DRIFT_CORRECTED: Departure.CORRECTION,
    AuditEvent.APPROVAL_REFUSED: Departure.REFUSAL,
    AuditEvent.APPROVAL_EXPIRED: Departure.REFUSAL,
    AuditEvent.COMMAND_IGNORED: Departure.REFUSAL,
    AuditEvent.VERSION_REJECTED: Departure.REFUSAL,
    AuditEvent.VERSION_YANKED: Departure.CHANGE,
    AuditEvent.POLICY_CHANGED: Departure.CHANGE,
    AuditEvent.RECORDS_PRUNED: Departure.CHANGE,
}
_SERVING: Final = frozenset({AuditEvent.PROMOTED, AuditEvent.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class Exceptional:
    """A record of something beside the plan."""

    kind: Departure
    record: AuditRecordSpec

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """What else was recorded of it; a waiver's are the schema changes, which stand with the version."""
        waived = self.record.event is AuditEvent.SCHEMA_WAIVED
        return () if waived else tuple(sorted(self.record.details.items()))


def exceptional(records: Iterable[AuditRecordSpec]) -> tuple[Exceptional, ...]:
    """Return overrides, waivers, corrections, refusals and what was done without a run, in order."""
    found = ((_kind(record), record) for record in records)
    return tuple(Exceptional(kind, record) for kind, record in found if kind is not None)


def _kind(record: AuditRecordSpec) -> Departure | None:
    if record.event in _SERVING and record.rollout is None:
        return Departure.DIRECT
    return _DEPARTURES.get(record.event)
