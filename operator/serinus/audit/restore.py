"""Builds a lost or wrong head, and what else a store has lost, from the chain and its archive.

Everything that a store shows follows from the records, so that it can be built again from them: from the first record
on, with the removed ones from the archive. A chain that does not verify restores nothing.
"""

from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from typing import Final

from serinus.api.audit_record import AuditEntry, AuditEvent, AuditRecordSpec
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.audit.archive import ArchivePlace
from serinus.audit.archive_reader import ArchivedRecords
from serinus.engine.audit.chain import ChainWalk, StoredRecord
from serinus.engine.audit.contents import StoredContents, compare_version
from serinus.engine.audit.head import apply
from serinus.engine.audit.registrations import RegisteredVersion, RegisteredVersions
from serinus.engine.versions.catalogue import VersionEntry, recorded_entry
from serinus.errors import RefusedError
from serinus.ports.registry_store import RegistryStore, Restoration
from serinus.registry.service import Registry

_LAST: Final = 10**12


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorePlan:
    """What a restoration would store.

    Attributes:
        restoration: for the store.
        records: how many records the head was built from; how many of them come from the archive is ``archived``.
        needed: whether anything is missing or differs.
    """

    restoration: Restoration
    records: int
    archived: int
    needed: bool


class _Fold:
    """The head and the versions that the records fold to, one record at a time."""

    def __init__(self) -> None:
        self.walk = ChainWalk()
        self.head, self.versions = Head(), RegisteredVersions()
        self.entries: dict[str, VersionEntry] = {}
        self.records = 0

    def add(self, stored: StoredRecord) -> AuditRecordSpec:
        self.walk.add(stored)
        record = decode(AuditRecordSpec, dict(stored.content), f"record {stored.sequence}")
        self.head = apply(self.head, record)
        self.versions.add(record)
        if record.event is AuditEvent.VERSION_REGISTERED and record.version not in self.entries:
            entry = recorded_entry(record)
            if entry is not None:
                self.entries[record.version] = entry
        self.records += 1
        return record


async def plan_restoration(store: RegistryStore, model: ObjectKey, archive: ArchivePlace | None) -> RestorePlan:
    """Read the chain with its archive and return what the store lacks. Nothing is written.

    Raises:
        RefusedError: there is no record, or the chain does not verify; the message names the first defect.
        InvalidObjectError: a record cannot be decoded.
        TransientError: see serinus.errors.
    """
    contents, before = await store.inspect(model), await _stored_head(store, model)
    removed = ArchivedRecords(archive, model, _LAST, await store.owner()) if archive is not None else None
    fold, lost, archived = _Fold(), list[AuditRecordSpec](), 0
    async for stored, from_archive in _merged(removed, store.read_records(model)):
        record = fold.add(stored)
        archived += from_archive
        lost += [record] if from_archive else []
    _refuse_defects(model, fold, removed)
    kept = tuple(record for record in lost if record.sequence > fold.head.audit.pruned_through)
    versions = tuple(_versions(fold, contents)) if contents.owned else ()
    restoration = Restoration(before=before, head=fold.head, records=kept, versions=versions)
    return RestorePlan(
        restoration=restoration,
        records=fold.records,
        archived=archived,
        needed=before != fold.head or not contents.has_head or bool(kept or versions or contents.defects),
    )


async def _stored_head(store: RegistryStore, model: ObjectKey) -> Head | None:
    try:
        return await store.read_head(model)
    except RefusedError:
        return None  # it cannot be read, or it is behind a chain whose begin was removed: that is why it is restored


async def _merged(
    removed: ArchivedRecords | None, stored: AsyncIterator[StoredRecord]
) -> AsyncIterator[tuple[StoredRecord, bool]]:
    """Yield the records of both in order, and whether one comes from the archive; the store's win."""
    following = await anext(stored, None)
    if removed is not None:
        async for archived in removed:
            while following is not None and following.sequence < archived.sequence:
                yield following, False
                following = await anext(stored, None)
            if following is not None and following.sequence == archived.sequence:
                yield following, False
                following = await anext(stored, None)
            else:
                yield archived, True
    while following is not None:
        yield following, False
        following = await anext(stored, None)


def _refuse_defects(model: ObjectKey, fold: _Fold, removed: ArchivedRecords | None) -> None:
    if fold.records == 0:
        raise RefusedError(f"{model}: there is no record, neither stored nor archived: is the name right?")
    findings = [*(removed.findings if removed is not None else ()), *fold.walk.finish(None)]
    if findings:
        first = findings[0]
        raise RefusedError(
            f"{model}: the chain does not verify, so nothing is restored: {first.fault.value} at record "
            f"{first.sequence}: {first.message}. Give --archive with all removed records, or correct the archive"
        )


def _versions(fold: _Fold, contents: StoredContents) -> Iterator[tuple[VersionEntry, RegisteredVersion]]:
    """Yield the versions that are missing or differ, as their records hold them."""
    shown = {stored.version: stored for stored in contents.versions}
    for known in fold.versions.all():
        entry = fold.entries.get(known.version)
        if entry is not None and any(compare_version(known, shown.get(known.version), contents, complete=True)):
            yield replace(entry, yanked=known.yanked), known


async def restore(registry: Registry, model: ObjectKey, plan: RestorePlan, audit_entry: AuditEntry) -> int:
    """Store what the plan says, then record who did so and why; return the number of that record.

    Raises:
        ConflictError: somebody has written the head meanwhile: plan again.
        RefusedError, TransientError, AmbiguousError: see serinus.errors.
    """
    await registry.store.restore(model, plan.restoration)
    return await registry.record(model, audit_entry)


def restored_details(plan: RestorePlan) -> dict[str, str]:
    """Return the details of the record of a restoration: what was replaced by what."""
    before = plan.restoration.before
    return {
        "before": str(before.audit.sequence) if before is not None else "unreadable",
        "after": str(plan.restoration.head.audit.sequence),
        "archived": str(plan.archived),
        "records": str(len(plan.restoration.records)),
        "versions": ", ".join(entry.version for entry, _ in plan.restoration.versions)[:4096],
    }
