"""The registry's contract: the production version, its changes, and their audit trail."""

import pytest

from serinus.api.audit_record import AuditEvent
from serinus.api.model import MAX_RECENT
from serinus.errors import NotFoundError, RefusedError
from support.registry.place import Place, audit_entry, in_use, register, registry_on, verified_model


class MovesContract:
    """Production, promote, rollback, history and pruning."""

    async def test_a_promoted_version_serves_with_its_digest_and_its_predecessor_is_the_rollback_target(
        self, place: Place
    ) -> None:
        model = await in_use(place)
        registry = registry_on(place.open())
        serving = await registry.production(model)
        assert serving is not None
        assert (serving.version, serving.digest) == ("2.0.0", (await registry.get(model, "2.0.0")).digest)
        seen = await verified_model(place, model)
        assert seen.summary == ("2.0.0", ("1.0.0",), (), 2, 5)
        last = seen.trail[-1]
        assert (last.event, last.before.production, last.after.production) == (AuditEvent.PROMOTED, "1.0.0", "2.0.0")

    @pytest.mark.parametrize(
        ("version", "error", "words"),
        [
            ("9.9.9", NotFoundError, "9.9.9"),
            ("2.0.0", RefusedError, "already"),
            ("3.0.0", RefusedError, "rolled back"),
            ("4.0.0", RefusedError, "yanked"),
        ],
        ids=["a typo", "the production version", "a version that was rolled back", "a yanked version"],
    )
    async def test_a_promotion_is_refused_and_nothing_changes(
        self, place: Place, version: str, error: type[Exception], words: str
    ) -> None:
        model = await in_use(place)
        registry = registry_on(place.open())
        await register(registry, model, "4.0.0")
        await registry.set_yanked(model, "4.0.0", "it leaks", audit_entry())
        await registry.promote(model, "3.0.0", audit_entry())
        await registry.rollback(model, audit_entry())
        before = (await verified_model(place, model)).head
        with pytest.raises(error, match=words):
            await registry_on(place.open()).promote(model, version, audit_entry())
        assert (await verified_model(place, model)).head == before

    async def test_a_rollback_goes_to_the_last_known_good_version_and_a_second_one_further_back(
        self, place: Place
    ) -> None:
        model = await in_use(place)
        registry = registry_on(place.open())
        await registry.promote(model, "3.0.0", audit_entry())
        await registry.rollback(model, audit_entry())
        assert (await verified_model(place, model)).summary == ("2.0.0", ("1.0.0",), ("3.0.0",), 4, 7)
        await registry_on(place.open()).rollback(model, audit_entry())
        assert (await verified_model(place, model)).summary == ("1.0.0", (), ("2.0.0", "3.0.0"), 5, 8)
        with pytest.raises(RefusedError, match="no earlier good version"):
            await registry.rollback(model, audit_entry())
        assert (await verified_model(place, model)).head.audit.sequence == 8

    async def test_a_rollback_goes_to_the_version_that_is_named(self, place: Place) -> None:
        model = await in_use(place)
        await registry_on(place.open()).promote(model, "3.0.0", audit_entry())
        await registry_on(place.open()).rollback(model, audit_entry(), to="v1.0.0")
        seen = await verified_model(place, model)
        assert seen.summary == ("1.0.0", ("2.0.0",), ("3.0.0",), 4, 7)
        digest = (await registry_on(place.open()).get(model, "1.0.0")).digest
        assert seen.head.production is not None
        assert seen.head.production.digest == digest

    async def test_a_rollback_to_a_version_that_may_not_serve_is_refused_and_changes_nothing(
        self, place: Place
    ) -> None:
        model = await in_use(place)
        registry = registry_on(place.open())
        await registry.set_yanked(model, "1.0.0", "it leaks", audit_entry())
        before = (await verified_model(place, model)).head
        for to, why in (("1.0.0", "it leaks"), (None, "yanked"), ("3.0.0", "never been"), ("9.9.9", "never been")):
            with pytest.raises(RefusedError, match=why):
                await registry.rollback(model, audit_entry(), to=to)
        assert (await verified_model(place, model)).head == before

    async def test_a_rollback_passes_over_yanked_versions(self, place: Place) -> None:
        model = await in_use(place)
        registry = registry_on(place.open())
        await registry.promote(model, "3.0.0", audit_entry())
        await registry.set_yanked(model, "2.0.0", "it leaks", audit_entry())
        await registry_on(place.open()).rollback(model, audit_entry())
        assert (await verified_model(place, model)).summary[:3] == ("1.0.0", ("2.0.0",), ("3.0.0",))

    async def test_each_change_of_a_yank_is_one_record_whoever_asks_for_it_and_however_often(
        self, place: Place
    ) -> None:
        model = await in_use(place)

        async def yank(reason: str) -> int:
            return await registry_on(place.open()).set_yanked(model, "3.0.0", reason, audit_entry(reason="because"))

        assert [await yank("it leaks"), await yank("it leaks"), await yank("it leaks more")] == [6, 6, 7]
        with pytest.raises(RefusedError, match="it leaks more"):
            await registry_on(place.open()).promote(model, "3.0.0", audit_entry())
        assert [await yank(""), await yank(""), await yank("it leaks")] == [8, 8, 9]
        assert [await yank(""), await registry_on(place.open()).promote(model, "3.0.0", audit_entry())] == [10, 11]
        changes = [(record.event.value, record.reason) for record in (await verified_model(place, model)).trail[5:10]]
        assert changes == [
            ("VersionYanked", "it leaks"),
            ("VersionYanked", "it leaks more"),
            ("VersionUnyanked", "because"),
            ("VersionYanked", "it leaks"),
            ("VersionUnyanked", "because"),
        ]

    async def test_a_rollback_without_a_production_version_is_refused(self, place: Place) -> None:
        model = place.fresh_model()
        registry = registry_on(place.open())
        await register(registry, model, "1.0.0")
        with pytest.raises(RefusedError, match="nothing is in production"):
            await registry.rollback(model, audit_entry())

    async def test_a_request_based_on_an_old_generation_is_refused(self, place: Place) -> None:
        model = await in_use(place)
        slow, fast = registry_on(place.open()), registry_on(place.open())
        generation = (await slow.head(model)).generation
        await fast.promote(model, "3.0.0", audit_entry(), generation=generation)
        with pytest.raises(RefusedError, match=f"generation {generation + 1}, not {generation}"):
            await slow.promote(model, "1.0.0", audit_entry(), generation=generation)
        with pytest.raises(RefusedError, match="generation"):
            await slow.rollback(model, audit_entry(), generation=generation)
        await slow.rollback(model, audit_entry(), generation=generation + 1)
        assert (await verified_model(place, model)).summary == ("2.0.0", ("1.0.0",), ("3.0.0",), generation + 2, 7)

    async def test_a_fact_is_recorded_whatever_the_head_says(self, place: Place) -> None:
        model = await in_use(place)
        registry = registry_on(place.open())
        for event in (AuditEvent.ROLLED_BACK, AuditEvent.TEST_FAILED):
            await registry.record(model, audit_entry(event, version="3.0.0"))
        await registry.record(model, audit_entry(AuditEvent.PROMOTED, version="3.0.0"))
        assert (await verified_model(place, model)).summary == ("3.0.0", ("2.0.0", "1.0.0"), (), 3, 8)

    async def test_a_long_trail_is_read_in_pages_and_in_parts(self, place: Place) -> None:
        model = await in_use(place)
        registry = registry_on(place.open())
        for _ in range(7):
            await registry.record(model, audit_entry())
        store = place.open(page_size=3)

        async def numbers(after: int = 0, through: int | None = None) -> list[int]:
            return [record.sequence async for record in store.read_records(model, after=after, through=through)]

        assert await numbers() == list(range(1, 13))
        assert await numbers(after=5) == list(range(6, 13))
        assert await numbers(after=2, through=9) == list(range(3, 10))
        assert await numbers(through=1) == [1]
        assert await numbers(after=12) == []
        assert await numbers(after=4, through=4) == []

    async def test_an_entry_committed_again_long_after_is_found_by_its_id(self, place: Place) -> None:
        model = await in_use(place)
        registry = registry_on(place.open())
        long_ago, undone = audit_entry(), audit_entry()
        first = await registry.promote(model, "3.0.0", long_ago)
        second = await registry.rollback(model, undone)
        for _ in range(MAX_RECENT + 1):
            await registry.record(model, audit_entry())
        before = (await verified_model(place, model)).head
        again = registry_on(place.open())
        assert await again.promote(model, "3.0.0", long_ago) == first
        assert await again.rollback(model, undone) == second
        assert await again.store.find_record(model, before, audit_entry().id) is None
        assert (await verified_model(place, model)).head == before

    async def test_an_accepted_request_is_not_refused_when_it_is_repeated(self, place: Place) -> None:
        model = await in_use(place)
        registry = registry_on(place.open())
        entry = audit_entry()
        number = await registry.promote(model, "3.0.0", entry, generation=2)
        await registry.set_yanked(model, "3.0.0", "it leaks", audit_entry())
        assert await registry_on(place.open()).promote(model, "3.0.0", entry, generation=2) == number
        assert (await verified_model(place, model)).sequences_of(entry) == [number]

    async def test_only_records_that_the_head_calls_pruned_are_removed_and_the_rest_still_verifies(
        self, place: Place
    ) -> None:
        model = await in_use(place)
        registry = registry_on(place.open(page_size=2))
        seen = await verified_model(place, model)
        with pytest.raises(RefusedError):
            await registry.store.remove_records(model, 3)
        details = {"through": "3", "hash": seen.trail[2].hash, "archive": "s3://archive/1-3"}
        await registry.record(model, audit_entry(AuditEvent.RECORDS_PRUNED, details=details))
        with pytest.raises(RefusedError):
            await registry.store.remove_records(model, 4)
        assert (await verified_model(place, model)).head.audit.pruned_through == 3
        assert await registry.store.remove_records(model, 3) == 3
        assert await place.open().remove_records(model, 3) == 0
        await registry.promote(model, "3.0.0", audit_entry())
        verification = await registry_on(place.open()).verify(model)
        assert verification.ok, verification.findings
        assert verification.records == 4
        assert [record.sequence async for record in registry.history(model)] == [4, 5, 6, 7]
