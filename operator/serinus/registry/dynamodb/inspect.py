"""What the registry's table shows of a model beside its chain: every attribute is compared with the content beside it.

An attribute is what people and indexes search by, so a changed one hides a version or shows another in its place. Each
item is therefore built anew from its content and compared with the stored one.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from serinus.api.names import ObjectKey
from serinus.engine.audit.contents import StoredContents, StoredVersion
from serinus.engine.versions.catalogue import VersionEntry, spec_hash
from serinus.errors import InvalidObjectError, RefusedError
from serinus.registry.dynamodb.items import data_items, head_item, head_of, stored_entry, version_values
from serinus.registry.dynamodb.keys import HEAD, Item, Keys

_VERSION, _DATA = "V#", "D#"
_KEY: Final = frozenset({"pk", "sk"})
_OF_VERSIONS: Final = frozenset({"yanked", "yanks", "yankSeq", "seq"})
"""Attributes of a version beside its entry: the record's number, and what may still change."""


def contents_of(items: Iterable[Item], keys: Keys, model: ObjectKey) -> StoredContents:
    """Return what all items of a model's partition in the registry's table show."""
    versions: list[StoredVersion] = []
    defects: list[str] = []
    data: dict[str, Item] = {}
    expected: dict[str, Item] = {}
    has_head = False
    for item in items:
        sort = item["sk"]["S"]
        if sort == HEAD:
            has_head = True
            defects += _head_defects(item, keys, model)
        elif sort.startswith(_VERSION):
            stored, entry = _version(item, keys, model)
            versions.append(stored)
            if entry is not None:
                expected |= {one["sk"]["S"]: one for one in data_items(keys, model, entry)}
        elif sort.startswith(_DATA):
            data[sort] = item
        else:
            defects.append(f"item {sort} does not belong into the registry")
    defects += _data_defects(data, expected)
    return StoredContents(versions=tuple(versions), defects=tuple(defects), has_head=has_head)


def _head_defects(item: Item, keys: Keys, model: ObjectKey) -> Iterator[str]:
    try:
        built = head_item(keys, model, head_of(item, model))
    except RefusedError as problem:
        yield str(problem)
        return
    ignored = {"head"}
    if keys.unnamed and not {"cluster", "clusterId"} & item.keys():
        ignored |= {"cluster", "clusterId"}  # nobody has written it since clusters have names
    if item.get("clusterId", {}).get("S") in keys.owners:
        ignored.add("clusterId")
    for name in _differing(item, built, ignored=frozenset(ignored)):
        yield f"the head's attribute {name} differs from its content"


def _version(item: Item, keys: Keys, model: ObjectKey) -> tuple[StoredVersion, VersionEntry | None]:
    sort = item["sk"]["S"]
    try:
        entry = stored_entry(item)
        actual = spec_hash(entry.spec)
        built = version_values(keys, model, entry) | keys.version(model, entry.version)
    except (RefusedError, InvalidObjectError, ValueError) as problem:
        return StoredVersion(version=item.get("version", {}).get("S", sort), defects=(str(problem),)), None
    defects = [
        f"its attribute {name} differs from its content" for name in _differing(item, built, ignored=_OF_VERSIONS)
    ]
    if actual != entry.spec_hash:
        defects.append(f"its spec hashes to {actual}, not to the hash beside it")
    stored = StoredVersion(
        version=entry.version,
        spec_hash=actual,
        labels=dict(entry.labels),
        registered_at=entry.registered_at,
        yanked=entry.yanked,
        defects=tuple(defects),
    )
    return stored, entry


def _data_defects(stored: dict[str, Item], expected: dict[str, Item]) -> Iterator[str]:
    for sort in sorted(stored.keys() | expected.keys()):
        if stored.get(sort) != expected.get(sort):
            yield f"item {sort}, by which versions are found by their data, differs from the version"


def _differing(item: Item, built: Item, ignored: frozenset[str]) -> list[str]:
    names = (item.keys() | built.keys()) - ignored
    return sorted(name for name in names if item.get(name) != built.get(name) or (name in _KEY and name not in item))
