"""Conversion of the registry's values to objects of the Kubernetes API and back. Pure."""

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
from serinus.api.texts import LONGEST_REASON
from serinus.engine.audit.chain import StoredRecord
from serinus.engine.audit.contents import StoredVersion
from serinus.engine.audit.head import apply
from serinus.engine.versions.catalogue import VersionEntry, spec_hash
from serinus.errors import InvalidObjectError, RefusedError
from serinus.kube.raw import metadata_of

Raw = Mapping[str, Any]
Patch = list[dict[str, Any]]
T = TypeVar("T", bound=msgspec.Struct)

LARGEST: Final = 1024 * 1024
"""The most bytes of one object. etcd accepts 1.5 MiB (etcd.io, system limits); the rest is for managedFields."""

_NO_REASON: Final = "no reason was given"


@dataclass(frozen=True, slots=True)
class ModelSnapshot:
    """A Model's status as read: the head, and the other fields, which a write must preserve."""

    resource_version: str
    status: ModelStatus

    @property
    def head(self) -> Head:
        """The head without the other fields of the status."""
        return Head(**{name: getattr(self.status, name) for name in Head.__struct_fields__})


def model_manifest(model: ObjectKey) -> dict[str, Any]:
    """Return a Model without a policy, which is left to its team."""
    return _object(MODEL, model, {})


def version_manifest(model: ObjectKey, entry: VersionEntry) -> dict[str, Any]:
    """Return the ModelVersion of an entry; RefusedError where the API server would not accept it."""
    name = model_version_name(model.name, entry.version)
    raw = _object(MODEL_VERSION, ObjectKey(model.namespace, name), encode(entry.spec), dict(entry.labels))
    return _storable(raw, ModelVersionSpec, "omit facts that nothing compares, such as long lists of categories")


def record_manifest(model: ObjectKey, record: AuditRecordSpec) -> dict[str, Any]:
    """Return the AuditRecord of a record; RefusedError where the API server would not accept it."""
    name = audit_record_name(model.name, record.sequence)
    labels = {MODEL_LABEL: model.name, RECORD_ID_LABEL: record.id}
    raw = _object(AUDIT_RECORD, ObjectKey(model.namespace, name), encode(record), labels)
    return _storable(raw, AuditRecordSpec, "store the details elsewhere, refer to them in the message, and retry")


def _object(kind: Kind, key: ObjectKey, spec: Raw, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    metadata: dict[str, Any] = {"name": key.name, "namespace": key.namespace}
    if labels:
        metadata["labels"] = dict(labels)
    return {"apiVersion": kind.api_version, "kind": kind.kind, "metadata": metadata, "spec": dict(spec)}


def _storable(raw: dict[str, Any], spec: type[msgspec.Struct], advice: str) -> dict[str, Any]:
    """Refuse what the API server or etcd would refuse: after the write of another object it would be too late."""
    what = f"{raw['kind']} {raw['metadata']['namespace']}/{raw['metadata']['name']}"
    size = len(msgspec.json.encode(raw))
    if size > LARGEST:
        raise RefusedError(f"{what}: too large for the Kubernetes API, {size} bytes of at most {LARGEST}: {advice}")
    readable(spec, raw["spec"], "spec", what)
    return raw


def well_formed(raw: object, where: str) -> dict[str, Any]:
    """Return an object if it has the metadata that every object of ours has; RefusedError if not.

    The API server stores no other, but a proxy before it may answer anything.
    """
    metadata = raw.get("metadata") if isinstance(raw, dict) else None
    if isinstance(raw, dict) and isinstance(metadata, dict):
        labels = metadata.get("labels") or {}
        texts = [metadata.get(part) for part in ("name", "namespace", "resourceVersion")]
        if isinstance(labels, dict) and all(isinstance(text, str) for text in (*texts, *labels.values())):
            return raw
    raise RefusedError(f"{where}: the answer is not that of a Kubernetes API server: is something else at its address?")


def readable(kind: type[T], raw: object, path: str, what: str) -> T:
    """Return the typed value; RefusedError that names the object and the invalid field."""
    try:
        return decode(kind, raw, path)
    except InvalidObjectError as problem:
        raise RefusedError(f"{what}: {problem}") from problem


def model_snapshot(model: ObjectKey, raw: Raw) -> ModelSnapshot:
    """Return a Model's status; RefusedError where it is invalid."""
    status = readable(ModelStatus, raw.get("status") or {}, "status", f"Model {model}")
    return ModelSnapshot(str(raw["metadata"]["resourceVersion"]), status)


def version_entry(raw: Raw) -> VersionEntry:
    """Return the version in a ModelVersion; InvalidObjectError where the object is invalid."""
    spec, metadata = decode(ModelVersionSpec, raw.get("spec"), "spec"), metadata_of(raw)
    yanked = metadata.annotations.get(YANKED_ANNOTATION)
    return VersionEntry(
        spec=spec,
        spec_hash=spec_hash(spec),
        registered_at=metadata.creation_timestamp,
        labels=tuple(sorted(metadata.labels.items())),
        # The annotation yanks the version also without a reason.
        yanked="" if yanked is None else yanked[:LONGEST_REASON] or _NO_REASON,
    )


def stored_version(model: ObjectKey, raw: Raw) -> StoredVersion | None:
    """Return what a ModelVersion shows of a model's version, even if it is invalid; None for another model's."""
    name, spec = str(raw["metadata"]["name"]), raw.get("spec")
    owner = spec.get("model") if isinstance(spec, Mapping) else None
    try:
        entry = version_entry(raw)
    except InvalidObjectError as problem:
        named = name.removeprefix(f"{model.name}-v")
        own = owner == model.name or (owner is None and named != name)
        return StoredVersion(version=named, defects=(f"ModelVersion {name}: {problem}",)) if own else None
    if entry.spec.model != model.name:
        return None
    return StoredVersion(
        version=entry.version,
        spec_hash=entry.spec_hash,
        labels=dict(entry.labels),
        registered_at=entry.registered_at,
        yanked=entry.yanked,
    )


def stored_record(raw: Raw) -> StoredRecord:
    """Return an AuditRecord as stored, without validating its content."""
    digits = str(raw["metadata"]["name"])[-SEQUENCE_DIGITS:]
    if not digits.isdecimal():
        raise RefusedError(f"AuditRecord {raw['metadata']['name']}: its name does not end with its number")
    content = raw.get("spec")
    content = content if isinstance(content, Mapping) else {}
    label = (raw["metadata"].get("labels") or {}).get(RECORD_ID_LABEL)
    if label == content.get("id"):
        return StoredRecord(int(digits), content)
    defect = f"its label {RECORD_ID_LABEL} is {label!r}, its content says {content.get('id')!r}"
    return StoredRecord(int(digits), content, (defect,))


def folded(model: ObjectKey, head: Head, record: StoredRecord) -> Head:
    """Return the head after the next record; RefusedError where the record is not the next link of the chain."""
    what = f"AuditRecord {model.namespace}/{audit_record_name(model.name, record.sequence)}"
    if record.sequence != head.audit.sequence + 1:
        raise RefusedError(
            f"{what}: the records {head.audit.sequence + 1} to {record.sequence - 1} are missing, so the head of "
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
    """Return the JSON Patch from one head to the next, which fails on any other head.

    It tests the chain's end, which determines the whole head, its fold. That needs no resourceVersion and hence no
    read, and a condition that is written concurrently causes no conflict.
    """
    old, new = encode(before), encode(after)
    tests = [
        {"op": "test", "path": f"/status/audit/{name}", "value": old["audit"][name]} for name in ("sequence", "hash")
    ]
    changed = [
        {"op": "add", "path": f"/status/{name}", "value": new[name]} for name in new if new[name] != old.get(name)
    ]
    return [*tests, *changed, *({"op": "remove", "path": f"/status/{name}"} for name in old.keys() - new.keys())]


def status_patch(snapshot: ModelSnapshot, head: Head) -> Patch:
    """Return the JSON Patch that sets the head of an unchanged Model and preserves its conditions."""
    fields = {name: getattr(head, name) for name in Head.__struct_fields__}
    return [
        {"op": "test", "path": "/metadata/resourceVersion", "value": snapshot.resource_version},
        {"op": "add", "path": "/status", "value": encode(structs.replace(snapshot.status, **fields))},
    ]
