"""The policies of deploy/aws grant exactly the permissions that are used; the audit trail is append-only."""

from pathlib import Path
from typing import Final

import pytest

from serinus.api.audit_record import AuditEvent
from serinus.api.names import ObjectKey
from serinus.engine.versions.catalogue import Query
from serinus.registry.dynamodb.client import connect
from serinus.registry.dynamodb.reader import DynamoDbReader
from serinus.settings import DynamoDbSettings
from support.dynamodb.iam import Right, needed, permitted, policy, rights
from support.dynamodb.place import DynamoDbPlace, counted
from support.registry.place import audit_entry, digest_for, register, registry_on, verified_model, version_entry

POLICIES: Final = Path(__file__).parents[4] / "deploy" / "aws"
MODEL: Final = ObjectKey("ml", "fraud")


async def _every_verb_of_the_operator(place: DynamoDbPlace) -> set[Right]:
    store = place.open()
    registry, data = registry_on(store), (digest_for("october"), digest_for("november"))
    with counted(place.clients(store)) as calls:
        await store.probe()
        await register(registry, MODEL, "1.0.0", "2.0.0", data=data)
        await registry.promote(MODEL, "1.0.0", audit_entry())
        await registry.promote(MODEL, "2.0.0", audit_entry())
        await registry.rollback(MODEL, audit_entry())
        await registry.record(MODEL, audit_entry(AuditEvent.PAUSED))
        await registry_on(store).set_yanked(MODEL, "2.0.0", "it leaks", audit_entry())
        await registry.list(MODEL)
        assert (await registry.verify(MODEL)).ok
        entry = version_entry(MODEL, "1.0.0")
        assert [version async for version in store.find_versions(Query(digest=entry.digest))]
        assert [version async for version in store.find_versions(Query(data_digest=data[0]))]
        assert [model async for model in store.list_models()]
    return {right for operation, request in calls for right in needed(operation, request)}


async def test_the_operators_policy_allows_exactly_what_the_store_requests(place: DynamoDbPlace) -> None:
    asked = await _every_verb_of_the_operator(place)
    document = policy(POLICIES / "operator-policy.json", place.settings.table_prefix)
    assert permitted(document, asked)
    assert rights(document, "Allow") == asked


async def test_the_readers_policy_allows_exactly_what_serving_code_requests(place: DynamoDbPlace) -> None:
    registry = registry_on(place.open())
    await register(registry, MODEL, "1.0.0")
    await registry.promote(MODEL, "1.0.0", audit_entry())
    clients = connect(place.settings)
    with counted(clients) as calls, DynamoDbReader(place.settings, "ml", clients) as reader:
        assert reader.production("fraud") is not None
        assert reader.get("fraud", "1.0.0").version == "1.0.0"
        assert [entry.version for entry in reader.list("fraud")] == ["1.0.0"]
        assert len(list(reader.history("fraud"))) == 2
    asked = {right for operation, request in calls for right in needed(operation, request)}
    document = policy(POLICIES / "reader-policy.json", place.settings.table_prefix)
    assert permitted(document, asked)
    assert rights(document, "Allow") == asked


async def test_the_auditors_policy_allows_exactly_what_verifying_everything_requests(place: DynamoDbPlace) -> None:
    await register(registry_on(place.open()), MODEL, "1.0.0")
    store = place.open()
    with counted(place.clients(store)) as calls:
        # Without the probe: the checks that it makes are skipped for a role that may not make them.
        assert [model async for model, _ in store.list_models()] == [MODEL]
        assert [model async for model in store.list_chains()] == [MODEL]
        assert (await registry_on(store).verify(MODEL)).ok
    asked = {right for operation, request in calls for right in needed(operation, request)}
    document = policy(POLICIES / "auditor-policy.json", place.settings.table_prefix)
    assert permitted(document, asked)
    assert rights(document, "Allow") == asked


async def test_only_the_role_of_retention_may_remove_records_and_it_can_write_none(place: DynamoDbPlace) -> None:
    store = place.open()
    registry = registry_on(store)
    await register(registry, MODEL, "1.0.0", "2.0.0")
    first = (await verified_model(place, MODEL)).trail[0]
    details = {"through": "1", "hash": first.hash, "archive": "s3://archive"}
    await registry.record(MODEL, audit_entry(AuditEvent.RECORDS_PRUNED, details=details))
    with counted(place.clients(store)) as calls:
        assert await store.remove_records(MODEL, 1) == 1
    asked = {right for operation, request in calls for right in needed(operation, request)}
    prefix = place.settings.table_prefix
    retention = policy(POLICIES / "retention-policy.json", prefix)
    assert permitted(retention, asked)
    assert rights(retention, "Allow") == asked
    assert not permitted(retention, [("dynamodb:PutItem", f"{prefix}-audit")])
    assert not permitted(policy(POLICIES / "operator-policy.json", prefix), asked)


@pytest.mark.parametrize("name", ["operator", "reader"])
@pytest.mark.parametrize(
    "action", ["UpdateItem", "DeleteItem", "BatchWriteItem", "PartiQLDelete", "PartiQLUpdate", "UpdateTimeToLive"]
)
def test_nobody_changes_the_audit_trail_whatever_another_policy_allows(
    tables: DynamoDbSettings, name: str, action: str
) -> None:
    prefix = tables.table_prefix
    document = policy(POLICIES / f"{name}-policy.json", prefix)
    everything = {"Effect": "Allow", "Action": "dynamodb:*", "Resource": f"arn:aws:dynamodb:::table/{prefix}-audit"}
    generous = document | {"Statement": [*document["Statement"], everything]}
    assert not permitted(generous, [(f"dynamodb:{action}", f"{prefix}-audit")])
    assert permitted(generous, [("dynamodb:Query", f"{prefix}-audit")])


def test_the_operator_puts_only_within_a_transaction(tables: DynamoDbSettings) -> None:
    document = policy(POLICIES / "operator-policy.json", tables.table_prefix)
    allowed = [statement for statement in document["Statement"] if statement["Effect"] == "Allow"]
    puts = [statement for statement in allowed if "dynamodb:PutItem" in statement["Action"]]
    assert len(puts) == 2
    condition = {"ForAnyValue:StringEquals": {"dynamodb:EnclosingOperation": "TransactWriteItems"}}
    assert all(statement["Condition"] == condition for statement in puts)
