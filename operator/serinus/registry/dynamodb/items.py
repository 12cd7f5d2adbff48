"""The registry's items in DynamoDB: their keys, their attributes, and the way back to typed values.

Table ``<prefix>-registry`` holds for each model its ``HEAD``, its versions ``V#…`` and their further data digests
``D#…``, and for each recorded entry an ``I#…`` by which a repeated commit is found. Table ``<prefix>-audit`` holds
the chain. Numbers go over the wire as text, so that none is ever a float.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
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
from serinus.engine.semver import sortable
from serinus.engine.versions.catalogue import VersionEntry
from serinus.errors import InvalidObjectError, RefusedError

T = TypeVar("T", bound=Model)

Item = Mapping[str, Mapping[str, str]]
"""An item as it goes over the wire: each attribute with its type, ``S`` or ``N``."""

Key = dict[str, Mapping[str, str]]

HEAD: Final = "HEAD"
FLEET_INDEX, ARTIFACT_INDEX, DATA_INDEX = "fleet", "artifact", "data"
MOST_ITEM_BYTES: Final = 400 * 1024
"""AWS, "Quotas in Amazon DynamoDB": names and values of all attributes of an item together."""

LAST_SEQUENCE: Final = 10**SEQUENCE_DIGITS - 1
REMEMBERED: Final = timedelta(days=30)
"""How long a repeated commit is found by its id; the head knows the last 64 for ever."""

_VERSION, _DATA, _SEPARATOR = "V#", "D#", "/"


def text(value: str) -> dict[str, str]:
    """Return a text as an attribute."""
    return {"S": value}


def number(value: int) -> dict[str, str]:
    """Return a whole number as an attribute."""
    return {"N": str(value)}


# ---- keys -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of all models of one scope, such as a cluster's name; it may be empty, never hold a slash."""

    scope: str

    def of_model(self, model: ObjectKey) -> str:
        """Return the partition of a model, in both tables."""
        return self.prefix + f"{model.namespace}{_SEPARATOR}{model.name}"

    @property
    def prefix(self) -> str:
        """How the partitions of all models of this scope begin."""
        return f"M#{self.scope}{_SEPARATOR}"

    @property
    def fleet(self) -> str:
        """Under which all models of this scope stand in the fleet's index."""
        return f"FLEET#{self.scope}"

    def model_of(self, item: Item) -> ObjectKey:
        """Return the model that an item is of."""
        namespace, _, name = item["pk"]["S"].removeprefix(self.prefix).partition(_SEPARATOR)
        return ObjectKey(namespace, name)

    def head(self, model: ObjectKey) -> Key:
        """Return the key of a model's head."""
        return {"pk": text(self.of_model(model)), "sk": text(HEAD)}

    def version(self, model: ObjectKey, version: str) -> Key:
        """Return the key of one version; ValueError where it is no SemVer."""
        return {"pk": text(self.of_model(model)), "sk": text(_VERSION + sortable(version))}

    def version_at(self, item: Item) -> Key:
        """Return the key of the version that an entry of an index points at."""
        return {"pk": text(item["pk"]["S"]), "sk": text(_VERSION + item["sk"]["S"].split("#")[1])}

    def record(self, model: ObjectKey, sequence: int) -> Key:
        """Return the key of a record in the audit table."""
        return {"pk": text(self.of_model(model)), "sk": text(sequence_text(sequence))}

    def existing_sequence(self, model: ObjectKey, record_id: str) -> Key:
        """Return the key of the note that an entry is recorded. The same id in another model is another one."""
        return {"pk": text(f"I#{self.of_model(model)}#{record_id}"), "sk": text("-")}


def versions_begin(major: int | None) -> str:
    """Return how the sort keys of all versions begin, or of those of one major line."""
    return _VERSION if major is None else f"{_VERSION}{sortable(f'{major}.0.0').partition('.')[0]}."


def sequence_text(sequence: int) -> str:
    """Return the sort key of a record: its byte order is the chain's."""
    return f"{sequence:0{SEQUENCE_DIGITS}d}"


# ---- from typed values to items ----------------------------------------------------------------


class _Entry(Model, frozen=True, kw_only=True, omit_defaults=False):
    """A version as it is kept as text; why it is yanked stands beside it, for that alone may still change."""

    spec: ModelVersionSpec
    spec_hash: str
    registered_at: datetime
    labels: tuple[tuple[str, str], ...] = ()


def head_item(keys: Keys, model: ObjectKey, head: Head) -> Item:
    """Return the item of a head: what conditions and people read beside the whole as text."""
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
    return bounded(item, f"the head of {model}")


def version_values(keys: Keys, model: ObjectKey, entry: VersionEntry) -> Key:
    """Return the attributes of a version besides its key; ``artifact`` and ``dataHash`` are there for the indexes."""
    kept = _Entry(spec=entry.spec, spec_hash=entry.spec_hash, registered_at=entry.registered_at, labels=entry.labels)
    values: Key = {
        "version": text(entry.version),
        "specHash": text(entry.spec_hash),
        "digest": text(entry.digest),
        "entry": text(_canonical(kept)),
    }
    # An index key must not be empty: what has no digest is in no index.
    if entry.digest:
        values["artifact"] = text(entry.digest)
    if entry.data_digests:
        values["dataHash"] = text(min(entry.data_digests))
    if entry.yanked:
        values["yanked"] = text(entry.yanked)
    bounded(keys.version(model, entry.version) | values, f"{model} {entry.version}")
    return values


def data_items(keys: Keys, model: ObjectKey, entry: VersionEntry) -> Iterator[Item]:
    """Yield one item for each further data digest of a version: an item stands in an index under one value only."""
    for digest in sorted(entry.data_digests)[1:]:
        sort = f"{_DATA}{sortable(entry.version)}#{digest}"
        yield {"pk": text(keys.of_model(model)), "sk": text(sort), "dataHash": text(digest)}


def record_item(keys: Keys, model: ObjectKey, record: AuditRecordSpec) -> Item:
    """Return the item of a record: its canonical JSON, which alone is believed, and what people search by."""
    item = {
        **keys.record(model, record.sequence),
        "content": text(_canonical(record)),
        "event": text(record.event.value),
        "version": text(record.version),
        "at": text(encode(record)["at"]),
        "id": text(record.id),
    }
    return bounded(item, f"record {record.sequence} of {model}")


def told_item(keys: Keys, model: ObjectKey, record: AuditRecordSpec) -> Item:
    """Return the note that an entry is recorded; it goes by itself."""
    expires = int((record.recorded_at + REMEMBERED).timestamp())
    return {**keys.existing_sequence(model, record.id), "seq": number(record.sequence), "expires": number(expires)}


def bounded(item: Item, what: str) -> Item:
    """Return the item if DynamoDB can hold it; RefusedError that says what to do where it cannot."""
    size = sum(len(name.encode()) + len(value.encode()) for name, typed in item.items() for value in typed.values())
    if size > MOST_ITEM_BYTES:
        raise RefusedError(
            f"{what} is too large: {size:,} bytes, and DynamoDB holds {MOST_ITEM_BYTES:,} in an item: shorten its "
            "texts, or keep them beside the artifact and name where they are"
        )
    return item


def _canonical(value: msgspec.Struct) -> str:
    return rfc8785.dumps(encode(value)).decode()


# ---- from items to typed values ----------------------------------------------------------------


def head_of(item: Item | None, model: ObjectKey) -> Head:
    """Return the head that an item holds; an empty one where there is no item; RefusedError where it holds none."""
    if item is None:
        return Head()
    return _read(Head, item, "head", f"the head of {model}")


def entry_of(item: Item) -> VersionEntry:
    """Return the version that an item holds; RefusedError where it holds none."""
    kept = _read(_Entry, item, "entry", f"{item['pk']['S']} {item['sk']['S']}")
    yanked = item.get("yanked", {}).get("S", "")
    return VersionEntry(
        spec=kept.spec, spec_hash=kept.spec_hash, registered_at=kept.registered_at, labels=kept.labels, yanked=yanked
    )


def stored_record(item: Item, before: int) -> StoredRecord:
    """Return a record as it is stored, whatever was done to it: to find that out is verification's work.

    Args:
        item: of the audit table.
        before: the number of the record before it, whose place an item with a key that is none is taken to claim.
    """
    key = item["sk"]["S"]
    if len(key) != SEQUENCE_DIGITS or not (key.isascii() and key.isdecimal()):
        return StoredRecord(before, {"key": key})
    return StoredRecord(int(key), _content(item))


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
            "look at it in the table, upgrade, or restore the table"
        ) from problem
