"""Verification detects manual changes of the tables."""

from collections.abc import Callable
from typing import Any

import pytest

from serinus.api.names import ObjectKey
from serinus.engine.audit.chain import ChainFault
from serinus.errors import RefusedError
from support.dynamodb.place import DynamoDbPlace, boto_clients
from support.registry.place import in_use, registry_on

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


def _partition(model: ObjectKey) -> str:
    return f"M#/{model.namespace}/{model.name}"
