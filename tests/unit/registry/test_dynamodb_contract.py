"""The quick part of the registry's contract on moto; crashes, crowds and sizes need DynamoDB Local."""

from dataclasses import replace
from datetime import timedelta

from serinus.api.audit_record import AuditEvent
from support.dynamodb import DynamoDbPlace
from support.dynamodb_moto import moto, place, tables
from support.registry_contract_moves import MovesContract
from support.registry_contract_versions import VersionsContract
from support.registry_place import happening, registry_on, version_entry

__all__ = ["moto", "place", "tables"]


class TestMoto(VersionsContract, MovesContract):
    async def test_whoever_registers_a_version_first_has_said_when_and_with_what_labels(
        self, place: DynamoDbPlace
    ) -> None:
        model = place.fresh_model()
        first = version_entry(model, "1.0.0", labels=(("team", "fraud"),))
        later = replace(first, registered_at=first.registered_at + timedelta(days=1), labels=(("team", "other"),))
        for entry in (first, later):
            told = happening(AuditEvent.VERSION_REGISTERED, version="1.0.0")
            await registry_on(place.open()).register(model, entry, told)
        assert await registry_on(place.open()).get(model, "1.0.0") == first
