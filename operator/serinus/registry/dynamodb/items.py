"""The registry's items in DynamoDB: their attributes, and the conversion from and to typed values.

Table ``<prefix>-registry`` contains for each model its ``HEAD``, its versions ``V#…`` and their further data digests
``D#…``, and for each record an item ``I#…`` that maps the record's id to its number, by which a repeated commit is
detected. Items ``N#…`` hold the version numbers of all clusters, and ``CLUSTERS`` which clusters there are. Table
``<prefix>-audit`` contains the chain. Numbers are sent as text, so that none becomes a float.
"""

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

import msgspec
import rfc8785

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import Head
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import SEQUENCE_DIGITS, ObjectKey
from serinus.api.parsing import decode, encode
from serinus.api.schema import Model
from serinus.engine.audit.chain import StoredRecord
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.semver import sortable
from serinus.engine.versions.catalogue import VersionEntry, spec_hash
from serinus.errors import InvalidObjectError, RefusedError
from serinus.registry.dynamodb.keys import Item, Key, Keys, number, text

T = TypeVar("T", bound=Model)

FLEET_INDEX, ARTIFACT_INDEX, DATA_INDEX = "fleet", "artifact", "data"
MOST_ITEM_BYTES: Final = 400 * 1024
"""AWS, "Quotas in Amazon DynamoDB": names and values of all attributes of an item together."""

LAST_SEQUENCE: Final = 10**SEQUENCE_DIGITS - 1
REMEMBERED: Final = timedelta(days=30)
"""How long a repeated commit is detected by its id; the head keeps the last 64 ids without a limit."""

_DATA: Final = "D#"


# ---- from typed values to items ----------------------------------------------------------------


class _Entry(Model, frozen=True, kw_only=True, omit_defaults=False):
    """A version as stored text; the reason for yanking is a separate attribute, because it may still change."""

    spec: ModelVersionSpec
    spec_hash: str
    registered_at: datetime
    labels: tuple[tuple[str, str], ...] = ()


def head_item(keys: Keys, model: ObjectKey, head: Head) -> Item:
    """Return the item of a head: the whole as text, and the attributes for conditions and for people."""
    serving = head.production
    item = {
        **keys.head(model),
        "seq": number(head.audit.sequence),
        "hash": text(head.audit.hash),
        "gen": number(head.generation),
        "version": text(serving.version if serving is not None else ""),
        "digest": text(serving.digest if serving is not None else ""),
        "managedBy": text(head.managed_by),
        "head": text(_canonical(head)),
        "fleet": text(keys.fleet),
        "fleetModel": text(str(model)),
    }
    if keys.cluster:
        item["cluster"] = text(keys.cluster)
    if keys.identity:
        item["clusterId"] = text(keys.identity)
    return bounded(item, f"the head of {model}")


def version_values(keys: Keys, model: ObjectKey, entry: VersionEntry) -> Key:
    """Return the attributes of a version besides its key; ``artifact`` and ``dataHash`` serve the indexes."""
    kept = _Entry(spec=entry.spec, spec_hash=entry.spec_hash, registered_at=entry.registered_at, labels=entry.labels)
    values: Key = {
        "version": text(entry.version),
        "specHash": text(entry.spec_hash),
        "digest": text(entry.digest),
        "entry": text(_canonical(kept)),
    }
    # An index key must not be empty: a version without a digest is not indexed.
    if entry.digest:
        values["artifact"] = text(entry.digest)
    if entry.data_digests:
        values["dataHash"] = text(min(entry.data_digests))
    if entry.yanked:
        values["yanked"] = text(entry.yanked)
    bounded(keys.version(model, entry.version) | values, f"{model} {entry.version}")
    return values


def data_items(keys: Keys, model: ObjectKey, entry: VersionEntry) -> Iterator[Item]:
    """Yield one item for each further data digest of a version: an index contains an item under one value only."""
    for digest in sorted(entry.data_digests)[1:]:
        sort = f"{_DATA}{sortable(entry.version)}#{digest}"
        yield {"pk": text(keys.of_model(model)), "sk": text(sort), "dataHash": text(digest)}


def record_item(keys: Keys, model: ObjectKey, record: AuditRecordSpec) -> Item:
    """Return the item of a record: its canonical JSON, the only attribute that is read, and others for searches."""
    item = {
        **keys.record(model, record.sequence),
        "content": text(_canonical(record)),
        "event": text(record.event.value),
        "version": text(record.version),
        "at": text(encode(record)["at"]),
        "id": text(record.id),
    }
    return bounded(item, f"record {record.sequence} of {model}")


def record_id_item(keys: Keys, model: ObjectKey, record: AuditRecordSpec) -> Item:
    """Return the item that maps a record's id to its number; DynamoDB removes it when it expires."""
    expires = int((record.recorded_at + REMEMBERED).timestamp())
    return {**keys.record_id(model, record.id), "seq": number(record.sequence), "expires": number(expires)}


def bounded(item: Item, what: str) -> Item:
    """Return the item if it is within DynamoDB's size limit; RefusedError with the remedy where it is not."""
    size = sum(len(name.encode()) + len(value.encode()) for name, typed in item.items() for value in typed.values())
    if size > MOST_ITEM_BYTES:
        raise RefusedError(
            f"{what} is too large: {size:,} bytes, and an item in DynamoDB has at most {MOST_ITEM_BYTES:,}: shorten "
            "its texts, or store them beside the artifact and refer to them"
        )
    return item


def _canonical(value: msgspec.Struct) -> str:
    return rfc8785.dumps(encode(value)).decode()


# ---- from items to typed values ----------------------------------------------------------------


def head_of(item: Item | None, model: ObjectKey) -> Head:
    """Return the head in an item, an empty one without an item; RefusedError where it cannot be decoded."""
    if item is None:
        return Head()
    return _read(Head, item, "head", f"the head of {model}")


def entry_of(item: Item) -> VersionEntry:
    """Return the version in an item; RefusedError where it cannot be decoded, or its spec is not the registered one."""
    entry = stored_entry(item)
    hashes = {spec_hash(entry.spec), entry.spec_hash, item.get("specHash", {}).get("S", "")}
    if len(hashes) > 1:
        raise RefusedError(
            f"{item['pk']['S']} {entry.version} was changed in the table: its spec does not hash to {entry.spec_hash}. "
            "Run serinus audit verify, then serinus audit restore"
        )
    return entry


def stored_entry(item: Item) -> VersionEntry:
    """Return the version in an item as it is stored; RefusedError where it cannot be decoded."""
    kept = _read(_Entry, item, "entry", f"{item['pk']['S']} {item['sk']['S']}")
    yanked = item.get("yanked", {}).get("S", "")
    return VersionEntry(
        spec=kept.spec, spec_hash=kept.spec_hash, registered_at=kept.registered_at, labels=kept.labels, yanked=yanked
    )


def registered_of(item: Item) -> RegisteredVersion:
    """Return what an item says of a version's registration; RefusedError where it cannot be decoded."""
    entry = entry_of(item)
    changes = item.get("yanks", {}).get("N", "1" if entry.yanked else "0")
    return RegisteredVersion(
        version=entry.version,
        sequence=int(item.get("seq", {}).get("N", "0")),
        spec_hash=entry.spec_hash,
        digest=entry.digest,
        labels=dict(entry.labels),
        registered_at=entry.registered_at,
        holds_spec=True,
        yanked=entry.yanked,
        yank_changes=int(changes),
        yank_record=int(item.get("yankSeq", {}).get("N", "0")),
    )


def stored_record(item: Item, before: int) -> StoredRecord:
    """Return a record as stored, even if tampered with, which the verification detects.

    Args:
        item: of the audit table.
        before: the number of the record before it; also the number of an item with an invalid key.
    """
    key = item["sk"]["S"]
    if len(key) != SEQUENCE_DIGITS or not (key.isascii() and key.isdecimal()):
        return StoredRecord(before, {"key": key})
    content = _content(item)
    return StoredRecord(int(key), content, tuple(_side_defects(item, content)))


def _side_defects(item: Item, content: Mapping[str, Any]) -> Iterator[str]:
    """Yield where the attributes that a record is searched by contradict its content."""
    expected = {name: str(content.get(name, "")) for name in ("event", "version", "at", "id")}
    for name in sorted((item.keys() | expected.keys()) - {"pk", "sk", "content"}):
        value = item.get(name, {}).get("S")
        if value != expected.get(name):
            yield f"its attribute {name} is {value!r}, its content says {expected.get(name)!r}"


def _content(item: Item) -> Mapping[str, Any]:
    try:
        content = msgspec.json.decode(item.get("content", {}).get("S", ""))
    except (msgspec.DecodeError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _read(kind: type[T], item: Item, attribute: str, what: str) -> T:
    try:
        return decode(kind, msgspec.json.decode(item.get(attribute, {}).get("S", "")), attribute)
    except (msgspec.DecodeError, InvalidObjectError) as problem:
        raise RefusedError(
            f"{what} cannot be read: {problem}. Somebody changed the item, or a later version of Serinus wrote it: "
            "inspect it in the table, upgrade, or restore the table"
        ) from problem
