"""Shows the head of a registry that is elsewhere on the cluster's Model objects, for ``kubectl get mdl``.

Only a picture: nothing reads it to decide anything, and what cannot be shown now is shown with the next record.
"""

import logging

from serinus.api.audit_record import AuditEntry
from serinus.api.model import Head
from serinus.api.names import FIELD_MANAGER, MODEL, ObjectKey
from serinus.api.parsing import encode
from serinus.engine.versions.catalogue import VersionEntry
from serinus.errors import ConflictError, NotFoundError, SerinusError
from serinus.kube.client import MERGE_PATCH, Requests
from serinus.kube.kinds import collection_path, object_path
from serinus.registry.kubernetes.objects import model_manifest
from serinus.registry.service import Registry

_LOG = logging.getLogger(__name__)
_MAY_GO = ("production", "candidate", "good", "quarantined", "managedBy")
"""Fields that a head may lack: a merge patch takes away only what it names."""


class MirroringAuditLog:
    """The port ``Ledger``: tells a registry, then shows its head in the cluster."""

    def __init__(self, registry: Registry, client: Requests) -> None:
        """Tell this registry; show through this client."""
        self._registry = registry
        self._client = client

    async def record(self, model: ObjectKey, audit_entry: AuditEntry) -> int:
        """Take in a fact; errors are those of the registry alone."""
        number = await self._registry.record(model, audit_entry)
        await self._show(model)
        return number

    async def register(self, model: ObjectKey, entry: VersionEntry, audit_entry: AuditEntry) -> int:
        """Make a version known; errors are those of the registry alone."""
        number = await self._registry.register(model, entry, audit_entry)
        await self._show(model)
        return number

    async def set_yanked(self, model: ObjectKey, version: str, reason: str) -> None:
        """Mark a version so that it can never serve again; errors are those of the registry alone."""
        await self._registry.set_yanked(model, version, reason)

    async def _show(self, model: ObjectKey) -> None:
        try:
            await self._write(model, await self._registry.head(model))
        except SerinusError as problem:
            # A younger head that is shown already is refused here too: the sequence never falls.
            _LOG.info("%s: the registry's head is not shown on the Model: %s", model, problem)

    async def _write(self, model: ObjectKey, head: Head) -> None:
        said: dict[str, object] = dict.fromkeys(_MAY_GO) | encode(head)
        path = f"{object_path(MODEL, model)}/status"
        query = {"fieldManager": FIELD_MANAGER}
        for _ in range(2):
            try:
                await self._client.request("PATCH", path, body={"status": said}, content_type=MERGE_PATCH, query=query)
            except NotFoundError:
                await self._make(model)
            else:
                return

    async def _make(self, model: ObjectKey) -> None:
        try:
            await self._client.request(
                "POST", collection_path(MODEL, model.namespace), body=model_manifest(model), query={}
            )
        except ConflictError:
            _LOG.debug("%s: somebody else has just made the Model", model)
