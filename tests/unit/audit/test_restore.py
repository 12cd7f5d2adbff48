"""A lost or wrong head, lost records and lost versions are built again from the chain and its archive."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from serinus.api.model import Head
from serinus.api.parsing import decode
from serinus.audit.archive import FolderArchive
from serinus.audit.restore import RestorePlan, plan_restoration, restore, restored_details
from serinus.audit.retention import Remover, finish_removal, plan_removal
from serinus.audit.verify import prove
from serinus.engine.audit.head import fold
from serinus.errors import RefusedError
from support.audit.trails import MODEL, Trail, a_trail
from support.registry.place import ALICE, BY, audit_entry


@pytest.fixture
def archive(tmp_path: Path) -> FolderArchive:
    return FolderArchive(tmp_path / "archive")


@pytest.fixture
def trail() -> Trail:
    return a_trail()


@pytest.fixture
def pruned(trail: Trail, archive: FolderArchive) -> Trail:
    """A trail whose first five records were removed and archived in two steps."""
    asyncio.run(_prune(trail, archive, 3))
    asyncio.run(trail.registry.record(MODEL, audit_entry()))
    asyncio.run(_prune(trail, archive, 5))
    return trail


async def _prune(trail: Trail, archive: FolderArchive, through: int) -> None:
    store = trail.open()
    removal = await plan_removal(store, MODEL, recorded_before=trail.clock.at + timedelta(days=1), covered=through)
    remover = Remover(store=store, archive=archive, actor=ALICE, reason="it is time", by=BY, clock=trail.clock)
    await remover.archive_and_record(MODEL, removal)
    await finish_removal(store, MODEL)


async def _plan(trail: Trail, archive: FolderArchive | None) -> RestorePlan:
    return await plan_restoration(trail.open(), MODEL, archive)


async def _restored(trail: Trail, archive: FolderArchive | None) -> None:
    plan = await _plan(trail, archive)
    entry = audit_entry(AuditEvent.HEAD_RESTORED, reason="the Model was lost", details=restored_details(plan))
    sequence = await restore(trail.registry, MODEL, plan, entry)
    proof = await prove(trail.registry, MODEL, archive=archive)
    assert proof.ok, proof.findings
    record = trail.records[sequence]
    assert (record["event"], record["reason"]) == ("HeadRestored", "the Model was lost")


async def test_a_head_that_was_lost_after_pruning_is_built_from_the_archive(
    pruned: Trail, archive: FolderArchive
) -> None:
    before = pruned.head
    pruned.data[MODEL].head = Head()
    plan = await _plan(pruned, archive)
    assert (plan.restoration.head, plan.archived, plan.needed) == (before, before.audit.pruned_through, True)
    await _restored(pruned, archive)
    assert pruned.head.production == before.production


@pytest.mark.parametrize("sequence", [2, 4])
async def test_a_head_that_was_set_back_is_restored(trail: Trail, sequence: int) -> None:
    before, records = trail.head, [decode(AuditRecordSpec, trail.records[number], "record") for number in trail.records]
    trail.data[MODEL].head = fold(records[:sequence])
    assert not (await prove(trail.registry, MODEL)).ok
    await _restored(trail, None)
    assert trail.head.production == before.production


async def test_records_that_the_archive_has_and_the_store_has_lost_are_put_back(
    pruned: Trail, archive: FolderArchive
) -> None:
    whole = pruned.copy()
    await _prune(whole, archive, whole.head.audit.sequence)
    lost = max(pruned.records) - 1
    del pruned.records[lost]
    assert not (await prove(pruned.registry, MODEL)).ok
    plan = await _plan(pruned, archive)
    assert lost in [record.sequence for record in plan.restoration.records]


async def test_versions_that_are_missing_are_put_back_as_their_records_hold_them(trail: Trail) -> None:
    versions = trail.data[MODEL].versions
    before = dict(versions)
    del versions["1.0.0"]
    await _restored(trail, None)
    assert trail.data[MODEL].versions == before


async def test_where_nothing_is_lost_there_is_nothing_to_restore(pruned: Trail, archive: FolderArchive) -> None:
    assert not (await _plan(pruned, archive)).needed


async def test_without_the_archive_of_a_pruned_chain_nothing_is_restored(pruned: Trail) -> None:
    with pytest.raises(RefusedError, match=r"Missing at record 1.*Give --archive"):
        await _plan(pruned, None)


async def test_a_chain_that_does_not_verify_restores_nothing(trail: Trail) -> None:
    trail.records[2] = {**trail.records[2], "reason": "another"}
    trail.data[MODEL].head = Head()
    with pytest.raises(RefusedError, match="Altered at record 2"):
        await _plan(trail, None)


async def test_an_unknown_model_is_refused() -> None:
    with pytest.raises(RefusedError, match="there is no record"):
        await plan_restoration(Trail().open(), MODEL, None)


def test_the_command_shows_the_plan_and_changes_nothing_without_yes(
    pruned: Trail, archive: FolderArchive, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pruned.head
    pruned.data[MODEL].head = Head()
    words = (
        "audit",
        "restore",
        MODEL.name,
        "-n",
        MODEL.namespace,
        "--archive",
        archive.address.removeprefix("file://"),
    )
    assert pruned.run(*words) == 0
    assert f"would restore the head #{before.audit.sequence}" in capsys.readouterr().out
    assert pruned.head == Head()
    assert pruned.run(*words, "--yes", "--reason", "short") != 0
    assert pruned.run(*words, "--yes", "--reason", "Velero restored no status") == 0
    assert f"restored the head #{before.audit.sequence}" in capsys.readouterr().out
    assert pruned.run(*words) == 0
    assert "nothing to restore" in capsys.readouterr().out
