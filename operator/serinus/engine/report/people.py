"""The actors, whether their names are authenticated, and the actions outside a planned run."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from serinus.api.audit_record import PROMOTED_BECAUSE, PROMOTED_BY, Actor, AuditEvent, AuditRecordSpec, Authentication


def vouched_for(actor: Actor) -> bool:
    """Return whether anybody but the client itself vouches for the actor's name."""
    return actor.authentication is not Authentication.NONE


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """One actor and its recorded actions."""

    actor: Actor
    acts: int
    events: tuple[str, ...]
    first: datetime
    last: datetime


def people(records: Iterable[AuditRecordSpec]) -> tuple[Person, ...]:
    """Return every actor by name, those that nobody vouches for first."""
    acts: dict[Actor, list[AuditRecordSpec]] = {}
    for record in records:
        acts.setdefault(record.actor, []).append(record)
    everybody = (_person(actor, own) for actor, own in acts.items())
    return tuple(
        sorted(everybody, key=lambda person: (vouched_for(person.actor), person.actor.name, person.actor.kind))
    )


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
    """The ways in which an action departs from a run that follows its plan."""

    WAIVER = "Waiver"
    OVERRIDE = "Override"
    CORRECTION = "Drift corrected"
    REFUSAL = "Refused"
    CHANGE = "Registry"
    DIRECT = "Outside any run"


_DEPARTURES: Final = {
    AuditEvent.SCHEMA_WAIVED: Departure.WAIVER,
    AuditEvent.UNSAFE_ROLLBACK_ACCEPTED: Departure.WAIVER,
    AuditEvent.WORSE_METRICS_ACCEPTED: Departure.WAIVER,
    AuditEvent.QUARANTINE_LIFTED: Departure.OVERRIDE,
    AuditEvent.PAUSED: Departure.OVERRIDE,
    AuditEvent.RESUMED: Departure.OVERRIDE,
    AuditEvent.PLAN_CHANGED: Departure.OVERRIDE,
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
    """A record of an action outside the plan."""

    kind: Departure
    record: AuditRecordSpec

    @property
    def facts(self) -> tuple[tuple[str, str], ...]:
        """Its details; none for a waiver, whose details are the schema changes that the version's section lists.

        Who promoted a version and why is left out: it stands with the version.
        """
        waived = self.record.event is AuditEvent.SCHEMA_WAIVED
        shown = (fact for fact in self.record.details.items() if fact[0] not in {PROMOTED_BY, PROMOTED_BECAUSE})
        return () if waived else tuple(sorted(shown))


def exceptional(records: Iterable[AuditRecordSpec]) -> tuple[Exceptional, ...]:
    """Return overrides, waivers, corrections, refusals and actions without a run, in order."""
    kinds = ((_kind(record), record) for record in records)
    return tuple(Exceptional(kind, record) for kind, record in kinds if kind is not None)


def _kind(record: AuditRecordSpec) -> Departure | None:
    if record.event in _SERVING and record.rollout is None:
        return Departure.DIRECT
    return _DEPARTURES.get(record.event)
