"""``serinus registry register``: makes the ModelVersions of a file known, in a registry without a cluster."""

import argparse
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from serinus.api.audit_record import AuditEvent
from serinus.api.model import ModelSpec, Verification
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import MODEL, MODEL_VERSION, WAIVER_ANNOTATION, ObjectKey, model_version_name
from serinus.api.parsing import decode
from serinus.cli.manifests import read_manifests
from serinus.cli.output import echo
from serinus.cli.registry.write import happening_of, without_cluster
from serinus.cli.session import CliContext, current_namespace, name_of, opened, this_process
from serinus.engine.versions.catalogue import VersionEntry, spec_hash
from serinus.errors import ConfigurationError, InvalidObjectError, RefusedError
from serinus.registry.service import Registry

OK: Final = 0
_SCHEMA: Final = "SchemaRejected"
_WAIVE: Final = (
    f" To let it in all the same, annotate it with {WAIVER_ANNOTATION}: <reason>, which the audit trail keeps."
)


async def register(given: argparse.Namespace, outside: CliContext) -> int:
    """Make the ModelVersions of a file known, those whose number keeps its promise."""
    without_cluster(given)
    found = list(read_manifests(given.file, MODEL_VERSION))
    if not found:
        raise ConfigurationError(f"{given.file} holds no ModelVersion")
    entries = [_entry(raw, given.file, outside) for raw in found]
    base = uuid.UUID(given.id) if given.id else uuid.uuid4()
    async with opened(given, outside) as store:
        registry = Registry(store, outside.clock, this_process())
        for raw, entry in zip(found, entries, strict=True):
            namespace = given.namespace or raw["metadata"].get("namespace") or current_namespace(given.registry)
            model = ObjectKey(namespace, entry.spec.model)
            await _register(given, outside, registry, model, entry, _Paper(raw, base))
    return OK


class _Paper:
    """What a manifest says beside its spec, and the ids of what it leads to."""

    def __init__(self, raw: Mapping[str, Any], base: uuid.UUID) -> None:
        self.waiver = str((raw["metadata"].get("annotations") or {}).get(WAIVER_ANNOTATION, ""))
        self.name = str(raw["metadata"].get("name", ""))
        self._base = base

    def id_for(self, event: AuditEvent) -> str:
        return str(uuid.uuid5(self._base, f"{event.value} {self.name}"))


def _entry(raw: Mapping[str, Any], file: Path, outside: CliContext) -> VersionEntry:
    metadata = raw["metadata"]
    spec = decode(ModelVersionSpec, raw.get("spec", {}), f"{file}: spec")
    if metadata.get("name") != (name := model_version_name(spec.model, spec.version)):
        raise InvalidObjectError(f"{file}: metadata.name", f"must be {name}")
    labels = metadata.get("labels") or {}
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise InvalidObjectError(f"{file}: metadata.labels", "must be texts by name")
    return VersionEntry(
        spec=spec,
        spec_hash=spec_hash(spec),
        registered_at=outside.clock.now(),
        labels=tuple(sorted(labels.items())),
    )


async def _register(  # noqa: PLR0913, PLR0917 - a command, its surroundings and one version
    given: argparse.Namespace,
    outside: CliContext,
    registry: Registry,
    model: ObjectKey,
    entry: VersionEntry,
    paper: _Paper,
) -> None:
    from serinus.engine.versions.admission import VersionUnderReview, known_version, review, schema_details  # noqa: PLC0415 - the judge

    known = await registry.list(model)
    if any(one.version == entry.version and one.spec_hash == entry.spec_hash for one in known):
        echo(f"{name_of(model)}: {entry.version} is registered already, with the same spec")
        return
    others = [
        known_version(VersionUnderReview(spec=one.spec, spec_hash=one.spec_hash, yanked=one.yanked)) for one in known
    ]
    serving = await registry.production(model)
    found = review(
        VersionUnderReview(spec=entry.spec, spec_hash=entry.spec_hash, waiver=paper.waiver),
        others,
        _policy(given, model),
        production=serving.version if serving is not None else None,
        verification=Verification.OFF,
    )
    if found.block is not None:
        raise RefusedError(
            f"{name_of(model)} {entry.version} is not registered: {found.block.message}"
            + (_WAIVE if found.block.reason == _SCHEMA else "")
        )
    events = [AuditEvent.VERSION_REGISTERED, *([AuditEvent.SCHEMA_WAIVED] if found.waived else [])]
    for event in events:
        given.id = paper.id_for(event)
        told = happening_of(
            given,
            outside,
            event,
            version=entry.version,
            digest=entry.digest,
            spec_hash=entry.spec_hash,
            reason=paper.waiver if event is AuditEvent.SCHEMA_WAIVED else given.reason,
            details=schema_details(found.compatibility),
        )
        if event is AuditEvent.VERSION_REGISTERED:
            sequence = await registry.register(model, entry, told)
            echo(f"{name_of(model)}: {entry.version} is registered, record #{sequence} ({told.id})")
        else:
            sequence = await registry.record(model, told)
            echo(f"{name_of(model)}: its schema breaks its promise by waiver, record #{sequence} ({told.id})")


def _policy(given: argparse.Namespace, model: ObjectKey) -> ModelSpec:
    if given.policy is None:
        return ModelSpec()
    for found in read_manifests(given.policy, MODEL):
        if found["metadata"].get("name") == model.name:
            return decode(ModelSpec, found.get("spec", {}), "spec")
    raise ConfigurationError(f"{given.policy} holds no Model {model.name}")
