"""The registry's contract: crashes, conflicts, repeated commits, failing requests, sizes and concurrency."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final
from uuid import UUID, uuid5

import pytest
from msgspec import structs

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.names import ObjectKey
from serinus.api.signature import Field, Profile, Signature
from serinus.errors import AmbiguousError, ConflictError, NotFoundError, RefusedError, TransientError
from serinus.registry.service import Registry
from support.registry.concurrency import crowd
from support.registry.place import (
    Crash,
    Fault,
    Place,
    audit_entry,
    digest_for,
    in_use,
    registry_on,
    step_on,
    verified_model,
    version_entry,
)

Verb = Callable[[Registry, ObjectKey, AuditEntry], Awaitable[int]]

_MOST_REQUESTS: Final = 40
_LONG: Final = "😀" * 4096
"""The most characters that a detail may have, with four bytes each in UTF-8."""


async def _register(registry: Registry, model: ObjectKey, entry: AuditEntry) -> int:
    return await registry.register(model, version_entry(model, "3.1.0"), structs.replace(entry, version="3.1.0"))


async def _promote(registry: Registry, model: ObjectKey, entry: AuditEntry) -> int:
    return await registry.promote(model, "3.0.0", entry)


async def _rollback(registry: Registry, model: ObjectKey, entry: AuditEntry) -> int:
    return await registry.rollback(model, entry)


async def _record(registry: Registry, model: ObjectKey, entry: AuditEntry) -> int:
    fact = structs.replace(entry, event=AuditEvent.ROLLED_BACK, version="2.0.0", to="1.0.0")
    return await registry.record(model, fact)


async def _record_all(registry: Registry, model: ObjectKey, entry: AuditEntry) -> int:
    before = [
        structs.replace(entry, id=str(uuid5(UUID(entry.id), name)), event=AuditEvent.ANALYSIS_PASSED, version="3.0.0")
        for name in ("first", "second")
    ]
    fact = structs.replace(entry, event=AuditEvent.PROMOTED, version="3.0.0", digest=digest_for(model, "3.0.0"))
    return await registry.record_all(model, [*before, fact])


VERBS: Final[Mapping[str, Verb]] = {
    "register": _register,
    "promote": _promote,
    "rollback": _rollback,
    "record": _record,
    "record all": _record_all,
}


async def _prepared(place: Place, verb: str) -> ObjectKey:
    """Return a model in use; for a registration an unknown one, which is the harder case."""
    return place.fresh_model() if verb == "register" else await in_use(place)


async def _without_failures(place: Place, verb: str) -> tuple[object, ...]:
    model = await _prepared(place, verb)
    await VERBS[verb](registry_on(place.open()), model, audit_entry())
    return (await verified_model(place, model)).summary


async def _until_stored(verb: Verb, registry: Registry, model: ObjectKey, entry: AuditEntry) -> int:
    for _ in range(4):
        try:
            return await verb(registry, model, entry)
        except (TransientError, AmbiguousError):
            continue
    raise AssertionError("one request failed, and four attempts were not enough")


def _promotion_of_3(digest: str) -> AuditEntry:
    return audit_entry(AuditEvent.PROMOTED, version="3.0.0", digest=digest)


class FailuresContract:
    """Whatever fails in between, the result is the same as without failures, exactly once."""

    @pytest.mark.parametrize("when", ["before", "after"])
    @pytest.mark.parametrize("verb", VERBS)
    async def test_a_crash_at_any_request_and_a_retry_give_the_same_result(
        self, place: Place, verb: str, when: str
    ) -> None:
        expected = await _without_failures(place, verb)
        dying = place.crashing_before if when == "before" else place.crashing
        for request in range(1, _MOST_REQUESTS):
            model, entry, lived = await _prepared(place, verb), audit_entry(), False
            try:
                await VERBS[verb](registry_on(dying(request)), model, entry)
                lived = True
            except Crash:
                assert (await registry_on(place.open()).verify(model)).ok
            number = await VERBS[verb](registry_on(place.open()), model, entry)
            seen = await verified_model(place, model)
            assert seen.sequences_of(entry) == [number]
            assert seen.summary == expected
            if lived:
                assert request > 2, "no request crashed: nothing was tested"
                return
        raise AssertionError(f"more than {_MOST_REQUESTS} requests for one {verb}")

    @pytest.mark.parametrize("verb", VERBS)
    async def test_another_writer_can_continue_after_a_crash_at_any_request(self, place: Place, verb: str) -> None:
        for request in range(1, _MOST_REQUESTS):
            model, entry, other, lived = await _prepared(place, verb), audit_entry(), audit_entry(), False
            try:
                await VERBS[verb](registry_on(place.crashing(request)), model, entry)
                lived = True
            except Crash:
                pass
            others = await registry_on(place.open()).record(model, other)
            number = await VERBS[verb](registry_on(place.open()), model, entry)
            seen = await verified_model(place, model)
            assert (seen.sequences_of(entry), seen.sequences_of(other)) == ([number], [others])
            if lived:
                return
        raise AssertionError(f"more than {_MOST_REQUESTS} requests for one {verb}")

    @pytest.mark.parametrize("fault", Fault)
    @pytest.mark.parametrize("verb", VERBS)
    async def test_a_failed_request_is_retried(self, place: Place, verb: str, fault: Fault) -> None:
        expected = await _without_failures(place, verb)
        for passed in range(6):
            model, entry = await _prepared(place, verb), audit_entry()
            flaky = registry_on(place.failing(*[None] * passed, fault))
            number = await _until_stored(VERBS[verb], flaky, model, entry)
            seen = await verified_model(place, model)
            assert seen.sequences_of(entry) == [number]
            assert seen.summary == expected

    async def test_constant_throttling_is_a_transient_error(self, place: Place) -> None:
        model = await in_use(place)
        step = await step_on(place.open(), model, audit_entry())
        before = (await verified_model(place, model)).head
        with pytest.raises(TransientError):
            await place.failing(*[Fault.THROTTLED] * 50).read_head(model)
        with pytest.raises(TransientError):
            await place.failing(*[Fault.THROTTLED] * 50).commit(step)
        assert (await verified_model(place, model)).head == before

    async def test_a_step_that_was_decided_on_an_old_head_is_a_conflict_and_stores_nothing(self, place: Place) -> None:
        model = await in_use(place)
        store = place.open()
        late = await step_on(store, model, audit_entry())
        await registry_on(place.open()).record(model, audit_entry())
        before = (await verified_model(place, model)).head
        with pytest.raises(ConflictError):
            await store.commit(late)
        assert (await verified_model(place, model)).head == before

    async def test_a_step_committed_again_from_anywhere_changes_nothing(self, place: Place) -> None:
        model = await in_use(place)
        store, entry = place.open(), audit_entry()
        step = await step_on(store, model, entry)
        await store.commit(step)
        await store.commit(step)
        await registry_on(place.open()).record(model, audit_entry())
        await place.open().commit(step)
        await store.commit(await step_on(store, model, entry))
        assert (await verified_model(place, model)).sequences_of(entry) == [6]

    async def test_one_entry_committed_by_several_processes_at_once_is_recorded_once(self, place: Place) -> None:
        model, entry = await in_use(place), audit_entry()
        async with asyncio.timeout(60), asyncio.TaskGroup() as group:
            for _ in range(4):
                group.create_task(registry_on(place.open()).promote(model, "3.0.0", entry))
                group.create_task(registry_on(place.open()).record(model, audit_entry()))
        seen = await verified_model(place, model)
        assert len(seen.sequences_of(entry)) == 1
        assert seen.summary == ("3.0.0", ("2.0.0", "1.0.0"), (), 3, 10)

    @pytest.mark.parametrize(
        ("fields", "error"),
        [
            ({"serves": "3.0.0", "digest": digest_for("other bytes")}, RefusedError),
            ({"serves": "9.9.9", "digest": digest_for("other bytes")}, NotFoundError),
        ],
        ids=["other bytes", "unregistered version"],
    )
    async def test_a_version_that_is_not_the_one_decided_on_never_serves(
        self, place: Place, fields: Mapping[str, Any], error: type[Exception]
    ) -> None:
        model, store = await in_use(place), place.open()
        before = (await verified_model(place, model)).head
        step = await step_on(store, model, _promotion_of_3(fields["digest"]), **fields)
        with pytest.raises(error, match=fields["serves"]):
            await store.commit(step)
        assert (await verified_model(place, model)).head == before

    async def test_a_version_yanked_in_between_is_refused_but_what_was_stored_before_stays(self, place: Place) -> None:
        model, store = await in_use(place), place.open()
        digest = (await registry_on(store).get(model, "3.0.0")).digest
        step = await step_on(store, model, _promotion_of_3(digest), serves="3.0.0", digest=digest)
        await registry_on(place.open()).set_yanked(model, "3.0.0", "it leaks", audit_entry())
        with pytest.raises(ConflictError):
            await store.commit(step)
        step = await step_on(store, model, _promotion_of_3(digest), serves="3.0.0", digest=digest)
        with pytest.raises(RefusedError, match="it leaks"):
            await store.commit(step)
        digest = (await registry_on(store).get(model, "1.0.0")).digest
        entry = audit_entry(AuditEvent.PROMOTED, version="1.0.0", digest=digest)
        step = await step_on(store, model, entry, serves="1.0.0", digest=digest)
        await store.commit(step)
        await registry_on(place.open()).set_yanked(model, "1.0.0", "it leaks, too", audit_entry())
        await store.commit(step)
        assert (await verified_model(place, model)).sequences_of(entry) == [7]

    async def test_a_record_too_large_for_the_store_is_refused_and_changes_nothing(self, place: Place) -> None:
        model = await in_use(place)
        before = (await verified_model(place, model)).head
        entry = audit_entry(details={f"change{number:03}": _LONG for number in range(128)})
        with pytest.raises(RefusedError, match="too large"):
            await registry_on(place.open()).record(model, entry)
        assert (await verified_model(place, model)).head == before

    async def test_a_version_too_large_for_the_store_is_refused_and_changes_nothing(self, place: Place) -> None:
        model = await in_use(place)
        before = (await verified_model(place, model)).head
        fields = tuple(Field(name=f"f{n}", dtype="string", categories=("😀" * 250,) * 256) for n in range(10))
        signature = Signature(profile=Profile.COLUMNAR, inputs=fields, outputs=())
        large = version_entry(model, "4.0.0", signature=signature)
        registry = registry_on(place.open())
        with pytest.raises(RefusedError, match="too large"):
            await registry.register(model, large, audit_entry(AuditEvent.VERSION_REGISTERED, version="4.0.0"))
        assert await registry.store.read_version(model, "4.0.0") is None
        assert (await verified_model(place, model)).head == before

    async def test_many_concurrent_clients_of_one_model_leave_a_consistent_chain_and_lose_nothing(
        self, place: Place
    ) -> None:
        stores = [place.open() for _ in range(3)]
        async with asyncio.timeout(120):
            ledger = await crowd(place, place.fresh_model(), stores, clients=10, moves=40)
        assert ledger.reads > 0
        assert len(ledger.recorded) >= 40
