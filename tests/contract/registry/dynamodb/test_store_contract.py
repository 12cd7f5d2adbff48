"""The quick part of the registry's contract on moto; crashes, crowds and sizes need DynamoDB Local."""

from dataclasses import replace
from datetime import timedelta

from serinus.api.audit_record import AuditEvent
from serinus.engine.versions.catalogue import Query
from support.dynamodb.place import DynamoDbPlace
from support.registry.contract_moves import MovesContract
from support.registry.contract_versions import VersionsContract
from support.registry.place import audit_entry, digest_for, register, registry_on, version_entry


class TestMoto(VersionsContract, MovesContract):
    async def test_whoever_registers_a_version_first_has_said_when_and_with_what_labels(
        self, place: DynamoDbPlace
    ) -> None:
        model = place.fresh_model()
        first = version_entry(model, "1.0.0", labels=(("team", "fraud"),))
        later = replace(first, registered_at=first.registered_at + timedelta(days=1), labels=(("team", "other"),))
        for entry in (first, later):
            told = audit_entry(AuditEvent.VERSION_REGISTERED, version="1.0.0")
            await registry_on(place.open()).register(model, entry, told)
        assert await registry_on(place.open()).get(model, "1.0.0") == first

    async def test_a_version_is_found_by_every_data_set_that_it_has_seen_and_once(self, place: DynamoDbPlace) -> None:
        model = place.fresh_model()
        seen = tuple(digest_for(model, month) for month in ("september", "october", "november"))
        await register(registry_on(place.open()), model, "1.0.0", data=seen)
        for digest in seen:
            found = [(key, e.version) async for key, e in place.open().find_versions(Query(data_digest=digest))]
            assert found == [(model, "1.0.0")]
        other = Query(digest=digest_for(model, "1.0.0"), data_digest=digest_for("another month"))
        assert [one async for one in place.open().find_versions(other)] == []
