"""Reads of the registry's objects in the Kubernetes API: by name, or page by page."""

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from serinus.api.model import Head
from serinus.api.names import (
    AUDIT_RECORD,
    MODEL,
    MODEL_LABEL,
    MODEL_VERSION,
    RECORD_ID_LABEL,
    SEQUENCE_DIGITS,
    Kind,
    ObjectKey,
    audit_record_name,
    model_version_name,
)
from serinus.engine.audit.chain import StoredRecord
from serinus.engine.audit.contents import StoredContents
from serinus.engine.audit.head import MOST_BEHIND
from serinus.engine.versions.catalogue import VersionEntry
from serinus.errors import InvalidObjectError, NotFoundError, RefusedError
from serinus.kube.client import Raw, Requests
from serinus.kube.kinds import collection_path, object_path
from serinus.registry.kubernetes.objects import (
    ModelSnapshot,
    folded,
    model_snapshot,
    stored_record,
    stored_version,
    version_entry,
    well_formed,
)

_LIST_TIMEOUT: Final = 30.0
_FEW: Final = 8
"""The most records that are read by name before the chain is listed: a head is seldom more than one behind."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of a list; ``token`` asks for the next one, empty on the last."""

    items: Sequence[Raw]
    token: str


class RegistryObjects:
    """The current Models, ModelVersions and AuditRecords: no read here may come from a cache.

    Every method raises TransientError where the API server is unavailable, and RefusedError where it refuses the
    request, where the CRDs are missing, or where an object that is read by its name is invalid.
    """

    def __init__(self, client: Requests, page_size: int) -> None:
        """Read through this client, ``page_size`` objects at a time."""
        self._client = client
        self._page_size = page_size

    async def model(self, model: ObjectKey) -> ModelSnapshot | None:
        """Return a Model's status; None where there is no Model."""
        try:
            return model_snapshot(model, await self._object(MODEL, model))
        except NotFoundError:
            return None

    async def version(self, model: ObjectKey, version: str) -> VersionEntry | None:
        """Return a version; None where it is not registered."""
        key = ObjectKey(model.namespace, model_version_name(model.name, version))
        try:
            entry = version_entry(await self._object(MODEL_VERSION, key))
        except NotFoundError:
            return None
        except InvalidObjectError as problem:
            raise RefusedError(f"ModelVersion {key}: {problem}") from problem
        # Names are in lower case, versions need not be: 1.0.0-RC.1 and 1.0.0-rc.1 share one name.
        return entry if (entry.spec.model, entry.version) == (model.name, version) else None

    async def record(self, model: ObjectKey, sequence: int) -> StoredRecord | None:
        """Return the record with this number; None where the number is free."""
        key = ObjectKey(model.namespace, audit_record_name(model.name, sequence))
        try:
            return stored_record(await self._object(AUDIT_RECORD, key))
        except NotFoundError:
            return None

    async def find_sequence(self, model: ObjectKey, record_id: str) -> int | None:
        """Return the number of the record with this id, found by its label; None where there is none."""
        labels = {MODEL_LABEL: model.name, RECORD_ID_LABEL: record_id}
        page = await self._page(AUDIT_RECORD, model.namespace, {"limit": "1"} | _selecting(labels))
        return next((stored_record(raw).sequence for raw in page.items), None)

    async def records(self, model: ObjectKey, after: int, through: int | None) -> AsyncIterator[StoredRecord]:
        """Yield the records in order: the API server lists by name, and these names end with twelve digits.

        A list cannot begin in the middle, so the records up to ``after`` are read and skipped.
        """
        async for raw in self._all(AUDIT_RECORD, model.namespace, {MODEL_LABEL: model.name}):
            record = stored_record(raw)
            if through is not None and record.sequence > through:
                return
            if record.sequence > after:
                yield record

    async def versions(
        self, namespace: str, labels: Mapping[str, str]
    ) -> AsyncIterator[tuple[ObjectKey, VersionEntry]]:
        """Yield all versions with their models; an invalid one is logged and skipped, so as not to hide the others."""
        async for raw in self._all(MODEL_VERSION, namespace, labels):
            owner = raw["metadata"]["namespace"]
            try:
                entry = version_entry(raw)
            except InvalidObjectError as problem:
                logger.warning("ModelVersion %s/%s: %s", owner, raw["metadata"]["name"], problem)
            else:
                yield ObjectKey(owner, entry.spec.model), entry

    async def contents(self, model: ObjectKey) -> StoredContents:
        """Return what the objects of a model show beside its chain, invalid ones included."""
        versions = [
            stored
            async for raw in self._all(MODEL_VERSION, model.namespace, {})
            if (stored := stored_version(model, raw)) is not None
        ]
        defects: list[str] = []
        try:
            snapshot = await self.model(model)
        except RefusedError as problem:
            snapshot = None
            defects.append(str(problem))
        return StoredContents(
            versions=tuple(versions),
            defects=tuple(defects),
            has_head=bool(defects) or (snapshot is not None and snapshot.head.audit.sequence > 0),
            slack=MOST_BEHIND,
            owned=False,
        )

    async def chains(self, namespace: str) -> AsyncIterator[ObjectKey]:
        """Yield the model of each record, with repetitions."""
        async for raw in self._all(AUDIT_RECORD, namespace, {}):
            metadata = raw["metadata"]
            name = (metadata.get("labels") or {}).get(MODEL_LABEL) or str(metadata["name"])[: -SEQUENCE_DIGITS - 1]
            yield ObjectKey(metadata["namespace"], name)

    async def models(self, namespace: str) -> AsyncIterator[tuple[ObjectKey, Head]]:
        """Yield the heads of all Models; an invalid one is logged and skipped."""
        async for raw in self._all(MODEL, namespace, {}):
            key = ObjectKey(raw["metadata"]["namespace"], raw["metadata"]["name"])
            try:
                head = model_snapshot(key, raw).head
            except RefusedError as problem:
                logger.warning("%s", problem)
            else:
                yield key, head

    async def caught_up(self, model: ObjectKey, head: Head) -> Head:
        """Return the head after applying all records that follow it in the chain."""
        async for record in self.following(model, head.audit.sequence):
            head = folded(model, head, record)
        return head

    async def following(self, model: ObjectKey, sequence: int) -> AsyncIterator[StoredRecord]:
        """Yield the records after a head; for an empty head the chain is listed, as its start may have been pruned."""
        listed = sequence
        if sequence:
            for listed in range(sequence + 1, sequence + 1 + _FEW):
                record = await self.record(model, listed)
                if record is None:
                    return
                yield record
        async for record in self.records(model, listed, None):
            yield record

    async def _object(self, kind: Kind, key: ObjectKey) -> Raw:
        path = object_path(kind, key)
        return well_formed(await self._client.request("GET", path), f"GET {path}")

    async def _all(self, kind: Kind, namespace: str, labels: Mapping[str, str]) -> AsyncIterator[Raw]:
        query = {"limit": str(self._page_size)} | _selecting(labels)
        while True:
            page = await self._page(kind, namespace, query)
            for raw in page.items:
                yield raw
            if not page.token:
                return
            query |= {"continue": page.token}

    async def _page(self, kind: Kind, namespace: str, query: Mapping[str, str]) -> _Page:
        path = collection_path(kind, namespace)
        try:
            page = await self._client.request("GET", path, query=query, timeout=_LIST_TIMEOUT)
        except NotFoundError as problem:
            raise RefusedError(f"{problem}: install Serinus' CRDs") from problem
        items, metadata = page.get("items") or (), page.get("metadata") or {}
        token = metadata.get("continue") if isinstance(metadata, dict) else None
        if not isinstance(items, list | tuple) or not isinstance(token, str | None):
            raise RefusedError(f"GET {path}: the answer is not a list of Kubernetes")
        return _Page([well_formed(item, f"GET {path}") for item in items], token or "")


def _selecting(labels: Mapping[str, str]) -> dict[str, str]:
    return {"labelSelector": ",".join(f"{name}={value}" for name, value in labels.items())} if labels else {}
