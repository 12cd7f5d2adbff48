"""Records that a registered ModelVersion, or a Model with records, was deleted: its facts stay in the audit trail."""

import logging
from uuid import UUID, uuid5

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.names import UNVERIFIED, ObjectKey
from serinus.engine.rollout.outbox import actor_of
from serinus.errors import RefusedError
from serinus.ports.cluster_state import ModelRecord, ModelVersionRecord
from serinus.ports.services import AuditLog, Clock

logger = logging.getLogger(__name__)


class Deletions:
    """The deletions that are not recorded yet, by model; they are lost with the process."""

    def __init__(self, audit_log: AuditLog, clock: Clock, namespace: UUID) -> None:
        """Record into this log; ``namespace`` makes the records' ids."""
        self._audit_log, self._clock = audit_log, clock
        self._namespace = namespace
        self._pending: dict[ObjectKey, list[AuditEntry]] = {}

    def add(self, record: ModelVersionRecord | ModelRecord) -> ObjectKey | None:
        """Keep a deletion until it is recorded, and return its model; None where nothing of the object is recorded."""
        match record:
            case ModelVersionRecord():
                if AuditEvent.VERSION_REGISTERED.value not in record.status.recorded:
                    return None
                model = ObjectKey(record.meta.key.namespace, record.model)
                entry = self._entry(record.meta.uid, AuditEvent.VERSION_DELETED, "ModelVersion", record.version)
            case ModelRecord():
                if not record.recorded:
                    return None
                model = record.meta.key
                entry = self._entry(record.meta.uid, AuditEvent.MODEL_DELETED, "Model", "")
        self._pending.setdefault(model, []).append(entry)
        return model

    def forget(self, model: ObjectKey) -> None:
        """Forget the deletions of a model that another process records."""
        self._pending.pop(model, None)

    def _entry(self, uid: str, event: AuditEvent, kind: str, version: str) -> AuditEntry:
        return AuditEntry(
            id=str(uuid5(self._namespace, f"{uid}/{event.value}")),
            event=event,
            at=self._clock.now(),
            version=version,
            # The API server stamps nobody on a deletion: its own audit log has the name.
            actor=actor_of(UNVERIFIED),
            message=f"The {kind} was deleted. The API server's audit log says by whom.",
        )

    async def record(self, model: ObjectKey) -> None:
        """Record what is pending of a model, in order; SerinusError where it may not have been recorded: retry."""
        pending = self._pending.get(model, [])
        while pending:
            try:
                await self._audit_log.record(model, pending[0])
            except RefusedError as problem:
                # Such as a namespace that is being deleted, with the whole trail: a retry cannot succeed.
                logger.warning("%s: %s cannot be recorded: %s", model, pending[0].event.value, problem)
            del pending[0]
        self._pending.pop(model, None)
