"""A table of the release before clusters had names is continued where it is: nothing is copied, and nothing lost.

``data/before_clusters.json`` is what that release wrote: two models with promotions, a rollback and a yank.
"""

import json
from pathlib import Path
from typing import Any, Final

import pytest
from msgspec import structs

from serinus.api.audit_record import AuditEvent
from serinus.api.names import ObjectKey
from serinus.api.parsing import encode
from serinus.audit.restore import plan_restoration
from serinus.errors import VersionTakenError
from serinus.registry.dynamodb.keys import Keys
from support.dynamodb.place import DynamoDbPlace, boto_clients
from support.registry.place import audit_entry, register, registry_on, version_entry

FRAUD, CREDIT = ObjectKey("ml", "fraud"), ObjectKey("ml", "credit")
RECORDS: Final = {FRAUD: 9, CREDIT: 2}
EU, US = "prod-eu", "prod-us"
_TABLES: Final = json.loads((Path(__file__).parent / "data" / "before_clusters.json").read_text(encoding="utf-8"))


def _client(place: DynamoDbPlace) -> Any:
    return boto_clients(place.clients(place.open()))[1]


def _load(place: DynamoDbPlace, scope: str = "") -> None:
    """Put in what the earlier release wrote, as with this scope."""
    client = _client(place)
    for table, items in _TABLES.items():
        for item in items:
            text = json.dumps(item).replace("M#/", f"M#{scope}/").replace("FLEET#", f"FLEET#{scope}")
            client.put_item(TableName=f"{place.settings.table_prefix}-{table}", Item=json.loads(text))


def _records_in(place: DynamoDbPlace, keys: Keys, model: ObjectKey) -> list[str]:
    answer = _client(place).query(
        TableName=f"{place.settings.table_prefix}-audit",
        KeyConditionExpression="pk = :pk",
        ExpressionAttributeValues={":pk": {"S": keys.of_model(model)}},
    )
    return [item["content"]["S"] for item in answer["Items"]]


@pytest.mark.parametrize("cluster", ["", EU])
async def test_the_table_is_read_before_any_operator_is_upgraded(place: DynamoDbPlace, cluster: str) -> None:
    _load(place)
    store = place.open(cluster=cluster)
    assert sorted([model async for model, _ in store.list_models()]) == [CREDIT, FRAUD]
    for model, many in RECORDS.items():
        verification = await registry_on(store).verify(model)
        assert (verification.findings, verification.records) == ((), many)
    production = await registry_on(store).production(FRAUD)
    assert production is not None
    assert (production.version, production.promoted_by) == ("1.1.0", ""), "that release did not say who"


async def test_the_first_cluster_continues_every_chain_where_it_is(place: DynamoDbPlace) -> None:
    _load(place)
    before = {model: _records_in(place, Keys.before_names(""), model) for model in RECORDS}
    store = place.open(cluster=EU, identity="uid-eu")
    await register(registry_on(store), FRAUD, "2.2.0")
    assert await registry_on(store).promote(FRAUD, "2.2.0", audit_entry()) == RECORDS[FRAUD] + 2
    after = _records_in(place, Keys.before_names(""), FRAUD)
    assert after[: RECORDS[FRAUD]] == before[FRAUD], "a record was lost or rewritten"
    assert [json.loads(content).get("cluster") for content in after[RECORDS[FRAUD] :]] == [EU, EU]
    verification = await registry_on(place.open(cluster=EU)).verify(FRAUD)
    assert (verification.findings, verification.records) == ((), RECORDS[FRAUD] + 2)
    untouched = await registry_on(store).verify(CREDIT)
    assert (untouched.findings, untouched.records) == ((), RECORDS[CREDIT])
    assert not (await plan_restoration(store, FRAUD, None)).needed
    head = await store.read_head(FRAUD)
    assert head.production is not None
    assert (head.production.promoted_by, head.good[0]) == ("alice@example.com", "1.1.0")
    # The yank of that release still holds.
    assert (await registry_on(store).get(FRAUD, "2.1.0")).yanked == "trained on stolen data"


async def test_an_old_head_stays_exactly_the_fold_of_its_chain_through_records_of_this_release(
    place: DynamoDbPlace,
) -> None:
    _load(place)
    store = place.open(cluster=EU, identity="uid-eu")
    for _ in range(3):
        await registry_on(store).record(FRAUD, audit_entry(AuditEvent.TEST_PASSED, version="1.1.0"))
        assert (await registry_on(store).verify(FRAUD)).ok
    production = (await store.read_head(FRAUD)).production
    assert production is not None
    assert production.promoted_by == ""


async def test_the_second_cluster_begins_chains_of_its_own_and_gets_no_taken_number(place: DynamoDbPlace) -> None:
    _load(place)
    await registry_on(place.open(cluster=EU, identity="uid-eu")).record(CREDIT, audit_entry())
    second = place.open(cluster=US, identity="uid-us")
    assert (await second.read_head(FRAUD)).audit.sequence == 0
    other = version_entry(FRAUD, "2.0.0", changes="another build")
    with pytest.raises(VersionTakenError, match=f"by the cluster {EU}"):
        await registry_on(second).register(FRAUD, other, audit_entry(AuditEvent.VERSION_REGISTERED))
    await register(registry_on(second), FRAUD, "2.0.0")
    await registry_on(second).promote(FRAUD, "2.0.0", audit_entry())
    assert [record.cluster async for record in registry_on(second).history(FRAUD)] == [US, US]
    assert (await registry_on(second).verify(FRAUD)).ok
    first = await registry_on(place.open(cluster=EU)).production(FRAUD)
    assert first is not None
    assert first.version == "1.1.0"


async def test_a_scope_that_was_the_clusters_name_becomes_the_cluster(place: DynamoDbPlace) -> None:
    """What docs/how-to/registry-on-dynamodb.md told people to do before."""
    _load(place, scope=EU)
    store = place.open(cluster=EU, identity="uid-eu")
    await registry_on(store).record(FRAUD, audit_entry())
    assert (await registry_on(store).verify(FRAUD)).records == RECORDS[FRAUD] + 1
    # Addresses with the old scope, with and without the cluster, mean the same heads for ever.
    for settings in ({"scope": EU, "cluster": ""}, {"scope": EU, "cluster": EU}):
        place.settings = structs.replace(place.settings, **settings)
        assert (await place.open().read_head(FRAUD)).audit.sequence == RECORDS[FRAUD] + 1


async def test_an_operator_of_the_earlier_release_may_still_write_the_head(place: DynamoDbPlace) -> None:
    """While clusters are upgraded one after the other, or after a downgrade: its heads name no cluster."""
    _load(place)
    store = place.open(cluster=EU, identity="uid-eu")
    await registry_on(store).record(FRAUD, audit_entry())
    client, table = _client(place), f"{place.settings.table_prefix}-registry"
    item = client.get_item(TableName=table, Key=Keys.before_names("").head(FRAUD))["Item"]
    client.put_item(TableName=table, Item={name: item[name] for name in item if name not in {"cluster", "clusterId"}})
    assert await registry_on(store).record(FRAUD, audit_entry()) == RECORDS[FRAUD] + 2
    assert (await registry_on(store).verify(FRAUD)).ok


async def test_the_records_of_the_earlier_release_hash_as_they_did(place: DynamoDbPlace) -> None:
    _load(place)
    contents = _records_in(place, Keys.before_names(""), FRAUD)
    records = [record async for record in registry_on(place.open(cluster=EU)).history(FRAUD)]
    assert [encode(record) for record in records] == [json.loads(content) for content in contents]
