"""What the registry's values look like as objects of the Kubernetes API, and back; nothing here asks anything."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import msgspec
from msgspec import structs

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import Head, ModelStatus
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import (
    AUDIT_RECORD,
    MODEL,
    MODEL_LABEL,
    MODEL_VERSION,
    RECORD_ID_LABEL,
    SEQUENCE_DIGITS,
    YANKED_ANNOTATION,
    Kind,
    ObjectKey,
    audit_record_name,
    model_version_name,
)
from serinus.api.parsing import decode, encode
from serinus.engine.audit.chain import StoredRecord
from serinus.engine.audit.head import apply
from serinus.engine.versions.catalogue import VersionEntry, spec_hash
from serinus.errors import InvalidObjectError, RefusedError
from serinus.kube.raw import metadata_of

Raw = Mapping[str, Any]
Patch = list[dict[str, Any]]
T = TypeVar("T", bound=msgspec.Struct)

LARGEST: Final = 1024 * 1024
"""Bytes of one object. etcd takes requests of 1.5 MiB (etcd.io, system limits); the rest is for managedFields."""

_NO_REASON: Final = "no reason was given"


@dataclass(frozen=True, slots=True)
class SeenModel:
    """A Model's status as it was read: the head, and what else must be kept when it is written."""

    resource_version: str
    status: ModelStatus

    @property
    def head(self) -> Head:
        """The head alone."""
        return Head(**{name: getattr(self.status, name) for name in Head.__struct_fields__})


def model_manifest(model: ObjectKey) -> dict[str, Any]:
    """Return a Model without any policy: that is its team's to write."""
    return _object(MODEL, model, {})


def version_manifest(model: ObjectKey, entry: VersionEntry) -> dict[str, Any]:
    """Return the ModelVersion of an entry; RefusedError where it could not be stored."""
    name = model_version_name(model.name, entry.version)
    raw = _object(MODEL_VERSION, ObjectKey(model.namespace, name), encode(entry.spec), dict(entry.labels))
    return _storable(raw, ModelVersionSpec, "leave out what nobody compares, such as long lists of categories")


def record_manifest(model: ObjectKey, record: AuditRecordSpec) -> dict[str, Any]:
    """Return the AuditRecord of a record; RefusedError where it could not be stored."""
    name = audit_record_name(model.name, record.sequence)
    labels = {MODEL_LABEL: model.name, RECORD_ID_LABEL: record.id}
    raw = _object(AUDIT_RECORD, ObjectKey(model.namespace, name), encode(record), labels)
    return _storable(raw, AuditRecordSpec, "put the details where the message can point at, and record it again")


def _object(kind: Kind, key: ObjectKey, spec: Raw, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": key.name, "namespace": key.namespace}
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": dict(spec)}


def _storable(raw: dict[str, Any], spec: type[msgspec.Struct], advice: str) -> dict[str, Any]:
    """Refuse here what the API server or etcd would refuse: after another object's write that would be too late."""
    what = f"{raw['kind']} {raw['metadata']['namespace']}/{raw['metadata']['name']}"
    size = len(msgspec.json.encode(raw))
    if size > LARGEST:
        raise RefusedError(f"{what}: {size} bytes are too large for the Kubernetes API (at most {LARGEST}): {advice}")
    readable(spec, raw["spec"], "spec", what)
    return raw


def readable(kind: type[T], raw: object, path: str, what: str) -> T:
    """Return the typed value; RefusedError that names object and field where it has another form."""
    try:
        return decode(kind, raw, path)
    except InvalidObjectError as problem:
        raise RefusedError(f"{what}: {problem}") from problem


def seen_model(model: ObjectKey, raw: Raw) -> SeenModel:
    """Return what a Model says; RefusedError where its status has another form."""
    status = readable(ModelStatus, raw.get("status") or {}, "status", f"Model {model}")
    return SeenModel(str(raw["metadata"]["resourceVersion"]), status)


def version_entry(raw: Raw) -> VersionEntry:
    """Return what a ModelVersion says; InvalidObjectError where it has another form."""
    spec, metadata = decode(ModelVersionSpec, raw.get("spec"), "spec"), metadata_of(raw)
    yanked = metadata.annotations.get(YANKED_ANNOTATION)
    return VersionEntry(
        spec=spec,
        spec_hash=spec_hash(spec),
        registered_at=metadata.creation_timestamp,
        labels=tuple(sorted(metadata.labels.items())),
        # Whoever sets the annotation means it, also without a word.
        yanked="" if yanked is None else yanked or _NO_REASON,
    )


def stored_record(raw: Raw) -> StoredRecord:
    """Return an AuditRecord as it is stored; nothing of its content is believed."""
    digits = str(raw["metadata"]["name"])[-SEQUENCE_DIGITS:]
    if not digits.isdecimal():
        raise RefusedError(f"AuditRecord {raw['metadata']['name']}: its name does not end in its number")
    content = raw.get("spec")
    return StoredRecord(int(digits), content if isinstance(content, Mapping) else {})


def folded(model: ObjectKey, head: Head, record: StoredRecord) -> Head:
    """Return the head after the record that follows it; RefusedError where it is not the next link of the chain."""
    what = f"AuditRecord {model.namespace}/{audit_record_name(model.name, record.sequence)}"
    if record.sequence != head.audit.sequence + 1:
        raise RefusedError(
            f"{what}: the records {head.audit.sequence + 1} to {record.sequence - 1} are not there, so the head of "
            f"{model} is unknown: restore them from the archive, then run serinus audit verify {model.name}"
        )
    spec = readable(AuditRecordSpec, record.content, "spec", what)
    if (spec.sequence, spec.previous_hash) != (record.sequence, head.audit.hash):
        raise RefusedError(
            f"{what}: it does not follow record {head.audit.sequence}: run serinus audit verify {model.name}, and "
            "restore what was changed from the archive"
        )
    return apply(head, spec)


def step_patch(before: Head, after: Head) -> Patch:
    """Return the JSON Patch that takes a status from one head to the next, and applies to no other head.

    The chain's end stands for the whole head, which is its fold: a test of it needs no resourceVersion, so no read,
    and a condition written meanwhile is no conflict.
    """
    old, new = encode(before), encode(after)
    tests = [
        {"op": "test", "path": f"/status/audit/{name}", "value": old["audit"][name]} for name in ("sequence", "hash")
    ]
    changed = [
        {"op": "add", "path": f"/status/{name}", "value": new[name]} for name in new if new[name] != old.get(name)
    ]
    return [*tests, *changed, *({"op": "remove", "path": f"/status/{name}"} for name in old.keys() - new.keys())]


def status_patch(seen: SeenModel, head: Head) -> Patch:
    """Return the JSON Patch that gives a Model this head if it is still as it was seen; conditions stay."""
    fields = {name: getattr(head, name) for name in Head.__struct_fields__}
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": seen.resource_version},
        {"op": "add", "path": "/status", "value": encode(structs.replace(seen.status, **fields))},
    ]
