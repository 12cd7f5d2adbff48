"""Verification detects manual changes of the tables."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest
from msgspec import json, structs

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.audit.restore import plan_restoration, restore, restored_details
from serinus.engine.audit.chain import ChainFault
from serinus.engine.audit.head import fold
from serinus.engine.versions.catalogue import spec_hash
from serinus.errors import ConflictError, RefusedError
from serinus.registry.dynamodb.items import head_item, stored_entry, version_values
from serinus.registry.dynamodb.keys import Keys
from support.dynamodb.place import CLUSTER, DynamoDbPlace, boto_clients
from support.registry.place import audit_entry, digest_for, in_use, registry_on, version_entry

KEYS = Keys.of_cluster("", CLUSTER)

Tamper = Callable[[Any, str, str], None]
"""With a client of boto3, the table's name and the model's partition."""


def _key(partition: str, number: int | str) -> dict[str, Any]:
    return {"pk": {"S": partition}, "sk": {"S": f"{number:012d}" if isinstance(number, int) else number}}


def _content(client: Any, table: str, partition: str, number: int) -> str:
    return str(client.get_item(TableName=table, Key=_key(partition, number))["Item"]["content"]["S"])


def _put(client: Any, table: str, key: dict[str, Any], content: str) -> None:
    client.put_item(TableName=table, Item=key | {"content": {"S": content}})


def _another_reason(client: Any, table: str, partition: str) -> None:
    changed = _content(client, table, partition, 3).replace("the story wants it", "nobody knows")
    _put(client, table, _key(partition, 3), changed)


def _removed(client: Any, table: str, partition: str) -> None:
    client.delete_item(TableName=table, Key=_key(partition, 3))


def _cut_off(client: Any, table: str, partition: str) -> None:
    client.delete_item(TableName=table, Key=_key(partition, 5))


def _swapped(client: Any, table: str, partition: str) -> None:
    second, third = (_content(client, table, partition, number) for number in (2, 3))
    _put(client, table, _key(partition, 2), third)
    _put(client, table, _key(partition, 3), second)


def _inserted_between(client: Any, table: str, partition: str) -> None:
    _put(client, table, _key(partition, "000000000003a"), _content(client, table, partition, 3))


def _no_json(client: Any, table: str, partition: str) -> None:
    _put(client, table, _key(partition, 3), "{ gone")


def _no_content(client: Any, table: str, partition: str) -> None:
    client.put_item(TableName=table, Item=_key(partition, 3))


@pytest.mark.parametrize(
    ("tamper", "fault"),
    [
        (_another_reason, ChainFault.ALTERED),
        (_removed, ChainFault.MISSING),
        (_cut_off, ChainFault.TRUNCATED),
        (_swapped, ChainFault.MISPLACED),
        (_inserted_between, ChainFault.MISPLACED),
        (_no_json, ChainFault.ALTERED),
        (_no_content, ChainFault.ALTERED),
    ],
)
async def test_a_chain_that_was_changed_in_its_table_does_not_verify(
    place: DynamoDbPlace, tamper: Tamper, fault: ChainFault
) -> None:
    model, store = await in_use(place), place.open(page_size=2)
    assert (await registry_on(store).verify(model)).ok
    tamper(place.clients(store).commits, f"{place.settings.table_prefix}-audit", _partition(model))
    assert fault in {finding.fault for finding in (await registry_on(store).verify(model)).findings}


@pytest.mark.parametrize("change", [("2.0.0", "3.0.0"), ('"generation":2', '"generation":9')])
async def test_a_head_that_was_changed_in_its_table_does_not_verify(
    place: DynamoDbPlace, change: tuple[str, str]
) -> None:
    model, store = await in_use(place), place.open()
    (_, client), table = boto_clients(place.clients(store)), f"{place.settings.table_prefix}-registry"
    item = client.get_item(TableName=table, Key=_key(_partition(model), "HEAD"))["Item"]
    item["head"]["S"] = item["head"]["S"].replace(*change)
    client.put_item(TableName=table, Item=item)
    verification = await registry_on(store).verify(model)
    assert ChainFault.HEAD_DIFFERS in {finding.fault for finding in verification.findings}


async def test_a_version_that_was_broken_in_its_table_is_refused(place: DynamoDbPlace) -> None:
    model, store = await in_use(place), place.open()
    (_, client), table = boto_clients(place.clients(store)), f"{place.settings.table_prefix}-registry"
    key = _key(_partition(model), "V#0000000002.0000000000.0000000000~")
    item = client.get_item(TableName=table, Key=key)["Item"]
    client.put_item(TableName=table, Item=item | {"entry": {"S": '{"spec": 1}'}})
    with pytest.raises(RefusedError, match=r"V#0000000002.* cannot be read"):
        await store.read_version(model, "2.0.0")


# ---- everything that people read ---------------------------------------------------------------


@dataclass(frozen=True)
class Tables:
    """The tables of a model, as their administrator sees them."""

    client: Any
    prefix: str
    model: ObjectKey

    def get(self, sort: str, table: str = "registry") -> dict[str, Any]:
        answer = self.client.get_item(TableName=f"{self.prefix}-{table}", Key=_key(_partition(self.model), sort))
        return dict(answer["Item"])

    def put(self, item: dict[str, Any], table: str = "registry") -> None:
        self.client.put_item(TableName=f"{self.prefix}-{table}", Item=item)

    def delete(self, sort: str, table: str = "registry") -> None:
        self.client.delete_item(TableName=f"{self.prefix}-{table}", Key=_key(_partition(self.model), sort))

    def change(self, sort: str, table: str = "registry", **attributes: str) -> None:
        """Set text attributes of an item; an empty text removes the attribute."""
        item = self.get(sort, table) | {name: {"S": value} for name, value in attributes.items()}
        self.put({name: value for name, value in item.items() if value != {"S": ""}}, table)


V2, V3 = "V#0000000002.0000000000.0000000000~", "V#0000000003.0000000000.0000000000~"
RECORD = "000000000004"
FORGED = digest_for("forged")


def _head_set_back(tables: Tables) -> None:
    """What restoring the registry's table alone to an earlier moment does."""
    head = tables.get("HEAD")
    records = [tables.get(f"{number:012d}", "audit")["content"]["S"] for number in range(1, 5)]
    folded = fold(decode(AuditRecordSpec, json.decode(content), "record") for content in records)
    tables.put(dict(head_item(KEYS, tables.model, folded)))
    assert tables.get("HEAD") != head


def _forged_spec(tables: Tables, sort: str = V2, *, consistent: bool) -> None:
    """Put another artifact into a version; with all hashes and indexes that go with it where it is consistent."""
    entry = stored_entry(tables.get(sort))
    assert entry.spec.artifact is not None
    artifact = structs.replace(entry.spec.artifact, uri="s3://evil", digest=FORGED)
    forged = replace(entry, spec=structs.replace(entry.spec, artifact=artifact))
    if consistent:
        forged = replace(forged, spec_hash=spec_hash(forged.spec))
    tables.put(tables.get(sort) | version_values(KEYS, tables.model, forged))


def _labels(tables: Tables) -> None:
    entry = replace(stored_entry(tables.get(V2)), labels=(("team", "evil"),))
    tables.put(tables.get(V2) | version_values(KEYS, tables.model, entry))


def _time(tables: Tables) -> None:
    entry = stored_entry(tables.get(V2))
    later = replace(entry, registered_at=entry.registered_at + timedelta(days=400))
    tables.put(tables.get(V2) | version_values(KEYS, tables.model, later))


def _unrecorded(tables: Tables) -> None:
    entry = version_entry(tables.model, "9.9.9")
    values = version_values(KEYS, tables.model, entry)
    tables.put({**KEYS.version(tables.model, "9.9.9"), **values})


CHANGES: dict[str, tuple[Callable[[Tables], None], ChainFault]] = {
    "the head is set back": (_head_set_back, ChainFault.HEAD_DIFFERS),
    "the head is removed": (lambda t: t.delete("HEAD"), ChainFault.HEAD_MISSING),
    "the head's version": (lambda t: t.change("HEAD", version="1.0.0"), ChainFault.ATTRIBUTE_DIFFERS),
    "the head's digest": (lambda t: t.change("HEAD", digest=FORGED), ChainFault.ATTRIBUTE_DIFFERS),
    "the head's Rollout": (lambda t: t.change("HEAD", managedBy="another"), ChainFault.ATTRIBUTE_DIFFERS),
    "the model in the fleet's index": (lambda t: t.change("HEAD", fleet=""), ChainFault.ATTRIBUTE_DIFFERS),
    "the model's name in the index": (lambda t: t.change("HEAD", fleetModel="ml/x"), ChainFault.ATTRIBUTE_DIFFERS),
    "a version's facts": (lambda t: _forged_spec(t, consistent=False), ChainFault.VERSION_DIFFERS),
    "a version's facts with all hashes": (lambda t: _forged_spec(t, consistent=True), ChainFault.VERSION_DIFFERS),
    "a version's labels": (_labels, ChainFault.VERSION_DIFFERS),
    "a version's time": (_time, ChainFault.VERSION_DIFFERS),
    "a version's digest": (lambda t: t.change(V2, digest=FORGED), ChainFault.VERSION_DIFFERS),
    "a version's spec hash": (lambda t: t.change(V2, specHash=FORGED), ChainFault.VERSION_DIFFERS),
    "a version's number": (lambda t: t.change(V2, version="2.0.1"), ChainFault.VERSION_DIFFERS),
    "a version in the artifacts' index": (lambda t: t.change(V2, artifact=FORGED), ChainFault.VERSION_DIFFERS),
    "a version in the data's index": (lambda t: t.change(V2, dataHash=FORGED), ChainFault.VERSION_DIFFERS),
    "a yank without a record": (lambda t: t.change(V3, yanked="I say so"), ChainFault.VERSION_DIFFERS),
    "a version is removed": (lambda t: t.delete(V2), ChainFault.VERSION_MISSING),
    "a version is unreadable": (lambda t: t.change(V2, entry="{"), ChainFault.VERSION_DIFFERS),
    "a version is added": (_unrecorded, ChainFault.VERSION_UNRECORDED),
    "an item of no kind": (lambda t: t.put(_key(_partition(t.model), "X#")), ChainFault.ATTRIBUTE_DIFFERS),
    "a version's further data": (
        lambda t: t.put(_key(_partition(t.model), f"D#{V2[2:]}#{FORGED}") | {"dataHash": {"S": FORGED}}),
        ChainFault.ATTRIBUTE_DIFFERS,
    ),
    "a record's event": (lambda t: t.change(RECORD, "audit", event="Paused"), ChainFault.ATTRIBUTE_DIFFERS),
    "a record's version": (lambda t: t.change(RECORD, "audit", version="9.9.9"), ChainFault.ATTRIBUTE_DIFFERS),
    "a record's time": (lambda t: t.change(RECORD, "audit", at="2020-01-01T00:00:00Z"), ChainFault.ATTRIBUTE_DIFFERS),
    "a record's id": (lambda t: t.change(RECORD, "audit", id="another"), ChainFault.ATTRIBUTE_DIFFERS),
    "a record is added at the end": (
        lambda t: t.put(t.get("000000000005", "audit") | {"sk": {"S": "000000000006"}}, "audit"),
        ChainFault.HEAD_DIFFERS,
    ),
}
"""The table of docs/explanation/audit.md for DynamoDB: what is changed, and what says so."""


@pytest.mark.parametrize("change", CHANGES)
async def test_a_change_of_anything_that_people_read_does_not_verify(place: DynamoDbPlace, change: str) -> None:
    model, store = await in_use(place), place.open(page_size=2)
    before = await registry_on(store).verify(model)
    assert (before.ok, before.notes) == (True, ())
    tamper, fault = CHANGES[change]
    tamper(Tables(place.clients(store).commits, place.settings.table_prefix, model))
    found = {finding.fault for finding in (await registry_on(place.open()).verify(model)).findings}
    assert fault in found


async def test_a_yank_that_is_removed_without_a_record_is_found_and_restored(place: DynamoDbPlace) -> None:
    model, store = await in_use(place), place.open()
    await registry_on(store).set_yanked(model, "3.0.0", "it leaks", audit_entry())
    assert (await registry_on(store).verify(model)).ok
    Tables(place.clients(store).commits, place.settings.table_prefix, model).change(V3, yanked="")
    found = (await registry_on(store).verify(model)).findings
    assert [finding.fault for finding in found] == [ChainFault.VERSION_DIFFERS]
    plan = await plan_restoration(store, model, None)
    await store.restore(model, plan.restoration)
    with pytest.raises(RefusedError, match="it leaks"):
        await registry_on(store).promote(model, "3.0.0", audit_entry())


@pytest.mark.parametrize("consistent", [False, True])
async def test_a_forged_version_is_not_shown_and_never_serves(place: DynamoDbPlace, *, consistent: bool) -> None:
    model, store = await in_use(place), place.open()
    _forged_spec(Tables(place.clients(store).commits, place.settings.table_prefix, model), V3, consistent=consistent)
    if consistent:
        assert (await registry_on(store).get(model, "3.0.0")).digest == FORGED, "only the chain can tell"
        return
    with pytest.raises(RefusedError, match="was changed in the table"):
        await registry_on(store).get(model, "3.0.0")
    with pytest.raises(RefusedError, match="was changed in the table"):
        await registry_on(store).promote(model, "3.0.0", audit_entry())


async def test_a_model_whose_head_was_removed_is_among_the_chains(place: DynamoDbPlace) -> None:
    kept, gone = await in_use(place), await in_use(place)
    store = place.open(page_size=2)
    Tables(place.clients(store).commits, place.settings.table_prefix, gone).delete("HEAD")
    assert {model async for model in store.list_chains()} == {kept, gone}
    assert {model async for model, _ in store.list_models()} == {kept}


_RESTORED = [name for name, (_, fault) in CHANGES.items() if fault is not ChainFault.VERSION_UNRECORDED]
_LEFT = {"an item of no kind", "a version's further data", "a record is added at the end"}
"""A restoration removes nothing, and rewrites no record."""


@pytest.mark.parametrize("change", sorted({name for name in _RESTORED if "a record" not in name} - _LEFT))
async def test_what_follows_from_the_records_is_restored(place: DynamoDbPlace, change: str) -> None:
    model, store = await in_use(place), place.open()
    head = await store.read_head(model)
    CHANGES[change][0](Tables(place.clients(store).commits, place.settings.table_prefix, model))
    plan = await plan_restoration(store, model, None)
    assert plan.needed
    entry = audit_entry(AuditEvent.HEAD_RESTORED, details=restored_details(plan))
    assert await restore(registry_on(store), model, plan, entry) == head.audit.sequence + 1
    verified = await registry_on(place.open()).verify(model)
    assert verified.ok, verified.findings
    assert verified.head.production == head.production


async def test_a_restoration_does_not_overtake_a_writer(place: DynamoDbPlace) -> None:
    model, store = await in_use(place), place.open()
    _head_set_back(Tables(place.clients(store).commits, place.settings.table_prefix, model))
    plan = await plan_restoration(store, model, None)
    await store.restore(model, plan.restoration)
    await registry_on(store).record(model, audit_entry())
    with pytest.raises(ConflictError, match="written meanwhile"):
        await store.restore(model, plan.restoration)


def _partition(model: ObjectKey) -> str:
    return KEYS.of_model(model)
