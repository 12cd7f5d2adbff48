"""The registry's contract: registration of versions and queries."""

from hashlib import sha256
from typing import Final

import pytest

from serinus.api.audit_record import AuditEvent
from serinus.api.model import Head
from serinus.api.modelversion import Artifact, VersionStage
from serinus.api.names import ObjectKey
from serinus.engine.versions.catalogue import Query, recorded_entry
from serinus.errors import NotFoundError, VersionTakenError
from support.kube.client import eventually
from support.registry.place import (
    Place,
    audit_entry,
    digest_for,
    in_use,
    register,
    registry_on,
    verified_model,
    version_entry,
)

_IN_ORDER: Final = ("1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-rc.2", "1.0.0-rc.11", "1.0.0", "1.9.0", "1.10.0", "2.0.0")
"""In the order of semver.org, lowest first."""


async def _listed(place: Place, model: ObjectKey, query: Query | None = None) -> list[str]:
    return [entry.version for entry in await registry_on(place.open()).list(model, query)]


class VersionsContract:
    """Register, get and list."""

    async def test_an_unknown_model_is_empty(self, place: Place) -> None:
        model, store = place.fresh_model(), place.open()
        registry = registry_on(store)
        assert await registry.head(model) == Head()
        assert await registry.production(model) is None
        assert await registry.list(model) == []
        assert [record async for record in registry.history(model)] == []
        assert await store.read_version(model, "1.0.0") is None
        assert await store.find_record(model, Head(), audit_entry().id) is None
        assert (await registry.verify(model)).ok
        with pytest.raises(NotFoundError, match=r"1\.0\.0"):
            await registry.get(model, "1.0.0")
        with pytest.raises(NotFoundError):
            await registry_on(store).set_yanked(model, "1.0.0", "it never was", audit_entry())

    async def test_a_registered_version_is_read_back_unchanged_by_every_connection(self, place: Place) -> None:
        model = place.fresh_model()
        given = version_entry(model, "1.0.0-rc.1", labels=(("team", "fraud"),), data=(digest_for(model),))
        entry = audit_entry(AuditEvent.VERSION_REGISTERED, version="1.0.0-rc.1")
        number = await registry_on(place.open()).register(model, given, entry)
        found = await registry_on(place.open()).get(model, "v1.0.0-rc.1")
        assert (found.spec, found.spec_hash, found.digest) == (given.spec, given.spec_hash, given.digest)
        assert set(found.labels) >= {("team", "fraud")}
        assert found.yanked == ""
        assert found.registered_at.tzinfo is not None
        seen = await verified_model(place, model)
        assert seen.sequences_of(entry) == [number] == [1]
        assert seen.head.production is None, "registering is not serving"

    async def test_registering_the_same_version_again_leaves_it_as_it_is(self, place: Place) -> None:
        model = place.fresh_model()
        registry = registry_on(place.open())
        await register(registry, model, "1.0.0")
        await registry.set_yanked(model, "1.0.0", "it leaks", audit_entry())
        before = await registry.get(model, "1.0.0")
        await register(registry_on(place.open()), model, "1.0.0")
        assert await registry.get(model, "1.0.0") == before
        assert await _listed(place, model) == ["1.0.0"]

    async def test_the_same_number_with_another_spec_is_refused_and_changes_nothing(self, place: Place) -> None:
        model = place.fresh_model()
        registry = registry_on(place.open())
        await register(registry, model, "1.0.0")
        before, head = await registry.get(model, "1.0.0"), await registry.head(model)
        other = version_entry(model, "1.0.0", artifact=Artifact(uri="s3://elsewhere", digest=digest_for("other")))
        with pytest.raises(VersionTakenError, match=r"1\.0\.0"):
            await registry.register(model, other, audit_entry(AuditEvent.VERSION_REGISTERED, version="1.0.0"))
        assert await registry.get(model, "1.0.0") == before
        assert (await verified_model(place, model)).head == head

    async def test_the_record_of_a_registration_holds_every_fact_of_the_version(self, place: Place) -> None:
        model = place.fresh_model()
        given = version_entry(model, "1.0.0", labels=(("team", "fraud"),), data=(digest_for(model),))
        entry = audit_entry(AuditEvent.VERSION_REGISTERED)
        await registry_on(place.open()).register(model, given, entry)
        (record,) = (await verified_model(place, model)).trail
        assert recorded_entry(record) == given
        held = record.registration
        assert held is not None
        assert (record.version, record.digest, record.spec_hash) == ("1.0.0", given.digest, given.spec_hash)
        assert f"sha256:{sha256(held.spec.encode()).hexdigest()}" == record.spec_hash

    async def test_registering_the_same_spec_again_writes_no_record(self, place: Place) -> None:
        model = place.fresh_model()
        registry, given = registry_on(place.open()), version_entry(model, "1.0.0")
        first = await registry.register(model, given, audit_entry(AuditEvent.VERSION_REGISTERED))
        await register(registry, model, "1.1.0")
        other = registry_on(place.open())
        assert await other.register(model, given, audit_entry(AuditEvent.VERSION_REGISTERED)) == first == 1
        assert len((await verified_model(place, model)).trail) == 2

    async def test_a_number_stays_taken_whoever_registers_it_and_however_long_ago_it_was(self, place: Place) -> None:
        model = place.fresh_model()
        await register(registry_on(place.open()), model, "1.0.0")
        for _ in range(3):
            await registry_on(place.open()).record(model, audit_entry())
        changed = version_entry(model, "1.0.0", changes="another build under the same number")
        with pytest.raises(VersionTakenError, match="registered with another spec"):
            await registry_on(place.open()).register(model, changed, audit_entry(AuditEvent.VERSION_REGISTERED))
        head = await registry_on(place.open()).head(model)
        known = await place.open().read_registered(model, head, "1.0.0")
        assert known is not None
        assert known.spec_hash == version_entry(model, "1.0.0").spec_hash
        assert await place.open().read_registered(model, head, "2.0.0") is None

    async def test_versions_are_listed_in_semver_order_newest_first(self, place: Place) -> None:
        model = place.fresh_model()
        shuffled = _IN_ORDER[3::-1] + _IN_ORDER[4:]
        await register(registry_on(place.open()), model, *shuffled)
        assert await _listed(place, model) == list(reversed(_IN_ORDER))

    async def test_a_list_of_several_pages_is_complete(self, place: Place) -> None:
        model = place.fresh_model()
        versions = [f"1.{minor}.0" for minor in range(11)]
        await register(registry_on(place.open()), model, *versions)
        listed = await registry_on(place.open(page_size=3)).list(model)
        assert [entry.version for entry in listed] == list(reversed(versions))

    async def test_versions_are_found_by_stage(self, place: Place) -> None:
        model = await in_use(place)
        registry = registry_on(place.open())
        await register(registry, model, "4.0.0")
        await registry.rollback(model, audit_entry())
        started = audit_entry(AuditEvent.ROLLOUT_STARTED, version="3.0.0", traffic="5%")
        await registry.record(model, started)
        found = {stage: await _listed(place, model, Query(stage=stage)) for stage in VersionStage}
        assert found == {stage: [] for stage in VersionStage} | {
            VersionStage.REGISTERED: ["4.0.0"],
            VersionStage.CANARY: ["3.0.0"],
            VersionStage.PRODUCTION: ["1.0.0"],
            VersionStage.ROLLED_BACK: ["2.0.0"],
        }

    async def test_versions_are_found_by_digest_data_labels_and_major_line(self, place: Place) -> None:
        model = place.fresh_model()
        registry = registry_on(place.open())
        october, november = digest_for(model, "october"), digest_for(model, "november")
        await register(registry, model, "1.0.0", data=(october,), labels=(("tier", "1"), ("team", "fraud")))
        await register(registry, model, "1.1.0", data=(october, november), labels=(("tier", "2"),))
        await register(registry, model, "2.0.0", "10.0.0", data=(november,))
        assert await _listed(place, model, Query(digest=digest_for(model, "1.1.0"))) == ["1.1.0"]
        assert await _listed(place, model, Query(data_digest=october)) == ["1.1.0", "1.0.0"]
        assert await _listed(place, model, Query(data_digest=november)) == ["10.0.0", "2.0.0", "1.1.0"]
        assert await _listed(place, model, Query(labels=(("tier", "1"),))) == ["1.0.0"]
        assert await _listed(place, model, Query(labels=(("team", "fraud"), ("tier", "2")))) == []
        assert await _listed(place, model, Query(major=1)) == ["1.1.0", "1.0.0"]
        assert await _listed(place, model, Query(major=1, data_digest=november)) == ["1.1.0"]
        assert await _listed(place, model, Query(digest=digest_for("nobody's"))) == []

    async def test_an_artifact_or_its_data_is_found_in_every_model(self, place: Place) -> None:
        one, other = place.fresh_model(), place.fresh_model()
        bytes_of_both, data = digest_for(one, "bytes"), digest_for(one, "data")
        registry = registry_on(place.open())
        for model in (one, other):
            artifact = Artifact(uri="s3://shared", digest=bytes_of_both)
            await register(registry, model, "1.0.0", artifact=artifact, data=(data,))
            await register(registry, model, "1.1.0")

        async def everywhere(query: Query) -> bool:
            found = {(model, e.version) async for model, e in place.open(page_size=2).find_versions(query)}
            return found == {(one, "1.0.0"), (other, "1.0.0")}

        await eventually(lambda: everywhere(Query(digest=bytes_of_both)), why="both models have these bytes")
        await eventually(lambda: everywhere(Query(data_digest=data)), why="both models have seen this data")

    async def test_all_models_are_listed_with_their_heads(self, place: Place) -> None:
        used, new = await in_use(place), place.fresh_model()
        await register(registry_on(place.open()), new, "1.0.0")
        store = place.open(page_size=2)
        expected = {model: await store.read_head(model) for model in (used, new)}

        async def listed() -> bool:
            found = {model: head async for model, head in store.list_models()}
            return {model: found.get(model) for model in expected} == expected

        await eventually(listed, why="both models are in the list, as they are")

    async def test_models_whose_names_begin_alike_are_not_mixed_up(self, place: Place) -> None:
        model = place.fresh_model()
        namesakes = [ObjectKey(model.namespace, f"{model.name}{end}") for end in ("-v1", "-000000000001", "x")]
        registry = registry_on(place.open())
        for number, key in enumerate((model, *namesakes), start=1):
            await register(registry, key, f"{number}.0.0")
            await registry.promote(key, f"{number}.0.0", audit_entry())
        for number, key in enumerate((model, *namesakes), start=1):
            seen = await verified_model(place, key)
            assert [record.model for record in seen.trail] == [key.name] * 2
            assert await _listed(place, key) == [f"{number}.0.0"]
            assert seen.summary == (f"{number}.0.0", (), (), 1, 2)
