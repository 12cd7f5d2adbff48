"""Removes audit records whose time is over, and leaves a chain that verifies, whenever the process ends.

The order is what makes it safe: export, read back and verify, commit a record that says what goes and where it is
(a tombstone), remove. A process that ends in between leaves records that are exported but still there, or told of as
removed but still there; the next one goes on from that.
"""

import asyncio
import uuid
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

from serinus.api.audit_record import Actor, AuditEntry, AuditEvent, AuditRecordSpec, OperatorIdentity
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.audit.archive import ArchivePlace
from serinus.audit.export import Export, Form, Manifest, archive_folder, manifest_file, read_manifest, write_export
from serinus.audit.export_reader import check_export
from serinus.engine.audit.head import seal
from serinus.errors import AmbiguousError, ConflictError, RefusedError, TransientError
from serinus.ports.registry_store import Commit, RegistryStore
from serinus.ports.services import Clock

_TRIES: Final = 40
_ARCHIVE_TRIES: Final = 3
_PAUSE: Final = 0.05
_IDS: Final = uuid.UUID("6f0c3a52-6a8b-4f57-9d0e-3b1f5f2f6c11")
"""The name space of the ids of tombstones: the same removal has the same id, so that it is told of once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Removal:
    """Which records can go: those after ``after`` up to ``through``, the last of which has ``hash``.

    Attributes:
        last_at: when the last of them was recorded.
        bound: why no later one can go, in a sentence.
    """

    after: int
    through: int
    hash: str
    last_at: datetime | None
    bound: str

    @property
    def records(self) -> int:
        """How many."""
        return self.through - self.after


async def plan_removal(
    store: RegistryStore, model: ObjectKey, *, recorded_before: datetime, covered: int | None
) -> Removal:
    """Return which records can be removed; none where ``records`` is 0.

    Args:
        store: where they are.
        model: whose.
        recorded_before: only those recorded before this time, up to the first that was not.
        covered: the last record that a checkpoint has seen; None where no checkpoints are kept.

    Raises:
        InvalidObjectError: a record cannot be read.
        TransientError, RefusedError: the store could not be asked, or will not answer.
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
    """Remove what is told of as removed and is still there, and return how many records that were."""
    head = await store.read_head(model)
    return await store.remove_records(model, head.audit.pruned_through) if head.audit.pruned_through else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Remover:
    """Who removes records, why and where to.

    Attributes:
        store: where they are.
        archive: where they are kept from now on.
        actor: who asked for it.
        reason: why.
        by: the process that records it.
        clock: the time.
    """

    store: RegistryStore
    archive: ArchivePlace
    actor: Actor
    reason: str
    by: OperatorIdentity
    clock: Clock

    async def archive_and_tell(self, model: ObjectKey, removal: Removal) -> None:
        """Archive the records and say in the chain that they go; :func:`finish_removal` then removes them.

        Doing it again after a crash, or after an error, does what is left to do.

        Raises:
            RefusedError: the archive has something else under that name, or did not keep what it was given.
            ConflictError: others have removed records meanwhile: plan anew.
            TransientError, AmbiguousError: try again.
        """
        manifest = await self._archived(model, removal)
        await self._tell(model, removal, self._tombstone(model, removal, manifest))

    async def _archived(self, model: ObjectKey, removal: Removal) -> Manifest:
        """Export the records, put them into the archive, read them back and verify them."""
        with TemporaryDirectory(prefix="serinus-") as room:
            name = f"{removal.after + 1:012d}-{removal.through:012d}.jsonl"
            file = Path(room) / name
            what = Export(model=model, form=Form.JSONL, at=self.clock.now(), by=self.by.version)
            records = self.store.read_records(model, after=removal.after, through=removal.through)
            manifest = await write_export(records, file, what)
            for path in (file, manifest_file(file)):
                await self._keep(f"{archive_folder(model)}{path.name}", path)
            back = Path(room) / "back" / name
            back.parent.mkdir()
            for path in (back, manifest_file(back)):
                await self.archive.fetch(f"{archive_folder(model)}{path.name}", path)
            self._believe(back, manifest, removal)
        return manifest

    async def _keep(self, name: str, file: Path) -> None:
        """Put a file into the archive; one that is there already is held against ours when it is read back."""
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

    def _believe(self, back: Path, ours: Manifest, removal: Removal) -> None:
        checked, theirs = check_export(back), read_manifest(back)
        place = f"{self.archive.address}: {archive_folder(ObjectKey(ours.namespace, ours.model))}{back.name}"
        if checked.findings:
            raise RefusedError(f"{place} does not verify, so nothing is removed: {checked.findings[0].message}")
        if theirs is None or not ours.says_the_same(theirs):
            raise RefusedError(
                f"{place} holds other records than the registry, so nothing is removed: look who wrote it"
            )
        if (checked.last.sequence, checked.last.hash) != (removal.through, removal.hash):
            raise RefusedError(f"{place} does not end with record {removal.through}, so nothing is removed")

    def _tombstone(self, model: ObjectKey, removal: Removal, manifest: Manifest) -> AuditEntry:
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
                "file": f"{archive_folder(model)}{manifest.file}",
                "sha256": manifest.sha256,
                "records": str(manifest.records),
            },
        )

    async def _tell(self, model: ObjectKey, removal: Removal, told: AuditEntry) -> None:
        """Commit the tombstone on the head that the removal was planned on.

        The verb ``record`` would commit it on any head: after a later removal it would bring back the earlier end.
        """
        for attempt in range(1, _TRIES + 1):
            head = await self.store.read_head(model)
            if await self.store.find_record(model, head, told.id) is not None:
                return
            if head.audit.pruned_through != removal.after:
                raise ConflictError(f"{model}: others have removed records meanwhile: run it again")
            record, after = seal(head, told, model, by=self.by, now=self.clock.now())
            try:
                await self.store.commit(Commit(model=model, before=head, record=record, after=after))
            except (ConflictError, AmbiguousError, TransientError):
                if attempt == _TRIES:
                    raise
                await asyncio.sleep(_PAUSE)
            else:
                return
