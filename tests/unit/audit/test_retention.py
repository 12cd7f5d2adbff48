"""Retention: old records are archived, then removed, and a crash anywhere leaves a trail that verifies."""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from msgspec import structs

from serinus.api.audit_record import AuditEvent
from serinus.api.names import ObjectKey
from serinus.audit.archive import ArchivePlace, FolderArchive
from serinus.audit.checkpoint_reader import CheckpointAnchors
from serinus.audit.retention import Remover, finish_removal, plan_removal
from serinus.audit.verify import Proof, prove
from serinus.engine.audit.chain import Anchor, StoredRecord
from serinus.errors import AmbiguousError, ConflictError, RefusedError
from serinus.ports.registry_store import RegistryStore
from support.audit.trails import MODEL, Trail, a_trail, write
from support.registry.memory import MemoryStore
from support.registry.place import ALICE, BY, START, Crash, Fault, audit_entry

OLD = [("promote", "1.0.0"), ("promote", "1.1.0"), ("rollback", ""), ("fact", "1.0.0"), ("promote", "2.0.0")]
LATER = timedelta(days=90)


@dataclass(slots=True)
class CrashingArchive:
    """An archive whose process dies at the n-th call, before or after its effect."""

    inner: ArchivePlace
    call: int = 0
    after: bool = False
    calls: int = 0

    @property
    def address(self) -> str:
        return self.inner.address

    def _die(self, *, after: bool) -> None:
        if self.calls == self.call and self.after is after:
            raise Crash

    async def put_new(self, name: str, file: Path) -> None:
        self.calls += 1
        self._die(after=False)
        await self.inner.put_new(name, file)
        self._die(after=True)

    async def fetch(self, name: str, into: Path) -> None:
        self.calls += 1
        self._die(after=False)
        await self.inner.fetch(name, into)
        self._die(after=True)

    def names(self, under: str) -> AsyncIterator[str]:
        return self.inner.names(under)

    async def close(self) -> None:
        await self.inner.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "archive"


@pytest.fixture
def trail() -> Trail:
    """Eight old records, and one recorded ninety days later."""
    created = a_trail(OLD)
    created.clock.at += LATER
    asyncio.run(created.registry.record(MODEL, audit_entry()))
    return created


def remover(trail: Trail, store: RegistryStore, archive: ArchivePlace) -> Remover:
    return Remover(store=store, archive=archive, actor=ALICE, reason="it is time", by=BY, clock=trail.clock)


async def prune(
    trail: Trail, archive: ArchivePlace, store: RegistryStore | None = None, *, before: datetime = START + LATER
) -> int:
    """Prune as ``serinus audit prune`` does, and return the number of removed records."""
    records = store or trail.open()
    left = await finish_removal(records, MODEL)
    removal = await plan_removal(records, MODEL, recorded_before=before, covered=None)
    if not removal.records:
        return left
    await remover(trail, records, archive).archive_and_record(MODEL, removal)
    return left + await finish_removal(records, MODEL)


async def proof(
    trail: Trail, archive: ArchivePlace | None = None, checkpoints: CheckpointAnchors | None = None
) -> Proof:
    return await prove(trail.registry, MODEL, checkpoints, archive)


async def test_old_records_are_archived_recorded_as_removed_and_removed(trail: Trail, folder: Path) -> None:
    archive = FolderArchive(folder)
    assert await prune(trail, archive) == 8
    assert sorted(trail.records) == [9, 10]
    tombstone = trail.records[10]
    assert tombstone["event"] == AuditEvent.RECORDS_PRUNED.value
    assert tombstone["details"]["through"] == "8"
    assert trail.head.audit.archive == archive.address == folder.as_uri()
    assert trail.head.production is not None
    assert trail.head.production.version == "2.0.0"
    short, whole = await proof(trail), await proof(trail, archive)
    assert (short.findings, short.records) == ((), 2)
    assert (whole.findings, whole.records, whole.archived) == ((), 10, 8)
    assert "give --archive" in short.notes[0]


async def test_a_second_time_there_is_nothing_to_do(trail: Trail, folder: Path) -> None:
    archive = FolderArchive(folder)
    await prune(trail, archive)
    assert await prune(trail, archive) == 0
    assert trail.head.audit.sequence == 10


async def test_years_of_pruning_are_verified_from_the_first_record(trail: Trail, folder: Path) -> None:
    archive = FolderArchive(folder)
    for _ in range(3):
        await prune(trail, archive, before=trail.clock.at + timedelta(seconds=1))
        trail.clock.at += LATER
        await trail.registry.record(MODEL, audit_entry())
    found = await proof(trail, archive)
    assert found.findings == ()
    assert found.records == trail.head.audit.sequence
    assert len(list((folder / "ml" / "fraud").glob("*.jsonl"))) == 3


@pytest.mark.parametrize("side", ["before", "after"])
@pytest.mark.parametrize("where", ["store", "archive"])
async def test_a_crash_anywhere_leaves_a_trail_that_verifies_and_the_next_run_finishes(
    trail: Trail, folder: Path, side: str, where: str
) -> None:
    crashes = 0
    for number in range(1, 60):
        story = trail.copy()
        place = FolderArchive(folder / str(number))
        archive: ArchivePlace = place
        store = MemoryStore(story.data, page_size=7)
        if where == "archive":
            archive = CrashingArchive(place, number, after=side == "after")
        elif side == "after":
            store = MemoryStore(story.data, page_size=7, dies_after=number)
        else:
            store = MemoryStore(story.data, page_size=7, dies_before=number)
        try:
            await prune(story, archive, store)
        except Crash:
            crashes += 1
        else:
            break
        assert (await proof(story)).findings == ()
        await prune(story, place)
        assert sorted(story.records) == [9, 10]
        assert (await proof(story, place)).findings == ()
    assert crashes >= 4


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.TIMED_OUT_BEFORE, Fault.TIMED_OUT_AFTER])
async def test_a_tombstone_with_an_ambiguous_outcome_is_recorded_once(trail: Trail, folder: Path, fault: Fault) -> None:
    store = trail.open()
    removal = await plan_removal(store, MODEL, recorded_before=START + LATER, covered=None)
    # The export reads two pages; then the head, the record's id, and the commit, which fails.
    failing = MemoryStore(trail.data, page_size=7, faults=[None, None, None, None, fault])
    await remover(trail, failing, FolderArchive(folder)).archive_and_record(MODEL, removal)
    assert await finish_removal(store, MODEL) == 8
    assert [record["event"] for record in trail.records.values()].count("RecordsPruned") == 1
    assert (await proof(trail)).findings == ()


async def test_of_two_concurrent_prunings_one_succeeds_and_the_other_is_a_conflict(trail: Trail, folder: Path) -> None:
    """The other finishes while this one still reads its export back; this one must not restore the earlier bound."""
    store = trail.open()

    class Overtaken(CrashingArchive):
        async def fetch(self, name: str, into: Path) -> None:
            if trail.head.audit.pruned_through == 0:
                await prune(trail, FolderArchive(folder))
            await self.inner.fetch(name, into)

    short = await plan_removal(store, MODEL, recorded_before=START + timedelta(seconds=5), covered=None)
    assert 0 < short.records < 8
    with pytest.raises(ConflictError, match="meanwhile"):
        await remover(trail, store, Overtaken(FolderArchive(folder))).archive_and_record(MODEL, short)
    assert trail.head.audit.pruned_through == 8
    assert (await proof(trail, FolderArchive(folder))).findings == ()


async def test_records_that_are_added_during_the_archiving_do_not_matter(trail: Trail, folder: Path) -> None:
    archive = FolderArchive(folder)
    store = trail.open()
    removal = await plan_removal(store, MODEL, recorded_before=START + LATER, covered=None)
    await trail.registry.record(MODEL, audit_entry())
    await remover(trail, store, archive).archive_and_record(MODEL, removal)
    assert await finish_removal(store, MODEL) == 8
    assert (await proof(trail, archive)).findings == ()


async def test_only_records_in_a_checkpoint_are_removed(trail: Trail) -> None:
    removal = await plan_removal(trail.open(), MODEL, recorded_before=START + LATER, covered=5)
    assert (removal.through, removal.bound) == (5, "the checkpoints have seen no record after #5")


async def test_the_first_record_that_is_too_new_is_the_bound(trail: Trail) -> None:
    removal = await plan_removal(trail.open(), MODEL, recorded_before=START + timedelta(days=1), covered=None)
    assert removal.through == 8
    assert "#9 was recorded on 2027-01-30, which is too new" in removal.bound


@pytest.mark.parametrize("content", ['{"sequence":1}\n', "", "\xff"])
async def test_with_another_file_of_that_name_in_the_archive_nothing_is_removed(
    trail: Trail, folder: Path, content: str
) -> None:
    kept = folder / "ml" / "fraud"
    kept.mkdir(parents=True)
    (kept / "000000000001-000000000008.jsonl").write_text(content)
    with pytest.raises(RefusedError, match="nothing is removed"):
        await prune(trail, FolderArchive(folder))
    assert sorted(trail.records) == list(range(1, 10))


async def test_with_another_manifest_in_the_archive_nothing_is_removed(trail: Trail, folder: Path) -> None:
    """The manifest existed before: the export beside it is right, but would not be found by it."""
    other = trail.copy()
    await prune(other, FolderArchive(folder))
    manifest = folder / "ml" / "fraud" / "000000000001-000000000008.jsonl.manifest.json"
    manifest.write_text(manifest.read_text().replace('"model": "fraud"', '"model": "freud"'))
    with pytest.raises(RefusedError, match="has other records"):
        await prune(trail, FolderArchive(folder))
    assert sorted(trail.records) == list(range(1, 10))


async def test_with_another_trail_of_that_name_in_the_archive_nothing_is_removed(trail: Trail, folder: Path) -> None:
    other = Trail()
    await write(other, OLD)
    await prune(other, FolderArchive(folder), before=START + LATER)
    assert other.head.audit.pruned_through == 8
    with pytest.raises(RefusedError, match="nothing is removed"):
        await prune(trail, FolderArchive(folder))


# ---- forgeries hidden by a removal ------------------------------------------------------------


async def pruned(trail: Trail, folder: Path) -> Trail:
    await prune(trail, FolderArchive(folder))
    return trail


def checkpoints(*pairs: tuple[int, str]) -> CheckpointAnchors:
    anchors = tuple(Anchor(number, digest, "the checkpoint of a day") for number, digest in pairs)
    return CheckpointAnchors(anchors={MODEL: anchors}, mentions={MODEL: len(anchors)}, checkpoints=len(anchors))


Spoil = Callable[[Path], None]


def _alter(file: Path) -> None:
    file.write_text(file.read_text().replace("the story wants it", "it was an accident", 1))


def _cut(file: Path) -> None:
    file.write_text("".join(file.read_text().splitlines(keepends=True)[:-1]))


def _respace(file: Path) -> None:
    file.write_text(file.read_text().replace('{"actor"', '{ "actor"'))


def _lose_manifest(file: Path) -> None:
    file.with_name(f"{file.name}.manifest.json").unlink()


def _spoil_manifest(file: Path) -> None:
    file.with_name(f"{file.name}.manifest.json").write_text("{}")


@pytest.mark.parametrize("spoil", [_alter, _cut, _respace, Path.unlink, _lose_manifest, _spoil_manifest])
async def test_an_archive_that_was_tampered_with_is_found(trail: Trail, folder: Path, spoil: Spoil) -> None:
    await pruned(trail, folder)
    spoil(next((folder / "ml" / "fraud").glob("*.jsonl")))
    assert (await proof(trail)).findings == ()
    assert (await proof(trail, FolderArchive(folder))).findings != ()


async def test_a_removal_without_a_tombstone_is_found(trail: Trail) -> None:
    data = trail.data[MODEL]
    gone = data.records[4]
    audit = structs.replace(data.head.audit, pruned_through=4, pruned_hash=gone["hash"], archive="s3://elsewhere")
    data.head = structs.replace(data.head, audit=audit)
    for number in range(1, 5):
        del data.records[number]
    found = await proof(trail)
    assert ["no record documents it" in finding.message for finding in found.findings] == [True]


async def test_a_head_that_differs_from_the_last_record_is_found_without_the_archive(
    trail: Trail, folder: Path
) -> None:
    await pruned(trail, folder)
    data = trail.data[MODEL]
    assert data.head.production is not None
    data.head = structs.replace(data.head, production=structs.replace(data.head.production, version="1.0.0"))
    assert [finding.fault.value for finding in (await proof(trail)).findings] == ["HeadDiffers"]


async def test_a_removal_up_to_a_forged_record_is_found_by_the_checkpoint_of_it(trail: Trail, folder: Path) -> None:
    await pruned(trail, folder)
    right = trail.head.audit.pruned_hash
    ninth = (9, trail.records[9]["hash"])
    assert (await proof(trail, checkpoints=checkpoints((8, right), ninth))).findings == ()
    found = await proof(trail, checkpoints=checkpoints((8, f"sha256:{'f' * 64}"), ninth))
    assert [finding.fault.value for finding in found.findings] == ["CheckpointDiffers"]


async def test_a_removal_beyond_the_last_checkpoint_is_found(trail: Trail, folder: Path) -> None:
    await pruned(trail, folder)
    found = await proof(trail, checkpoints=checkpoints((3, f"sha256:{'f' * 64}")))
    assert ["the checkpoints have seen none after 3" in finding.message for finding in found.findings] == [True]


async def test_checkpoints_of_removed_records_are_compared_with_the_archive(trail: Trail, folder: Path) -> None:
    third = trail.records[3]["hash"]
    await pruned(trail, folder)
    whole = checkpoints((3, third), (9, trail.records[9]["hash"]))
    assert (await proof(trail, FolderArchive(folder), whole)).findings == ()
    forged = checkpoints((3, f"sha256:{'f' * 64}"), (9, trail.records[9]["hash"]))
    found = await proof(trail, FolderArchive(folder), forged)
    assert [(finding.fault.value, finding.sequence) for finding in found.findings] == [("CheckpointDiffers", 3)]


async def test_pruning_during_a_verification_is_not_a_finding(trail: Trail, folder: Path) -> None:
    """The records are removed after the head was read: it is re-read."""

    class Slow(MemoryStore):
        done = False

        async def read_records(
            self, model: ObjectKey, *, after: int = 0, through: int | None = None
        ) -> AsyncIterator[StoredRecord]:
            if not Slow.done:
                Slow.done = True
                await prune(trail, FolderArchive(folder))
            async for record in super().read_records(model, after=after, through=through):
                yield record

    registry = trail.registry
    registry.store = Slow(trail.data)
    assert (await prove(registry, MODEL)).findings == ()
    assert Slow.done


async def test_an_ambiguous_write_to_the_archive_is_retried(trail: Trail, folder: Path) -> None:
    class Unsure(CrashingArchive):
        async def put_new(self, name: str, file: Path) -> None:
            self.calls += 1
            await self.inner.put_new(name, file)
            if self.calls == 1:
                raise AmbiguousError("no answer")

    assert await prune(trail, Unsure(FolderArchive(folder))) == 8
