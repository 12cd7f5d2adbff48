"""Raw objects to the records of the ports: one pure function for each kind."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import field

from serinus.api.audit_record import OnBehalfOf
from serinus.api.model import ModelSpec
from serinus.api.modelversion import ModelVersionSpec, ModelVersionStatus
from serinus.api.names import (
    APPROVED_BY_ANNOTATION,
    BEHALF_ANNOTATIONS,
    FREEZE_ANNOTATION,
    REASON_ANNOTATION,
    REQUESTED_BY_ANNOTATION,
    ROLLBACK_TO_ANNOTATION,
    ROLLOUT_LABEL,
    RUN_LABEL,
    SPEC_BY_ANNOTATION,
    STAGE_ANNOTATION,
    TEST_ANNOTATION,
    UNSAFE_ROLLBACK_ANNOTATION,
    UNVERIFIED,
    WAIVER_ANNOTATION,
    YANKED_ANNOTATION,
)
from serinus.api.parsing import commands_of, decode
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus, TestResult
from serinus.engine.rollout.observation import Actors, InvalidSpec, TestOutcome
from serinus.engine.versions.catalogue import spec_hash
from serinus.errors import InvalidObjectError
from serinus.kube.raw import Condition, Metadata, Raw, metadata_of, read_whole
from serinus.ports.cluster_state import (
    EndpointsRecord,
    JobRecord,
    Meta,
    ModelRecord,
    ModelVersionRecord,
    NamespaceRecord,
    RolloutRecord,
)

_SERVICE_LABEL: Final = "kubernetes.io/service-name"


def rollout_record(raw: Mapping[str, Any]) -> RolloutRecord:
    """Return a Rollout; a spec or status that cannot be followed is said so in the record.

    Raises:
        InvalidObjectError: its metadata has another form.
    """
    metadata = metadata_of(raw)
    status, problem = _status_of(raw)
    return RolloutRecord(
        meta=metadata.meta,
        generation=metadata.generation,
        created_at=metadata.creation_timestamp,
        spec=_spec_of(raw),
        status=status,
        status_problem=problem,
        commands=commands_of(metadata.annotations),
        rollback_to=metadata.annotations.get(ROLLBACK_TO_ANNOTATION, "").removeprefix("v"),
        actors=actors_of(metadata.annotations),
        deleting=metadata.deletion_timestamp is not None,
    )


def model_version_record(raw: Mapping[str, Any]) -> ModelVersionRecord:
    """Return a ModelVersion; where its spec does not parse, ``problem`` names the field.

    Raises:
        InvalidObjectError: its metadata has another form.
    """
    metadata = metadata_of(raw)
    try:
        spec = decode(ModelVersionSpec, raw.get("spec"), "spec")
    except InvalidObjectError as problem:
        return _unusable(metadata.meta, raw.get("spec"), str(problem))
    notes = metadata.annotations
    return ModelVersionRecord(
        meta=metadata.meta,
        model=spec.model,
        version=spec.version,
        backend=spec.serving.backend_ref if spec.serving is not None else None,
        problem="",
        spec=spec,
        spec_hash=spec_hash(spec),
        created_at=metadata.creation_timestamp,
        generation=metadata.generation,
        labels=tuple(sorted(metadata.labels.items())),
        status=_said_of(raw),
        waiver=notes.get(WAIVER_ANNOTATION, ""),
        unsafe_rollback=notes.get(UNSAFE_ROLLBACK_ANNOTATION, ""),
        yanked=notes.get(YANKED_ANNOTATION, ""),
        actors=actors_of(notes),
    )


def _said_of(raw: Mapping[str, Any]) -> ModelVersionStatus:
    """Return what was said of a ModelVersion; all of it is derived, so what cannot be read is said anew."""
    try:
        return decode(ModelVersionStatus, raw.get("status") or {}, "status")
    except InvalidObjectError:
        return ModelVersionStatus()


def actors_of(annotations: Mapping[str, str]) -> Actors:
    """Return who has acted and for whom, as the annotations say; whether they were stamped is known elsewhere."""
    behalf = {name: annotations.get(key, "") for name, key in BEHALF_ANNOTATIONS.items()}
    given = OnBehalfOf(name=behalf["name"][:512], commit=behalf["commit"][:64], url=behalf["url"][:2048])
    return Actors(
        requested_by=annotations.get(REQUESTED_BY_ANNOTATION) or UNVERIFIED,
        spec_by=annotations.get(SPEC_BY_ANNOTATION) or UNVERIFIED,
        approved_by=annotations.get(APPROVED_BY_ANNOTATION) or UNVERIFIED,
        on_behalf_of=given if any(behalf.values()) else None,
        reason=annotations.get(REASON_ANNOTATION, "")[:4096],
    )


def model_record(raw: Mapping[str, Any]) -> ModelRecord:
    """Return a Model's policy; where it cannot be read, ``problem`` names the field.

    Raises:
        InvalidObjectError: its metadata has another form.
    """
    metadata = metadata_of(raw)
    try:
        policy, problem = decode(ModelSpec, raw.get("spec") or {}, "spec"), ""
    except InvalidObjectError as found:
        policy, problem = ModelSpec(), str(found)
    seen = (raw.get("status") or {}).get("observedGeneration", 0)
    return ModelRecord(
        meta=metadata.meta,
        generation=metadata.generation,
        policy=policy,
        problem=problem,
        observed_generation=seen if isinstance(seen, int) else 0,
        actors=actors_of(metadata.annotations),
    )


def namespace_record(raw: Mapping[str, Any]) -> NamespaceRecord:
    """Return a Namespace; InvalidObjectError where its metadata has another form."""
    metadata = metadata_of(raw)
    return NamespaceRecord(meta=metadata.meta, freeze=metadata.annotations.get(FREEZE_ANNOTATION))


class _EndpointConditions(Raw, frozen=True, kw_only=True):
    ready: bool | None = None


class _Endpoint(Raw, frozen=True, kw_only=True):
    conditions: _EndpointConditions = field(default_factory=_EndpointConditions)


class _EndpointSlice(Raw, frozen=True, kw_only=True):
    metadata: Metadata
    # The API server sends null where a slice is empty.
    endpoints: tuple[_Endpoint, ...] | None = None


def endpoints_record(raw: Mapping[str, Any]) -> EndpointsRecord:
    """Return an EndpointSlice; an endpoint that does not say whether it is ready counts as ready, as its API asks.

    Raises:
        InvalidObjectError: it has another form.
    """
    found = read_whole(_EndpointSlice, raw)
    return EndpointsRecord(
        meta=found.metadata.meta,
        service=found.metadata.labels.get(_SERVICE_LABEL, ""),
        ready=sum(endpoint.conditions.ready is not False for endpoint in found.endpoints or ()),
    )


class _JobStatus(Raw, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()


class _Job(Raw, frozen=True, kw_only=True):
    metadata: Metadata
    status: _JobStatus = field(default_factory=_JobStatus)


_ENDS: Final = {"Complete": TestResult.PASSED, "Failed": TestResult.FAILED}


def job_record(raw: Mapping[str, Any]) -> JobRecord:
    """Return a Job; it has an outcome once a condition says Complete or Failed.

    Raises:
        InvalidObjectError: it has another form, or is no Job of ours.
    """
    found = read_whole(_Job, raw)
    rollout = found.metadata.labels.get(ROLLOUT_LABEL)
    if rollout is None:
        raise InvalidObjectError(f"metadata.labels.{ROLLOUT_LABEL}", "missing: this Job is none of ours")
    ended = (one for one in found.status.conditions if one.status == "True" and one.type in _ENDS)
    outcome = next((_outcome(condition) for condition in ended), None)
    run = found.metadata.labels.get(RUN_LABEL, "")
    return JobRecord(
        meta=found.metadata.meta,
        rollout=rollout,
        owner=next((one.uid for one in found.metadata.owner_references if one.controller), ""),
        run=int(run) if run.isdecimal() else 0,
        stage=found.metadata.annotations.get(STAGE_ANNOTATION, ""),
        test=found.metadata.annotations.get(TEST_ANNOTATION, ""),
        outcome=outcome,
    )


def _outcome(condition: Condition) -> TestOutcome:
    said = ": ".join(part for part in (condition.reason, condition.message) if part)
    return TestOutcome(_ENDS[condition.type], f"Job {condition.type}{f': {said}' if said else ''}")


def _spec_of(raw: Mapping[str, Any]) -> RolloutSpec | InvalidSpec:
    try:
        return decode(RolloutSpec, raw.get("spec"), "spec")
    except InvalidObjectError as problem:
        return InvalidSpec(problem.path, problem.problem)


def _status_of(raw: Mapping[str, Any]) -> tuple[RolloutStatus, str]:
    try:
        return decode(RolloutStatus, raw.get("status") or {}, "status"), ""
    except InvalidObjectError as problem:
        return RolloutStatus(), str(problem)


def _unusable(meta: Meta, spec: object, problem: str) -> ModelVersionRecord:
    said = spec if isinstance(spec, dict) else {}
    model, version = (said.get(name) for name in ("model", "version"))
    return ModelVersionRecord(
        meta=meta,
        model=model if isinstance(model, str) else "",
        version=version.removeprefix("v") if isinstance(version, str) else "",
        backend=None,
        problem=problem,
    )
