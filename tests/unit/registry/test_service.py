"""The registry's operations over a store in memory, beyond the contract of every store."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from msgspec import structs

from serinus.api.audit_record import AuditEvent
from serinus.api.names import ObjectKey
from serinus.engine.audit.chain import Anchor, ChainFault, StoredRecord
from serinus.errors import (
    AmbiguousError,
    ConflictError,
    InvalidObjectError,
    NotFoundError,
    RefusedError,
    SerinusError,
    TransientError,
    VersionTakenError,
)
from serinus.ports.registry_store import Commit
from serinus.registry.commits import TRIES
from serinus.registry.service import Registry, Verification
from support.registry.memory import Data, MemoryStore
from support.registry.place import ALICE, BY, START, audit_entry, digest_for, register, registry_on, version_entry
from support.virtual_loop import VirtualLoop

MODEL = ObjectKey("ml", "fraud-detector")
OLD = ObjectKey("ml", "old")


@pytest.fixture
def data() -> Data:
    return {}


@pytest.fixture
async def registry(data: Data) -> Registry:
    """Version 2.0.0 in production, 1.0.0 its predecessor, 3.0.0 registered: five records."""
    registry = registry_on(MemoryStore(data))
    await register(registry, MODEL, "1.0.0", "2.0.0", "3.0.0")
    await registry.promote(MODEL, "1.0.0", audit_entry())
    await registry.promote(MODEL, "2.0.0", audit_entry())
    return registry


class Contended(MemoryStore):
    """A store in which commits fail with the same error, after another writer has recorded something."""

    def __init__(self, data: Data, error: SerinusError, times: int = 1000) -> None:
        super().__init__(data)
        self._error = error
        self._times = times
        self.commits: list[Commit] = []

    async def commit(self, step: Commit) -> None:
        self.commits.append(step)
        if len(self.commits) <= self._times:
            await registry_on(MemoryStore(self._data)).record(step.model, audit_entry())
            raise self._error
        await super().commit(step)


def faults(verification: Verification) -> set[tuple[ChainFault, int]]:
    return {(finding.fault, finding.sequence) for finding in verification.findings}


# ---- records -----------------------------------------------------------------------------------


async def test_an_accepted_request_is_recorded_with_actor_reason_time_and_effect(registry: Registry) -> None:
    entry = audit_entry(reason="INC-1", at=START)
    number = await registry.rollback(MODEL, entry)
    last = [record async for record in registry.history(MODEL, after=number - 1)]
    assert len(last) == 1
    (record,) = last
    assert (record.event, record.version, record.to) == (AuditEvent.ROLLED_BACK, "2.0.0", "1.0.0")
    assert (record.id, record.reason, record.actor, record.recorded_by) == (entry.id, "INC-1", ALICE, BY)
    assert record.digest == digest_for(MODEL, "1.0.0")
    assert record.at == START < record.recorded_at
    assert (record.namespace, record.model, record.sequence) == ("ml", "fraud-detector", number)


async def test_a_fact_keeps_the_digest_that_served_and_gets_the_registered_one_where_it_states_none(
    registry: Registry,
) -> None:
    await registry.record(MODEL, audit_entry(AuditEvent.PROMOTED, version="3.0.0"))
    head = await registry.head(MODEL)
    assert head.production is not None
    assert head.production.digest == digest_for(MODEL, "3.0.0")
    other = audit_entry(AuditEvent.ROLLED_BACK, version="3.0.0", to="1.0.0", digest=digest_for("the bytes that serve"))
    await registry.record(MODEL, other)
    head = await registry.head(MODEL)
    assert head.production is not None
    assert (head.production.version, head.production.digest) == ("1.0.0", digest_for("the bytes that serve"))
    unknown = audit_entry(AuditEvent.STABLE_ADOPTED, version="0.9.0", digest=digest_for("hearsay"))
    await registry.record(MODEL, unknown)
    head = await registry.head(MODEL)
    assert head.production is not None
    assert (head.production.version, head.production.digest) == ("0.9.0", digest_for("hearsay"))


async def test_a_version_may_be_written_with_a_v(registry: Registry) -> None:
    assert (await registry.get(MODEL, "v2.0.0")).version == "2.0.0"
    await registry.promote(MODEL, "v3.0.0", audit_entry())
    await registry.rollback(MODEL, audit_entry(), to="v1.0.0")
    production = await registry.production(MODEL)
    assert production is not None
    assert production.version == "1.0.0"


async def test_an_unregistered_version_is_named_with_its_namespace(registry: Registry) -> None:
    with pytest.raises(NotFoundError, match=r"fraud-detector 9\.9\.9 is not registered in ml"):
        await registry.get(MODEL, "9.9.9")
    with pytest.raises(NotFoundError, match="is not registered in the registry"):
        await registry.get(ObjectKey("", "unknown"), "1.0.0")


async def test_a_yanked_version_never_serves_again(registry: Registry) -> None:
    await registry.set_yanked(MODEL, "3.0.0", "it leaks", audit_entry())
    with pytest.raises(RefusedError, match="it leaks"):
        await registry.promote(MODEL, "3.0.0", audit_entry())


# ---- retries -----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ConflictError("faster"), AmbiguousError("no answer"), TransientError("throttled")])
async def test_after_a_conflict_an_operation_decides_again_on_the_current_head(
    registry: Registry, data: Data, error: SerinusError
) -> None:
    store = Contended(data, error, times=3)
    number = await registry_on(store).promote(MODEL, "3.0.0", audit_entry())
    assert [step.before.audit.sequence for step in store.commits] == [5, 6, 7, 8]
    assert number == 9
    assert (await registry.verify(MODEL)).ok


async def test_a_request_that_another_client_has_fulfilled_meanwhile_is_refused(registry: Registry, data: Data) -> None:
    class Faster(MemoryStore):
        async def commit(self, step: Commit) -> None:
            await registry_on(MemoryStore(data)).promote(step.model, "3.0.0", audit_entry())
            raise ConflictError("faster")

    with pytest.raises(RefusedError, match=r"3\.0\.0 is the production version already"):
        await registry_on(Faster(data)).promote(MODEL, "3.0.0", audit_entry())


@pytest.mark.parametrize("error", [RefusedError("too large"), NotFoundError("gone")])
async def test_a_permanent_error_is_not_retried(registry: Registry, data: Data, error: SerinusError) -> None:
    store = Contended(data, error)
    with pytest.raises(type(error), match=str(error)):
        await registry_on(store).promote(MODEL, "3.0.0", audit_entry())
    assert len(store.commits) == 1


@pytest.mark.parametrize("error", [ConflictError("faster"), AmbiguousError("no answer"), TransientError("throttled")])
def test_an_operation_gives_up_after_forty_attempts_within_half_a_minute(error: SerinusError) -> None:
    data: Data = {}
    store = Contended(data, error)

    async def story() -> float:
        began = asyncio.get_running_loop().time()
        with pytest.raises(type(error), match=str(error)):
            await registry_on(store).record(MODEL, audit_entry())
        return asyncio.get_running_loop().time() - began

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        lasted = runner.run(story())
    assert len(store.commits) == TRIES == 40
    assert 5 < lasted < 30


# ---- verification -----------------------------------------------------------------------------


async def test_an_intact_chain_is_ok_and_the_verification_has_its_figures(registry: Registry) -> None:
    head = await registry.head(MODEL)
    checkpoint = Anchor(head.audit.sequence, head.audit.hash, "a checkpoint")
    found = await registry.verify(MODEL, [checkpoint])
    assert found.ok
    assert (found.model, found.records, found.head, found.anchors) == (MODEL, 5, head, 1)


async def test_every_kind_of_tampering_is_found(registry: Registry, data: Data) -> None:
    records = data[MODEL].records
    whole = dict(records)
    records[3] = {**whole[3], "reason": "another"}
    assert (ChainFault.ALTERED, 3) in faults(await registry.verify(MODEL))
    records[3] = whole[3]
    del records[3]
    assert (ChainFault.MISSING, 3) in faults(await registry.verify(MODEL))
    records[3], records[4] = whole[4], whole[3]
    assert {(ChainFault.MISPLACED, 3), (ChainFault.MISPLACED, 4)} <= faults(await registry.verify(MODEL))
    records[3], records[4] = whole[3], whole[4]
    del records[5]
    assert faults(await registry.verify(MODEL)) == {(ChainFault.TRUNCATED, 5)}
    records[5] = whole[5]
    assert (await registry.verify(MODEL)).ok


@pytest.mark.parametrize("field", ["production", "good", "quarantined", "generation", "candidate"])
async def test_an_edited_head_is_found_though_its_chain_is_intact(registry: Registry, data: Data, field: str) -> None:
    await registry.record(MODEL, audit_entry(AuditEvent.ROLLOUT_STARTED, version="3.0.0", traffic="0%"))
    edits: dict[str, Any] = {
        "production": None,
        "good": ("3.0.0",),
        "quarantined": ("1.0.0",),
        "generation": 7,
        "candidate": None,
    }
    data[MODEL].head = structs.replace(data[MODEL].head, **{field: edits[field]})
    (finding,) = (await registry.verify(MODEL)).findings
    assert (finding.fault, finding.sequence) == (ChainFault.HEAD_DIFFERS, 6)


async def test_a_record_that_cannot_be_read_is_a_finding_for_verify_and_an_error_for_history(
    registry: Registry, data: Data
) -> None:
    data[MODEL].records[2] = {**data[MODEL].records[2], "colour": "blue"}
    found = await registry.verify(MODEL)
    assert {(ChainFault.ALTERED, 2), (ChainFault.UNREADABLE, 2)} <= faults(found)
    assert found.records == 5
    with pytest.raises(InvalidObjectError, match="colour"):
        _ = [record async for record in registry.history(MODEL)]


async def test_a_chain_rewritten_with_its_head_is_found_only_by_a_checkpoint(registry: Registry, data: Data) -> None:
    honest = await registry.head(MODEL)
    checkpoint = Anchor(honest.audit.sequence, honest.audit.hash, "the checkpoint of noon")
    data.clear()
    forger = registry_on(MemoryStore(data))
    await register(forger, MODEL, "1.0.0", "2.0.0", "3.0.0")
    await forger.promote(MODEL, "1.0.0", audit_entry())
    await forger.promote(MODEL, "2.0.0", audit_entry(reason="it was approved, surely"))
    assert (await registry.verify(MODEL)).ok
    found = await registry.verify(MODEL, [checkpoint])
    assert faults(found) == {(ChainFault.CHECKPOINT_DIFFERS, 5)}
    assert "the checkpoint of noon" in found.findings[0].message


async def test_records_that_are_added_during_a_verification_do_not_matter(registry: Registry, data: Data) -> None:
    class Busy(MemoryStore):
        async def read_records(
            self, model: ObjectKey, *, after: int = 0, through: int | None = None
        ) -> AsyncIterator[StoredRecord]:
            await registry.record(model, audit_entry())
            async for record in super().read_records(model, after=after, through=through):
                yield record

    found = await registry_on(Busy(data)).verify(MODEL)
    assert found.ok
    assert (found.records, found.head.audit.sequence) == (5, 5)
    assert (await registry.head(MODEL)).audit.sequence == 6


# ---- records of earlier releases ---------------------------------------------------------------


@pytest.fixture
async def old(data: Data) -> Registry:
    """A model whose records hold what an earlier release wrote: one version with the hash of its spec, one without."""
    registry = registry_on(MemoryStore(data))
    for version, hashed in (("1.0.0", True), ("1.1.0", False)):
        entry = version_entry(OLD, version)
        spec_hash = entry.spec_hash if hashed else ""
        record = audit_entry(AuditEvent.VERSION_REGISTERED, version=version, digest=entry.digest, spec_hash=spec_hash)
        await registry.record(OLD, record)
        data[OLD].versions[version] = entry
    await registry.promote(OLD, "1.0.0", audit_entry())
    return registry


async def test_a_chain_of_an_earlier_release_verifies_and_says_what_it_cannot_prove(old: Registry) -> None:
    found = await old.verify(OLD)
    assert (found.ok, found.records) == (True, 3)
    assert [note.split(":")[0] for note in found.notes] == ["1.1.0", "1.0.0"]
    assert "without the hash of the spec" in found.notes[0]
    assert "only the spec is compared" in found.notes[1]


async def test_a_version_that_an_earlier_release_has_registered_is_taken_where_its_hash_is_known(
    old: Registry, data: Data
) -> None:
    changed = version_entry(OLD, "1.0.0", changes="another build")
    with pytest.raises(VersionTakenError):
        await old.register(OLD, changed, audit_entry(AuditEvent.VERSION_REGISTERED))
    data[OLD].versions["1.0.0"] = changed
    assert faults(await old.verify(OLD)) == {(ChainFault.VERSION_DIFFERS, 1)}


async def test_a_digest_that_served_and_is_not_the_registered_one_is_a_finding(registry: Registry) -> None:
    await registry.record(MODEL, audit_entry(AuditEvent.PROMOTED, version="3.0.0", digest=digest_for("other bytes")))
    found = await registry.verify(MODEL)
    assert [(finding.fault, finding.sequence) for finding in found.findings] == [
        (ChainFault.DIGEST_DIFFERS, found.head.audit.sequence)
    ]
    assert "3.0.0 served with" in found.findings[0].message


async def test_the_same_id_twice_is_a_finding(registry: Registry, data: Data) -> None:
    entry = audit_entry()
    await registry.record(MODEL, entry)
    for _ in range(64):
        await registry.record(MODEL, audit_entry())
    data[MODEL].numbers.clear()
    await registry.record(MODEL, entry)
    assert {finding.fault for finding in (await registry.verify(MODEL)).findings} == {ChainFault.DUPLICATE}
