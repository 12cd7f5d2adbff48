"""Records ModelVersions, their yanks and the policies of Models, and keeps what the registry answers."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from uuid import UUID, uuid5

from msgspec import json

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.model import ModelSpec
from serinus.api.names import (
    UNSAFE_ROLLBACK_ANNOTATION,
    UNVERIFIED,
    WAIVER_ANNOTATION,
    WORSE_METRICS_ANNOTATION,
    YANKED_ANNOTATION,
    ObjectKey,
)
from serinus.api.parsing import encode
from serinus.engine.rollout.observation import Actors
from serinus.engine.rollout.outbox import actor_of
from serinus.engine.versions.admission import RegistrationState, Review
from serinus.errors import NotFoundError, SerinusError, VersionTakenError
from serinus.ports.cluster_state import ModelRecord, ModelVersionRecord
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.modelversions.status import entry_of, pending_entries, policy_conditions
from serinus.reconcile.ports import Ports
from serinus.telemetry import AuditWrite

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the registry knows of a version.

    Attributes:
        version: the version as it was when it was recorded.
        events: the events that have a record.
        yanked: the yank that the records have; empty where there is none.
        problem: what could not be recorded; None where nothing is left.
    """

    version: ModelVersionRecord
    events: tuple[str, ...]
    yanked: str
    problem: SerinusError | None


class VersionRecorder:
    """Writes into the audit log of each model."""

    def __init__(
        self,
        ports: Ports,
        admission: AdmissionCache,
        *,
        actor_stamped: Callable[[], bool],
        namespace: UUID,
        answered: Callable[[ObjectKey, RegistrationState], None],
    ) -> None:
        """``namespace`` makes the records' ids; ``answered`` is told of an answer of the registry that is new."""
        self._ports = ports
        self._admission = admission
        self._actor_stamped = actor_stamped
        self._namespace = namespace
        self._answered = answered

    async def record(self, model: ObjectKey, version: ModelVersionRecord, review: Review) -> Recorded:
        """Record what is pending of a version, and its yank."""
        recorded, failure = await self._record_events(model, version, review)
        yanked, unyanked = await self._record_yank(model, version)
        if self._admission.registration_of(version).yanked and unyanked is None:
            # Somebody may have taken the yank back in the registry.
            unyanked = await self._asked_again(model, version)
        return Recorded(version, recorded, yanked, failure or unyanked)

    async def record_policy(self, record: ModelRecord) -> None:
        """Record that the Model's policy has changed, and say in its status where it cannot be enforced."""
        if record.problem:
            return
        conditions = policy_conditions(record, self._ports.clock.now(), actor_stamped=self._actor_stamped())
        if record.observed_generation != record.generation:
            await self._record_change_of_policy(record)
        elif conditions == record.conditions:
            return
        await self._ports.statuses.write_policy_seen(record.meta, record.generation, conditions)

    async def _record_events(
        self, model: ObjectKey, version: ModelVersionRecord, review: Review
    ) -> tuple[tuple[str, ...], SerinusError | None]:
        """Record a version's pending entries, and return what is recorded now and what went wrong."""
        audit_log, telemetry = self._ports.audit_log, self._ports.telemetry
        recorded = list(version.status.recorded) if version.status.spec_hash == version.spec_hash else []
        recorded = [event for event in recorded if event != AuditEvent.VERSION_YANKED.value]
        for event, reason, details in pending_entries(version, review):
            if event.value in recorded:
                continue
            audit_entry = self._audit_entry(version, event, reason, details)
            try:
                if event is AuditEvent.VERSION_REGISTERED:
                    await audit_log.register(model, entry_of(version), audit_entry)
                    await self._ask_standing(model, version)
                else:
                    await audit_log.record(model, audit_entry)
            except VersionTakenError as refusal:
                self._registered(model, version, RegistrationState(taken=str(refusal)))
                return tuple(sorted(recorded)), None
            except SerinusError as failure:
                return tuple(sorted(recorded)), failure
            recorded.append(event.value)
            telemetry.audit_writes.labels(AuditWrite.ACCEPTED.value).inc()
        return tuple(sorted(recorded)), None

    async def _ask_standing(self, model: ObjectKey, version: ModelVersionRecord) -> None:
        """Keep that the version is registered, and whether the records bar it although its object does not say so."""
        standing = await self._ports.audit_log.standing(model, version.version)
        inherited = standing.yanked if standing is not None and not version.yanked else ""
        self._registered(model, version, RegistrationState(yanked=inherited))

    async def _asked_again(self, model: ObjectKey, version: ModelVersionRecord) -> SerinusError | None:
        try:
            await self._ask_standing(model, version)
        except SerinusError as failure:
            return failure
        return None

    async def _record_yank(self, model: ObjectKey, version: ModelVersionRecord) -> tuple[str, SerinusError | None]:
        """Record that the version was yanked or the yank taken back, and return which yank the records have now."""
        recorded, wanted = version.status.yanked, version.yanked
        # An earlier release noted the event only, so that the reason is not known.
        noted = AuditEvent.VERSION_YANKED.value in version.status.recorded
        if version.status.spec_hash != version.spec_hash:
            recorded, noted = "", False
        if wanted == recorded and not noted:
            return recorded, None
        event = AuditEvent.VERSION_YANKED if wanted else AuditEvent.VERSION_UNYANKED
        audit_entry = self._audit_entry(version, event, wanted or version.actors.reason, {})
        try:
            await self._ports.audit_log.set_yanked(model, version.version, wanted, audit_entry)
            await self._ask_standing(model, version)
        except NotFoundError:
            logger.info("%s: %s was never registered, so it need not be yanked", model, version.version)
        except SerinusError as failure:
            return recorded, failure
        else:
            self._ports.telemetry.audit_writes.labels(AuditWrite.ACCEPTED.value).inc()
        return wanted, None

    def _registered(self, model: ObjectKey, version: ModelVersionRecord, state: RegistrationState) -> None:
        """Keep what the registry has answered, and have everything reconciled that depends on it."""
        if self._admission.registration_of(version) != state:
            self._admission.set_registration(version.meta.uid, state)
            self._answered(model, state)

    def _audit_entry(
        self, version: ModelVersionRecord, event: AuditEvent, reason: str, details: dict[str, str]
    ) -> AuditEntry:
        actors = version.actors if self._actor_stamped() else Actors(on_behalf_of=version.actors.on_behalf_of)
        own = event in {AuditEvent.ARTIFACT_VERIFIED, AuditEvent.ARTIFACT_FAILED, AuditEvent.VERSION_REJECTED}
        spec = version.spec
        digest = spec.artifact.digest if spec is not None and spec.artifact is not None else None
        return AuditEntry(
            id=str(uuid5(self._namespace, f"{version.meta.uid}/{event.value}/{version.spec_hash}")),
            event=event,
            at=self._ports.clock.now(),
            version=version.version,
            digest=digest or "",
            spec_hash=version.spec_hash,
            actor=actor_of("" if own else _author_of(event, actors)),
            on_behalf_of=None if own else actors.on_behalf_of,
            reason=reason[:4096],
            details=details,
        )

    async def _record_change_of_policy(self, record: ModelRecord) -> None:
        by = record.actors.requested_by if self._actor_stamped() else UNVERIFIED
        policy = encode(record.policy)
        audit_entry = AuditEntry(
            id=str(uuid5(self._namespace, f"{record.meta.uid}/policy/{record.generation}")),
            event=AuditEvent.POLICY_CHANGED,
            at=self._ports.clock.now(),
            actor=actor_of(by),
            on_behalf_of=record.actors.on_behalf_of,
            # Who wrote the reason stands beside it: one that an earlier change has left there is nobody's.
            reason=record.actors.reason if record.actors.reason_by in {"", by} else "",
            # A gap in the generations shows that the policy was something else in between.
            details={name: _text(value) for name, value in sorted(policy.items())}
            | {"generation": str(record.generation)},
        )
        # A Model that the operator has just created has no policy of its own yet.
        if record.policy != ModelSpec() or record.generation > 1:
            await self._ports.audit_log.record(record.meta.key, audit_entry)


_WRITTEN: Final = {
    AuditEvent.SCHEMA_WAIVED: WAIVER_ANNOTATION,
    AuditEvent.UNSAFE_ROLLBACK_ACCEPTED: UNSAFE_ROLLBACK_ANNOTATION,
    AuditEvent.WORSE_METRICS_ACCEPTED: WORSE_METRICS_ANNOTATION,
    AuditEvent.VERSION_YANKED: YANKED_ANNOTATION,
}
"""The annotations by which people say something of a version."""


def _author_of(event: AuditEvent, actors: Actors) -> str:
    """Return who has done what a record of a version tells of."""
    return actors.issuer_of(_WRITTEN[event]) if event in _WRITTEN else actors.requested_by


def _text(value: object) -> str:
    """Return a part of a policy as a record has it: text as it is, everything else as JSON."""
    return value if isinstance(value, str) else json.encode(value, order="sorted").decode()
