"""Removes audit records past their retention and leaves a chain that verifies, whenever the process ends.

The order makes it safe: export, read back and verify, commit a record of the removal and its archive (a tombstone),
remove. A process that ends in between leaves records that are exported, or recorded as removed, but still stored; the
next run continues from there.
"""

import asyncio
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from msgspec import structs

from serinus.api.audit_record import Actor, AuditEntry, AuditEvent, AuditRecordSpec, OperatorIdentity, RegistryEntry
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.audit.archive import ArchivePlace
from serinus.audit.export import Export, Form, Manifest, archive_folder, manifest_file, read_manifest, write_export
from serinus.audit.export_reader import check_export
from serinus.engine.audit.head import seal
from serinus.engine.audit.registrations import REPEATED, RegisteredVersions
from serinus.errors import AmbiguousError, ConflictError, RefusedError, TransientError
from serinus.ports.registry_store import Commit, RegistryStore
from serinus.ports.services import Clock

_TRIES: Final = 40
_ARCHIVE_TRIES: Final = 3
_PAUSE: Final = 0.05
_IDS: Final = uuid.UUID("6f0c3a52-6a8b-4f57-9d0e-3b1f5f2f6c11")
"""The UUID namespace of tombstones: the same removal has the same id, so that it is recorded once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """The removable records: those after ``after`` up to ``through``, the last of which has ``hash``.

    Attributes:
        last_at: when the last of them was recorded.
        bound: why no later record can be removed, in words.
    """

    after: int
    through: int
    hash: str
    last_at: datetime | None
    bound: str

    @property
    def records(self) -> int:
        """The number of removable records."""
        return self.through - self.after


async def plan_removal(
    store: RegistryStore, model: ObjectKey, *, recorded_before: datetime, covered: int | None
) -> Removal:
    """Return the records that can be removed; ``records`` is 0 where there are none.

    Args:
        store: their store.
        model: the model.
        recorded_before: only records before this time can be removed, up to the first later one.
        covered: the last record in a checkpoint; None where no checkpoints are kept.

    Raises:
        InvalidObjectError: a record cannot be decoded.
        TransientError, RefusedError: see serinus.errors.
    """
    head = await store.read_head(model)
    begin = head.audit.pruned_through
    removal = Removal(
        after=begin, through=begin, hash=head.audit.pruned_hash, last_at=None, bound="there are no later records"
    )
    async for stored in store.read_records(model, after=begin, through=head.audit.sequence):
        record = decode(AuditRecordSpec, dict(stored.content), f"record {stored.sequence}")
        if record.recorded_at >= recorded_before:
            bound = f"#{record.sequence} was recorded on {record.recorded_at:%Y-%m-%d}, which is too new"
            return replace(removal, bound=bound)
        if covered is not None and record.sequence > covered:
            return replace(removal, bound=f"the checkpoints have seen no record after #{covered}")
        removal = replace(removal, through=record.sequence, hash=record.hash, last_at=record.recorded_at)
    return removal


async def finish_removal(store: RegistryStore, model: ObjectKey) -> int:
    """Remove the records that are recorded as removed but still stored, and return their number."""
    head = await store.read_head(model)
    return await store.remove_records(model, head.audit.pruned_through) if head.audit.pruned_through else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Remover:
    """Archives records and records their removal.

    Attributes:
        store: the store of the records.
        archive: their archive.
        actor: who requested the removal.
        reason: the reason for it.
        by: the process that records it.
        clock: the time.
    """

    store: RegistryStore
    archive: ArchivePlace
    actor: Actor
    reason: str
    by: OperatorIdentity
    clock: Clock

    async def archive_and_record(self, model: ObjectKey, removal: Removal) -> None:
        """Archive the records and commit the tombstone; :func:`finish_removal` then removes them.

        Idempotent: after a crash or an error, a retry completes the rest.

        Raises:
            RefusedError: the archive has another file of that name, or returned a different file.
            ConflictError: another process has removed records meanwhile: plan again.
            TransientError, AmbiguousError: retry.
        """
        folder = archive_folder(model, await self.store.owner())
        manifest = await self._archived(model, removal, folder)
        await self._commit(model, removal, self._tombstone(model, removal, f"{folder}{manifest.file}", manifest))

    async def _archived(self, model: ObjectKey, removal: Removal, folder: str) -> Manifest:
        """Export the records, store them in the archive, read them back and verify them."""
        with TemporaryDirectory(prefix="serinus-") as temporary:
            name = f"{removal.after + 1:012d}-{removal.through:012d}.jsonl"
            file = Path(temporary) / name
            what = Export(model=model, form=Form.JSONL, at=self.clock.now(), by=self.by.version)
            records = self.store.read_records(model, after=removal.after, through=removal.through)
            manifest = await write_export(records, file, what)
            for path in (file, manifest_file(file)):
                await self._store_file(f"{folder}{path.name}", path)
            back = Path(temporary) / "back" / name
            back.parent.mkdir()
            for path in (back, manifest_file(back)):
                await self.archive.fetch(f"{folder}{path.name}", path)
            self._verify(back, f"{folder}{name}", manifest, removal)
        return manifest

    async def _store_file(self, name: str, file: Path) -> None:
        """Store a file in the archive; an existing one is compared with ours when it is read back."""
        for attempt in range(1, _ARCHIVE_TRIES + 1):
            try:
                await self.archive.put_new(name, file)
            except ConflictError:
                return
            except (AmbiguousError, TransientError):
                if attempt == _ARCHIVE_TRIES:
                    raise
            else:
                return

    def _verify(self, back: Path, name: str, ours: Manifest, removal: Removal) -> None:
        checked, theirs = check_export(back), read_manifest(back)
        place = f"{self.archive.address}: {name}"
        if checked.findings:
            raise RefusedError(f"{place} does not verify, so nothing is removed: {checked.findings[0].message}")
        if theirs is None or not ours.has_content_of(theirs):
            raise RefusedError(
                f"{place} has other records than the registry, so nothing is removed: check who wrote it"
            )
        if (checked.last.sequence, checked.last.hash) != (removal.through, removal.hash):
            raise RefusedError(f"{place} does not end with record {removal.through}, so nothing is removed")

    async def _step(self, model: ObjectKey, head: Head, tombstone: AuditEntry) -> Commit:
        versions = await self._standing(model, head)
        standing = versions.standing()
        repeated = {REPEATED: str(len(standing))} if versions.complete else {}
        details = {**tombstone.details, **repeated}
        entry = RegistryEntry(**{**structs.asdict(tombstone), "standing": standing, "details": details})
        cluster = (await self.store.owner()).cluster
        record, after = seal(head, entry, model, by=self.by, now=self.clock.now(), cluster=cluster)
        return Commit(model=model, before=head, record=record, after=after)

    async def _standing(self, model: ObjectKey, head: Head) -> RegisteredVersions:
        """Return what the records say of versions, which must outlive those that are removed."""
        versions = RegisteredVersions(complete=head.audit.pruned_through == 0)
        through = head.audit.sequence
        async for stored in self.store.read_records(model, after=head.audit.pruned_through, through=through):
            versions.add(decode(AuditRecordSpec, dict(stored.content), f"record {stored.sequence}"))
        return versions

    def _tombstone(self, model: ObjectKey, removal: Removal, file: str, manifest: Manifest) -> AuditEntry:
        return AuditEntry(
            id=str(uuid.uuid5(_IDS, f"{model} {removal.through} {removal.hash}")),
            event=AuditEvent.RECORDS_PRUNED,
            at=self.clock.now(),
            actor=self.actor,
            reason=self.reason,
            message=f"Records {removal.after + 1} to {removal.through} were removed; they are kept in the archive.",
            details={
                "through": str(removal.through),
                "hash": removal.hash,
                "archive": self.archive.address,
                "file": file,
                "sha256": manifest.sha256,
                "records": str(manifest.records),
            },
        )

    async def _commit(self, model: ObjectKey, removal: Removal, tombstone: AuditEntry) -> None:
        """Commit the tombstone on the head that the removal was planned on.

        ``Registry.record`` would commit it on any head: after a later removal it would restore the earlier bound.
        """
        for attempt in range(1, _TRIES + 1):
            head = await self.store.read_head(model)
            if await self.store.find_record(model, head, tombstone.id) is not None:
                return
            if head.audit.pruned_through != removal.after:
                raise ConflictError(f"{model}: another process has removed records meanwhile: run it again")
            try:
                await self.store.commit(await self._step(model, head, tombstone))
            except (ConflictError, AmbiguousError, TransientError):
                if attempt == _TRIES:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return
