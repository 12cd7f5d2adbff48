"""The quick part of the registry's contract on moto; crashes, concurrency and sizes need DynamoDB Local."""

from dataclasses import replace
from datetime import timedelta

from serinus.api.audit_record import AuditEvent
from serinus.engine.versions.catalogue import Query
from support.dynamodb.place import DynamoDbPlace
from support.registry.contract_moves import MovesContract
from support.registry.contract_versions import VersionsContract
from support.registry.place import audit_entry, digest_for, register, registry_on, version_entry


class TestMoto(VersionsContract, MovesContract):
    async def test_the_first_registration_of_a_version_determines_its_time_and_labels(
        self, place: DynamoDbPlace
    ) -> None:
        model = place.fresh_model()
        first = version_entry(model, "1.0.0", labels=(("team", "fraud"),))
        later = replace(first, registered_at=first.registered_at + timedelta(days=1), labels=(("team", "other"),))
        for version in (first, later):
            entry = audit_entry(AuditEvent.VERSION_REGISTERED, version="1.0.0")
            await registry_on(place.open()).register(model, version, entry)
        assert await registry_on(place.open()).get(model, "1.0.0") == first

    async def test_a_version_is_found_once_by_each_of_its_data_sets(self, place: DynamoDbPlace) -> None:
        model = place.fresh_model()
        seen = tuple(digest_for(model, month) for month in ("september", "october", "november"))
        await register(registry_on(place.open()), model, "1.0.0", data=seen)
        for digest in seen:
            found = [(key, e.version) async for key, e in place.open().find_versions(Query(data_digest=digest))]
            assert found == [(model, "1.0.0")]
        other = Query(digest=digest_for(model, "1.0.0"), data_digest=digest_for("another month"))
        assert [version async for version in place.open().find_versions(other)] == []
