"""The writes that put back what the tables have lost: lost records, versions that differ, and the head last."""

from collections.abc import Iterator, Mapping
from typing import Any

from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.ports.registry_store import Restoration
from serinus.registry.dynamodb.items import data_items, head_item, record_item, version_values
from serinus.registry.dynamodb.keys import Item, Keys, number, text
from serinus.registry.dynamodb.names import TableNames

Actions = list[Mapping[str, Any]]


def restoring(restoration: Restoration, keys: Keys, tables: TableNames, model: ObjectKey) -> Iterator[Actions]:
    """Yield the actions of each transaction, in order: the head comes last, so that it never lacks versions."""
    for record in restoration.records:
        put = _put(tables.audit, record_item(keys, model, record))
        yield [{"Put": put | {"ConditionExpression": "attribute_not_exists(pk)"}}]
    for entry, known in restoration.versions:
        item = keys.version(model, entry.version) | version_values(keys, model, entry)
        item |= {"seq": number(known.sequence)}
        if known.yank_changes:
            item |= {"yanks": number(known.yank_changes), "yankSeq": number(known.yank_record)}
        items = [item, *data_items(keys, model, entry)]
        yield [{"Put": _put(tables.registry, one)} for one in items]
    head = _put(tables.registry, head_item(keys, model, restoration.head))
    yield [{"Put": head | _unchanged(restoration.before)}]


def _put(table: str, item: Item) -> dict[str, Any]:
    return {"TableName": table, "Item": item}


def _unchanged(before: Head | None) -> dict[str, Any]:
    """Return the condition that the head is still the one that was read; none where it could not be read."""
    if before is None:
        return {}
    if before.audit.sequence == 0:
        return {"ConditionExpression": "attribute_not_exists(pk)"}
    return {
        "ConditionExpression": "#seq = :seq AND #hash = :hash",
        "ExpressionAttributeNames": {"#seq": "seq", "#hash": "hash"},
        "ExpressionAttributeValues": {":seq": number(before.audit.sequence), ":hash": text(before.audit.hash)},
    }
