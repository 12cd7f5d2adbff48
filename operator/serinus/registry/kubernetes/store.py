"""The registry in the Kubernetes API, the default, which needs no further service.

The API has no transactions, so that a single write decides. Versions are ModelVersion objects. The chain consists of
AuditRecord objects, whose name is determined by their number: **the create of that object commits the step**. The
Model's status, the head, is updated to the fold of the chain afterwards.

A process may die between the two writes, or somebody may delete a Model. Then the head is behind the chain, which does
not affect decisions: a step on an old head tries to create a number that is taken, reads that record, moves the head
forward by folding the chain, and ends with a conflict or, if the record is its own, with success. Until then a reader
gets the head before that step: one production version, of a chain that verifies.

A yank is an annotation of the ModelVersion, which its team writes, and a record: the operator may not write users'
objects. A version that either of them yanks never serves.

Known limitation: a version yanked between its check and the record's creation still becomes the production version.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, Final

from serinus.api.model import Head
from serinus.api.names import (
    AUDIT_RECORD,
    FIELD_MANAGER,
    MODEL_VERSION,
    Kind,
    ObjectKey,
    audit_record_name,
)
from serinus.engine.audit.chain import ChainOwner, StoredRecord
from serinus.engine.audit.contents import StoredContents
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.versions.catalogue import Query, VersionEntry
from serinus.errors import (
    ConflictError,
    NotFoundError,
    RefusedError,
    VersionTakenError,
)
from serinus.kube.answers import AlreadyExistsError
from serinus.kube.client import Requests
from serinus.kube.kinds import collection_path, object_path
from serinus.ports.registry_store import Commit, Restoration
from serinus.registry.kubernetes.heads import StoredHeads
from serinus.registry.kubernetes.objects import record_manifest, status_patch, version_manifest
from serinus.registry.kubernetes.reads import RegistryObjects
from serinus.registry.kubernetes.registrations import RegistrationIndex

PAGE: Final = 500

_WRITER: Final = {"fieldManager": FIELD_MANAGER}
_REMEMBERED: Final = 1024


class KubernetesStore:
    """The port ``RegistryStore`` over the Kubernetes API."""

    def __init__(
        self,
        client: Requests,
        *,
        namespaces: Sequence[str] = (),
        page_size: int = PAGE,
        on_close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        """Initialize without sending a request.

        Args:
            client: may be shared with others.
            namespaces: those to list for queries over all models; empty for the whole cluster.
            page_size: the number of objects of one list request.
            on_close: closes the client, if the store owns it.
        """
        self._client = client
        self._objects = RegistryObjects(client, page_size)
        self._namespaces = tuple(namespaces) or ("",)
        self._on_close = on_close
        self._heads = StoredHeads(client, self._objects)
        self._registrations = RegistrationIndex(self._objects)
        self._absent: dict[tuple[ObjectKey, str], int] = {}

    async def close(self) -> None:
        """Close the client, if the store owns it."""
        if self._on_close is not None:
            await self._on_close()

    # ---- reading -------------------------------------------------------------------------------

    async def read_head(self, model: ObjectKey) -> Head:
        """Return the head by one GET.

        Without a head, the model is new, or its Model was deleted or recreated: a list of the chain shows which, and
        the head is its fold.
        """
        snapshot = await self._objects.model(model)
        head = snapshot.head if snapshot is not None else Head()
        return head if head.audit.sequence else await self._objects.caught_up(model, head)

    async def read_version(self, model: ObjectKey, version: str) -> VersionEntry | None:
        """Return one version by one GET."""
        return await self._objects.version(model, version)

    async def read_registered(self, model: ObjectKey, head: Head, version: str) -> RegisteredVersion | None:
        """Return what the chain says of a version; only the records since the last call are read."""
        return (await self._registrations.through(model, head)).get(version)

    async def list_versions(self, model: ObjectKey, query: Query) -> AsyncIterator[VersionEntry]:
        """Yield the model's versions from a list of its namespace: the teams' ModelVersions have no label of ours."""
        async for owner, entry in self._objects.versions(model.namespace, dict(query.labels)):
            if owner == model:
                yield entry

    async def find_versions(self, query: Query) -> AsyncIterator[tuple[ObjectKey, VersionEntry]]:
        """Yield the versions with the query's digests from all namespaces."""
        for namespace in self._namespaces:
            async for model, entry in self._objects.versions(namespace, {}):
                if query.digest in {None, entry.digest} and query.data_digest in {None, *entry.data_digests}:
                    yield model, entry

    async def list_models(self) -> AsyncIterator[tuple[ObjectKey, Head]]:
        """Yield the heads of all Models in all namespaces."""
        for namespace in self._namespaces:
            async for model, head in self._objects.models(namespace):
                yield model, head

    async def find_record(self, model: ObjectKey, head: Head, record_id: str) -> int | None:
        """Return the record's number from the head, or by its label by a list of at most one object.

        A chain only grows: an id that was absent up to some record can only be among the later ones, which the head
        lists, so that a step that is retried under contention lists once. A record beyond the head was left behind by
        a crash: the head is moved first, so that a caller who learns of the success also reads it.
        """
        for recent in head.recent:
            if recent.id == record_id:
                return recent.sequence
        since = head.audit.sequence - self._absent.get((model, record_id), 0)
        if 0 <= since <= len(head.recent):
            return None
        number = await self._objects.find_sequence(model, record_id)
        if number is None:
            self._remember_absent(model, record_id, head.audit.sequence)
        elif number > head.audit.sequence:
            await self._heads.catch_up(model, number)
        return number

    def _remember_absent(self, model: ObjectKey, record_id: str, through: int) -> None:
        self._absent.pop((model, record_id), None)
        self._absent[model, record_id] = through
        if len(self._absent) > _REMEMBERED:
            del self._absent[next(iter(self._absent))]

    async def read_records(
        self, model: ObjectKey, *, after: int = 0, through: int | None = None
    ) -> AsyncIterator[StoredRecord]:
        """Yield the records in order; those up to ``after`` are read and skipped, as lists cannot begin later."""
        async for record in self._objects.records(model, after, through):
            yield record

    async def inspect(self, model: ObjectKey) -> StoredContents:
        """Return what the Model and the ModelVersions show."""
        return await self._objects.contents(model)

    async def list_chains(self) -> AsyncIterator[ObjectKey]:
        """Yield each model that has a record: a list of all AuditRecords."""
        seen: set[ObjectKey] = set()
        for namespace in self._namespaces:
            async for model in self._objects.chains(namespace):
                if model not in seen:
                    seen.add(model)
                    yield model

    async def owner(self) -> ChainOwner:
        """Return that the chains are this cluster's own, whose records name none."""
        return ChainOwner()

    async def clusters(self) -> tuple[str, ...]:
        """Return none: the API server has one cluster's heads."""
        return ()

    async def check_owner(self) -> None:
        """Do nothing: the chains are in the cluster."""

    # ---- writing -------------------------------------------------------------------------------

    async def commit(self, step: Commit) -> None:
        """Create the record, which commits the step, then update the head; see the module's docstring.

        A repeated commit is detected by the head that the step is based on and by the record with its number; for an
        older one the caller must have called ``find_record``, as :class:`serinus.registry.service.Registry` does.
        """
        if any(recent.id == step.record.id for recent in step.before.recent):
            return
        record = record_manifest(step.model, step.record)
        try:
            await self._check(step)
        except (NotFoundError, RefusedError):
            if not await self._is_stored(step):
                raise
        if step.registers is not None:
            await self._ensure_version(step.model, step.registers)
        try:
            await self._create(AUDIT_RECORD, record)
        except AlreadyExistsError:
            await self._resolve_taken_number(step)
        else:
            if not step.head_later:
                await self._heads.advance(step)

    async def restore(self, model: ObjectKey, restoration: Restoration) -> None:
        """Create the lost records, then set the Model's status; ModelVersions are the team's, who apply them again."""
        for record in restoration.records:
            try:
                await self._create(AUDIT_RECORD, record_manifest(model, record))
            except AlreadyExistsError:
                continue
        snapshot = await self._objects.model(model) or await self._heads.create(model)
        try:
            await self._heads.patch(model, status_patch(snapshot, restoration.head))
        except RefusedError as problem:
            raise RefusedError(
                f"{problem}. The Model's status claims more than its chain holds, and it never goes back: delete the "
                "Model (its policy is in its spec), then restore again"
            ) from problem

    async def remove_records(self, model: ObjectKey, through: int) -> int:
        """Delete the records one by one, oldest first, so that the rest is always the end of the chain."""
        pruned = (await self.read_head(model)).audit.pruned_through
        if through > pruned:
            raise RefusedError(f"{model}: record {through} is not pruned, only those up to {pruned}: archive it first")
        removed = 0
        async for record in self._objects.records(model, 0, through):
            key = ObjectKey(model.namespace, audit_record_name(model.name, record.sequence))
            try:
                await self._client.request("DELETE", object_path(AUDIT_RECORD, key))
            except NotFoundError:
                continue
            removed += 1
        return removed

    async def _check(self, step: Commit) -> None:
        if not step.serves:
            return
        entry = await self._objects.version(step.model, step.serves)
        if entry is None:
            raise NotFoundError(f"{step.model.name} {step.serves} is not registered in {step.model.namespace}")
        known = await self.read_registered(step.model, step.before, step.serves)
        if known is not None and known.spec_hash not in {"", entry.spec_hash}:
            raise VersionTakenError(
                f"{step.model} {step.serves} was made anew with another spec than the registered one "
                f"({entry.spec_hash}, not {known.spec_hash}): it never serves under this number"
            )
        yanked = entry.yanked or (known.yanked if known is not None else "")
        if yanked:
            raise RefusedError(f"{step.model} {step.serves} is yanked: {yanked}")
        if entry.digest != step.digest:
            raise RefusedError(
                f"{step.model} {step.serves} has the digest {entry.digest or '(none)'}, not {step.digest or '(none)'}: "
                "read the version again, then decide"
            )

    async def _ensure_version(self, model: ObjectKey, entry: VersionEntry) -> None:
        manifest = version_manifest(model, entry)
        known = await self._objects.version(model, entry.version)
        if known is None:
            try:
                await self._create(MODEL_VERSION, manifest)
            except AlreadyExistsError:
                known = await self._objects.version(model, entry.version)
            else:
                return
        if known is None or known.spec_hash != entry.spec_hash:
            raise VersionTakenError(
                f"{model} {entry.version} is registered with another spec, and a version never changes: "
                "give the new build a new version"
            )

    async def _create(self, kind: Kind, manifest: dict[str, Any]) -> None:
        path = collection_path(kind, manifest["metadata"]["namespace"])
        try:
            await self._client.request("POST", path, body=manifest, query=_WRITER)
        except NotFoundError as problem:
            raise RefusedError(f"{problem}: create the namespace, and install Serinus' CRDs") from problem

    # ---- the head follows the chain ------------------------------------------------------------

    async def _resolve_taken_number(self, step: Commit) -> None:
        """Return if the record with the step's number is its own; ConflictError if it is another writer's."""
        number = step.record.sequence
        head = await self._heads.catch_up(step.model, number)
        taken_by = {recent.sequence: recent.id for recent in head.recent}
        ours = taken_by[number] == step.record.id if number in taken_by else await self._is_stored(step)
        if not ours:
            raise ConflictError(
                f"{step.model}: record {number} is another's, and {head.audit.sequence} is the last now"
            )
        if step.stored is not None and not await self._is_stored(step, exactly=True):
            # The steps that come with it were computed on it: they would follow a record that is in no chain.
            raise ConflictError(f"{step.model}: record {number} is of an earlier attempt: read the head again")

    async def _is_stored(self, step: Commit, *, exactly: bool = False) -> bool:
        """Return whether the step's record tells of its entry; ``exactly``: whether it is this very record."""
        record = await self._objects.record(step.model, step.record.sequence)
        if record is None or record.content.get("id") != step.record.id:
            return False
        return not exactly or record.content.get("hash") == step.record.hash
