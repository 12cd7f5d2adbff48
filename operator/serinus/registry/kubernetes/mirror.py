"""Mirrors the head of a registry outside the cluster to the status of its Model, for ``kubectl get mdl``.

Display only: no decision is based on it, and a failed write is made up for by the next record.
"""

import logging
from collections.abc import Sequence

from serinus.api.audit_record import AuditEntry
from serinus.api.model import Head
from serinus.api.names import FIELD_MANAGER, MODEL, ObjectKey
from serinus.api.parsing import encode
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.versions.catalogue import VersionEntry
from serinus.errors import ConflictError, NotFoundError, SerinusError
from serinus.kube.client import MERGE_PATCH, Requests
from serinus.kube.kinds import collection_path, object_path
from serinus.registry.kubernetes.objects import model_manifest
from serinus.registry.service import Registry

_LOG = logging.getLogger(__name__)
_OPTIONAL = ("production", "candidate", "good", "quarantined", "managedBy")
"""Fields that a head may lack: a merge patch removes only what it names."""


class MirroringAuditLog:
    """The port ``AuditLog`` over a registry, with a mirror of its head in the cluster."""

    def __init__(self, registry: Registry, client: Requests) -> None:
        """Record in this registry; mirror through this client."""
        self._registry = registry
        self._client = client

    async def record(self, model: ObjectKey, audit_entry: AuditEntry) -> int:
        """Record a fact; errors are those of the registry only."""
        number = await self._registry.record(model, audit_entry)
        await self._mirror(model)
        return number

    async def record_all(self, model: ObjectKey, entries: Sequence[AuditEntry]) -> int:
        """Record facts in this order; errors are those of the registry only."""
        number = await self._registry.record_all(model, entries)
        await self._mirror(model)
        return number

    async def register(self, model: ObjectKey, entry: VersionEntry, audit_entry: AuditEntry) -> int:
        """Register a version; errors are those of the registry only."""
        number = await self._registry.register(model, entry, audit_entry)
        await self._mirror(model)
        return number

    async def set_yanked(self, model: ObjectKey, version: str, reason: str, audit_entry: AuditEntry) -> int:
        """Yank a version, or take its yank back; errors are those of the registry only."""
        number = await self._registry.set_yanked(model, version, reason, audit_entry)
        await self._mirror(model)
        return number

    async def standing(self, model: ObjectKey, version: str) -> RegisteredVersion | None:
        """Return what the records say of a version."""
        return await self._registry.standing(model, version)

    async def _mirror(self, model: ObjectKey) -> None:
        try:
            await self._write(model, await self._registry.head(model))
        except SerinusError as problem:
            # This includes the API server's refusal of a head older than the mirrored one: the sequence never falls.
            _LOG.info("%s: the registry's head could not be mirrored to the Model: %s", model, problem)

    async def _write(self, model: ObjectKey, head: Head) -> None:
        status: dict[str, object] = dict.fromkeys(_OPTIONAL) | encode(head)
        path = f"{object_path(MODEL, model)}/status"
        query = {"fieldManager": FIELD_MANAGER}
        for _ in range(2):
            try:
                body = {"status": status}
                await self._client.request("PATCH", path, body=body, content_type=MERGE_PATCH, query=query)
            except NotFoundError:
                await self._create_model(model)
            else:
                return

    async def _create_model(self, model: ObjectKey) -> None:
        try:
            await self._client.request(
                "POST", collection_path(MODEL, model.namespace), body=model_manifest(model), query={}
            )
        except ConflictError:
            _LOG.debug("%s: another client has just created the Model", model)
