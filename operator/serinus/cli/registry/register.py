"""``serinus registry register``: registers the ModelVersions of a file in a registry without a cluster."""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

import click

from serinus.api.audit_record import AuditEntry, AuditEvent
from serinus.api.conditions import ConditionType
from serinus.api.model import ModelSpec, ProductionVersion, Verification
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import WAIVER_ANNOTATION, WORSE_METRICS_ANNOTATION, ObjectKey, model_version_name
from serinus.api.parsing import decode
from serinus.cli.command import FILE, Params, command
from serinus.cli.context import CliContext
from serinus.cli.importing.plain_json import read_versions
from serinus.cli.manifests import read_policy
from serinus.cli.output import echo
from serinus.cli.registry.write import check_without_cluster, new_entry, reason_options
from serinus.cli.session import (
    RegistryOptions,
    check_model_key,
    name_of,
    open_registry,
    registry_options,
    this_process,
)
from serinus.engine.versions.catalogue import VersionEntry, spec_hash
from serinus.errors import ConfigurationError, InvalidObjectError, RefusedError
from serinus.registry.service import Registry

if TYPE_CHECKING:
    from serinus.engine.versions.admission import Review

OK: Final = 0
_SCHEMA: Final = "SchemaRejected"
_WAIVE: Final = (
    f" To register it anyway, annotate it with {WAIVER_ANNOTATION}: <reason>; the audit trail keeps the reason."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegisterOptions:
    """Options of ``serinus registry register``.

    Attributes:
        file: the ModelVersions.
        policy: a file with the Model; None if the team has no policy.
        id: the ids of the records derive from it and the versions' names, so that a repeated change is made once.
    """

    file: Path
    policy: Path | None
    registry: RegistryOptions
    reason: str
    id: uuid.UUID

    @classmethod
    def from_params(cls, params: Params) -> Self:
        """Return the options that were parsed, with a new id if none was given."""
        return cls(
            file=params["path"] if params["path"] is not None else params["file"],
            policy=params["policy"],
            registry=RegistryOptions.from_params(params),
            reason=params["reason"],
            id=uuid.UUID(params["id"]) if params["id"] is not None else uuid.uuid4(),
        )


@dataclass(frozen=True, slots=True)
class _Submission:
    """A ModelVersion of the file.

    Attributes:
        model: the model of the version.
        name: of the manifest.
        waiver: the reason to accept an incompatible schema; empty if there is none.
        worse_metrics: the reason to accept worse metrics than production's; empty if there is none.
    """

    model: ObjectKey
    name: str
    entry: VersionEntry
    waiver: str
    worse_metrics: str


@command(
    "register",
    RegisterOptions.from_params,
    "register the ModelVersions of a file",
    exclusive=("path", "file"),
    needed=("path", "file"),
)
@click.argument(
    "path",
    type=FILE,
    required=False,
    metavar="[FILE]",
    help="ModelVersions, as for kubectl apply, or a training script's metadata as plain JSON",
)
@click.option("-f", "--file", type=FILE, metavar="FILE", help="the same")
@click.option("--policy", type=FILE, metavar="FILE", help="manifest of the Model, with the team's policy")
@registry_options
@reason_options
async def register(options: RegisterOptions, context: CliContext) -> int:
    """Register the ModelVersions of the file one by one; the first that is not admitted ends the command."""
    check_without_cluster(options.registry)
    manifests = list(read_versions(options.file))
    if not manifests:
        raise ConfigurationError(f"{options.file} contains no ModelVersion")
    submissions = [_submission(raw, options, context) for raw in manifests]
    async with open_registry(options.registry, context) as store:
        registry = Registry(store, context.clock, this_process())
        for submission in submissions:
            await _register(options, context, registry, submission)
    return OK


def _submission(raw: Mapping[str, Any], options: RegisterOptions, context: CliContext) -> _Submission:
    file, metadata = options.file, raw["metadata"]
    spec = decode(ModelVersionSpec, raw.get("spec", {}), f"{file}: spec")
    if metadata.get("name") != (name := model_version_name(spec.model, spec.version)):
        raise InvalidObjectError(f"{file}: metadata.name", f"must be {name}")
    labels, annotations = (_texts(metadata, part, f"{file}: metadata") for part in ("labels", "annotations"))
    registry, namespace = options.registry, metadata.get("namespace") or ""
    if not isinstance(namespace, str):
        raise InvalidObjectError(f"{file}: metadata.namespace", f"must be a string: write {str(namespace)!r} in quotes")
    model = ObjectKey(registry.namespace or namespace or registry.current_namespace(), spec.model)
    check_model_key(model, f"{file}: {spec.model!r}")
    return _Submission(
        model=model,
        name=name,
        entry=VersionEntry(
            spec=spec,
            spec_hash=spec_hash(spec),
            registered_at=context.clock.now(),
            labels=tuple(sorted(labels.items())),
        ),
        waiver=annotations.get(WAIVER_ANNOTATION, ""),
        worse_metrics=annotations.get(WORSE_METRICS_ANNOTATION, ""),
    )


def _texts(metadata: Mapping[str, Any], part: str, path: str) -> dict[str, str]:
    """Return the labels or annotations; InvalidObjectError if they are no mapping of texts."""
    texts = metadata.get(part) or {}
    if not isinstance(texts, dict) or not all(isinstance(text, str) for pair in texts.items() for text in pair):
        raise InvalidObjectError(f"{path}.{part}", "must map names to strings: put numbers and true in quotes")
    return texts


async def _register(options: RegisterOptions, context: CliContext, registry: Registry, submission: _Submission) -> None:
    from serinus.engine.versions.schema_changes import schema_details  # noqa: PLC0415 - only this command needs it

    model, entry = submission.model, submission.entry
    known = await registry.list(model)
    if any(other.version == entry.version and other.spec_hash == entry.spec_hash for other in known):
        echo(f"{name_of(model)}: {entry.version} is already registered with the same spec")
        return
    policy = read_policy(options.policy, model.name) if options.policy is not None else ModelSpec()
    review = _review(submission, known, policy, await registry.production(model))
    details = schema_details(review.compatibility)

    def record_of(event: AuditEvent, reason: str) -> AuditEntry:
        return new_entry(
            options.registry,
            context,
            event,
            id=str(uuid.uuid5(options.id, f"{event.value} {submission.name}")),
            version=entry.version,
            digest=entry.digest,
            spec_hash=entry.spec_hash,
            reason=reason,
            details=details,
        )

    registered = record_of(AuditEvent.VERSION_REGISTERED, options.reason)
    sequence = await registry.register(model, entry, registered)
    echo(f"{name_of(model)}: {entry.version} is registered, record #{sequence} ({registered.id})")
    for note in _notes(review):
        echo(f"{name_of(model)}: {note}", err=True)
    if review.waived:
        waived = record_of(AuditEvent.SCHEMA_WAIVED, submission.waiver)
        sequence = await registry.record(model, waived)
        echo(f"{name_of(model)}: the schema rules are waived for {entry.version}, record #{sequence} ({waived.id})")
    if review.metrics_acknowledged:
        accepted = record_of(AuditEvent.WORSE_METRICS_ACCEPTED, submission.worse_metrics)
        sequence = await registry.record(model, accepted)
        echo(f"{name_of(model)}: worse metrics of {entry.version} are accepted, record #{sequence} ({accepted.id})")


def _notes(review: "Review") -> list[str]:
    """Return what the review says of the number and the metrics."""
    kinds = (ConditionType.SCHEMA_ACCEPTED, ConditionType.METRICS_ACCEPTED)
    return [update.message for update in review.findings if update.kind in kinds]


def _review(
    submission: _Submission,
    known: Sequence[VersionEntry],
    policy: ModelSpec,
    production: ProductionVersion | None,
) -> "Review":
    """Return the review of a version that is admitted; RefusedError if it is not."""
    from serinus.engine.versions.admission import VersionUnderReview, known_version, review  # noqa: PLC0415 - likewise

    entry = submission.entry
    others = [
        known_version(VersionUnderReview(spec=other.spec, spec_hash=other.spec_hash, yanked=other.yanked))
        for other in known
    ]
    reviewed = review(
        VersionUnderReview(
            spec=entry.spec,
            spec_hash=entry.spec_hash,
            waiver=submission.waiver,
            worse_metrics=submission.worse_metrics,
        ),
        others,
        policy,
        production=production.version if production is not None else None,
        verification=Verification.OFF,
    )
    if reviewed.block is not None:
        raise RefusedError(
            f"{name_of(submission.model)} {entry.version} is not registered: {reviewed.block.message}"
            + (_WAIVE if reviewed.block.reason == _SCHEMA else "")
        )
    return reviewed
