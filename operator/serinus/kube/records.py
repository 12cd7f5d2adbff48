"""Parses raw objects into the records of the ports: one pure function for each kind."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import field

from serinus.api.audit_record import OnBehalfOf
from serinus.api.conditions import Condition as StatusCondition
from serinus.api.model import ModelSpec, ModelStatus, ProductionVersion
from serinus.api.modelversion import ModelVersionSpec, ModelVersionStatus
from serinus.api.names import (
    APPROVED_BY_ANNOTATION,
    BEHALF_ANNOTATIONS,
    FINALIZER,
    FREEZE_ANNOTATION,
    OVERRIDE_ANNOTATION,
    OVERRIDE_BY_ANNOTATION,
    REASON_ANNOTATION,
    REASON_BY_ANNOTATION,
    REQUESTED_BY_ANNOTATION,
    ROLLBACK_TO_ANNOTATION,
    SPEC_BY_ANNOTATION,
    UNSAFE_ROLLBACK_ANNOTATION,
    UNVERIFIED,
    VERSION_AUTHOR_ANNOTATION,
    VERSION_BY_ANNOTATION,
    WAIVER_ANNOTATION,
    WORSE_METRICS_ANNOTATION,
    YANKED_ANNOTATION,
    Command,
    issuer_annotation,
)
from serinus.api.parsing import commands_of, decode
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.api.stored_rollout import guarding_spec, stored_spec
from serinus.api.stored_status import stored_status
from serinus.api.texts import LONGEST_REASON
from serinus.engine.rollout.observation import Actors, InvalidSpec
from serinus.engine.versions.catalogue import spec_hash
from serinus.errors import InvalidObjectError
from serinus.kube.raw import Metadata, Raw, metadata_of, read_whole
from serinus.ports.cluster_state import (
    EndpointsRecord,
    Meta,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    RolloutRecord,
)

_SERVICE_LABEL: Final = "kubernetes.io/service-name"
_LONGEST_NAME: Final = 512
_LONGEST_VERSION: Final = 65
"""One more than a version may have, so that what is cut is no version."""


def rollout_record(raw: Mapping[str, Any]) -> RolloutRecord:
    """Return the record of a Rollout; it contains the problem of a spec or status that does not parse.

    Raises:
        InvalidObjectError: its metadata is malformed.
    """
    metadata = metadata_of(raw)
    status, problem = _status_of(raw)
    spec, merged = _spec_of(raw)
    return RolloutRecord(
        meta=metadata.meta,
        generation=metadata.generation,
        created_at=metadata.creation_timestamp,
        spec=spec,
        merged_conditions=merged,
        status=status,
        status_problem=problem,
        commands=commands_of(metadata.annotations),
        rollback_to=metadata.annotations.get(ROLLBACK_TO_ANNOTATION, "").removeprefix("v")[:_LONGEST_VERSION],
        override=metadata.annotations.get(OVERRIDE_ANNOTATION, "")[:LONGEST_REASON],
        actors=actors_of(metadata.annotations),
        deleting=metadata.deletion_timestamp is not None,
        has_finalizer=FINALIZER in metadata.finalizers,
        model_name="" if isinstance(spec, RolloutSpec) else _model_named_by(raw.get("spec")),
    )


def _model_named_by(spec: object) -> str:
    model = spec.get("model") if isinstance(spec, Mapping) else None
    return model if isinstance(model, str) else ""


def model_version_record(raw: Mapping[str, Any]) -> ModelVersionRecord:
    """Return the record of a ModelVersion; if its spec does not parse, ``problem`` names the field.

    Raises:
        InvalidObjectError: its metadata is malformed.
    """
    metadata = metadata_of(raw)
    try:
        spec = decode(ModelVersionSpec, raw.get("spec"), "spec")
        hashed = spec_hash(spec)
    except InvalidObjectError as problem:
        return _unusable(metadata.meta, raw.get("spec"), str(problem))
    annotations = metadata.annotations
    return ModelVersionRecord(
        meta=metadata.meta,
        model=spec.model,
        version=spec.version,
        backend=spec.serving.backend_ref if spec.serving is not None else None,
        problem="",
        spec=spec,
        spec_hash=hashed,
        created_at=metadata.creation_timestamp,
        generation=metadata.generation,
        labels=tuple(sorted(metadata.labels.items())),
        status=_model_version_status_of(raw),
        waiver=annotations.get(WAIVER_ANNOTATION, "")[:LONGEST_REASON],
        unsafe_rollback=annotations.get(UNSAFE_ROLLBACK_ANNOTATION, "")[:LONGEST_REASON],
        worse_metrics=annotations.get(WORSE_METRICS_ANNOTATION, "")[:LONGEST_REASON],
        yanked=annotations.get(YANKED_ANNOTATION, "")[:LONGEST_REASON],
        actors=actors_of(annotations),
    )


def _model_version_status_of(raw: Mapping[str, Any]) -> ModelVersionStatus:
    """Return the status of a ModelVersion; an unreadable one counts as empty, as all of it is derived."""
    try:
        return decode(ModelVersionStatus, raw.get("status") or {}, "status")
    except InvalidObjectError:
        return ModelVersionStatus()


_ISSUERS: Final = {
    issued: issuer_annotation(issued)
    for issued in (
        *(command.annotation for command in Command if command is not Command.PROMOTE),
        *(WAIVER_ANNOTATION, UNSAFE_ROLLBACK_ANNOTATION, WORSE_METRICS_ANNOTATION, YANKED_ANNOTATION),
    )
}
"""What is stamped with who wrote it, and by which annotation; an approval is by ``approved-by``."""


def actors_of(annotations: Mapping[str, str]) -> Actors:
    """Return the actors that the annotations name; does not check whether the annotations were stamped."""
    behalf = {name: annotations.get(key, "") for name, key in BEHALF_ANNOTATIONS.items()}
    on_behalf_of = OnBehalfOf(
        name=behalf["name"][:_LONGEST_NAME], commit=behalf["commit"][:64], url=behalf["url"][:2048]
    )

    def person(annotation: str) -> str:
        return annotations.get(annotation, "")[:_LONGEST_NAME] or UNVERIFIED

    return Actors(
        requested_by=person(REQUESTED_BY_ANNOTATION),
        spec_by=person(SPEC_BY_ANNOTATION),
        # A Rollout that nobody has written since the chart was upgraded has no version-by yet.
        version_by=person(VERSION_BY_ANNOTATION if annotations.get(VERSION_BY_ANNOTATION) else SPEC_BY_ANNOTATION),
        version_author=_version_author(annotations)[:_LONGEST_NAME],
        approved_by=person(APPROVED_BY_ANNOTATION),
        on_behalf_of=on_behalf_of if any(behalf.values()) else None,
        reason=annotations.get(REASON_ANNOTATION, "")[:LONGEST_REASON],
        reason_by=annotations.get(REASON_BY_ANNOTATION, "")[:_LONGEST_NAME],
        override_by=person(OVERRIDE_BY_ANNOTATION),
        issuers=tuple(
            (issued, annotations[stamp][:_LONGEST_NAME]) for issued, stamp in _ISSUERS.items() if annotations.get(stamp)
        ),
    )


def _version_author(annotations: Mapping[str, str]) -> str:
    """Return for whom the version was set; where no policy has stamped who set it, what stands there now."""
    stamped = VERSION_BY_ANNOTATION in annotations
    return annotations.get(VERSION_AUTHOR_ANNOTATION if stamped else BEHALF_ANNOTATIONS["name"], "")


def model_record(raw: Mapping[str, Any]) -> ModelRecord:
    """Return the record of a Model; if its policy does not parse, ``problem`` names the field.

    Raises:
        InvalidObjectError: its metadata is malformed.
    """
    metadata = metadata_of(raw)
    try:
        policy, problem = decode(ModelSpec, raw.get("spec") or {}, "spec"), ""
    except InvalidObjectError as error:
        policy, problem = ModelSpec(), str(error)
    stored = raw.get("status")
    status: Mapping[str, Any] = stored if isinstance(stored, Mapping) else {}
    observed = status.get("observedGeneration", 0)
    return ModelRecord(
        meta=metadata.meta,
        generation=metadata.generation,
        policy=policy,
        problem=problem,
        observed_generation=observed if isinstance(observed, int) else 0,
        actors=actors_of(metadata.annotations),
        served=_served(status),
        recorded=_last_record(status),
        conditions=_conditions_of_model(status),
        production=_production(status),
    )


def _last_record(status: Mapping[str, Any]) -> int:
    audit = status.get("audit")
    sequence = audit.get("sequence") if isinstance(audit, Mapping) else None
    return sequence if isinstance(sequence, int) else 0


def _production(status: Mapping[str, Any]) -> ProductionVersion | None:
    """Return the production version that the head shows; what is malformed is shown nowhere else."""
    try:
        return decode(ProductionVersion, status["production"], "status.production")
    except (KeyError, InvalidObjectError):
        return None


def _conditions_of_model(status: Mapping[str, Any]) -> tuple[StatusCondition, ...]:
    """Return the conditions of a Model; where its status cannot be read they are written anew, as all are derived."""
    try:
        return decode(ModelStatus, status, "status").conditions
    except InvalidObjectError:
        return ()


def _served(status: Mapping[str, Any]) -> frozenset[str]:
    """Return the versions that the head has as production or as good before it; what is malformed counts for nothing.

    A wrong entry can only add a version that the other rules for a rollback target must still admit.
    """
    production, good = status.get("production"), status.get("good")
    entries = [production, *(good if isinstance(good, list) else [])]
    versions = [entry.get("version") if isinstance(entry, Mapping) else entry for entry in entries]
    return frozenset(version for version in versions if isinstance(version, str) and version)


def namespace_record(raw: Mapping[str, Any]) -> NamespaceRecord:
    """Return the record of a Namespace; InvalidObjectError if its metadata is malformed."""
    metadata = metadata_of(raw)
    return NamespaceRecord(
        meta=metadata.meta,
        freeze=metadata.annotations.get(FREEZE_ANNOTATION),
        terminating=metadata.deletion_timestamp is not None,
    )


class _EndpointConditions(Raw, frozen=True, kw_only=True):
    ready: bool | None = None


class _Endpoint(Raw, frozen=True, kw_only=True):
    conditions: _EndpointConditions = field(default_factory=_EndpointConditions)


class _EndpointSlice(Raw, frozen=True, kw_only=True):
    metadata: Metadata
    # The API server sends null where a slice is empty.
    endpoints: tuple[_Endpoint, ...] | None = None


def endpoints_record(raw: Mapping[str, Any]) -> EndpointsRecord:
    """Return the record of an EndpointSlice; an endpoint without ``ready`` counts as ready, as its API specifies.

    Raises:
        InvalidObjectError: it is malformed.
    """
    endpoint_slice = read_whole(_EndpointSlice, raw)
    return EndpointsRecord(
        meta=endpoint_slice.metadata.meta,
        service=endpoint_slice.metadata.labels.get(_SERVICE_LABEL, ""),
        ready=sum(endpoint.conditions.ready is not False for endpoint in endpoint_slice.endpoints or ()),
    )


def _spec_of(raw: Mapping[str, Any]) -> tuple[RolloutSpec | InvalidSpec, str]:
    """Return the spec, and which conditions of it were merged; of one that cannot be followed, what can be guarded."""
    try:
        return stored_spec(raw.get("spec"))
    except InvalidObjectError as problem:
        return InvalidSpec(problem.path, problem.problem, guarding_spec(raw.get("spec"))), ""


def _status_of(raw: Mapping[str, Any]) -> tuple[RolloutStatus, str]:
    try:
        return stored_status(raw.get("status")), ""
    except InvalidObjectError as problem:
        return RolloutStatus(), str(problem)


def _unusable(meta: Meta, spec: object, problem: str) -> ModelVersionRecord:
    fields = spec if isinstance(spec, dict) else {}
    model, version = (fields.get(name) for name in ("model", "version"))
    return ModelVersionRecord(
        meta=meta,
        model=model if isinstance(model, str) else "",
        version=version.removeprefix("v") if isinstance(version, str) else "",
        backend=None,
        problem=problem,
    )
