"""Raw objects to the records of the ports: one pure function for each kind."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import field

from serinus.api.modelversion import ModelVersionSpec
from serinus.api.names import (
    FREEZE_ANNOTATION,
    REQUESTED_BY_ANNOTATION,
    ROLLOUT_LABEL,
    RUN_LABEL,
    STAGE_ANNOTATION,
    TEST_ANNOTATION,
    UNVERIFIED,
)
from serinus.api.parsing import commands_of, decode
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus, TestResult
from serinus.engine.observation import InvalidSpec, TestOutcome
from serinus.errors import InvalidObjectError
from serinus.kube.raw import Condition, Metadata, Raw, metadata_of, read_whole
from serinus.ports import EndpointsRecord, JobRecord, Meta, ModelVersionRecord, NamespaceRecord, RolloutRecord

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
        requested_by=metadata.annotations.get(REQUESTED_BY_ANNOTATION) or UNVERIFIED,
        deleting=metadata.deletion_timestamp is not None,
    )


def model_version_record(raw: Mapping[str, Any]) -> ModelVersionRecord:
    """Return a ModelVersion; where its spec does not parse, ``problem`` names the field.

    Raises:
        InvalidObjectError: its metadata has another form.
    """
    meta = metadata_of(raw).meta
    try:
        spec = decode(ModelVersionSpec, raw.get("spec"), "spec")
    except InvalidObjectError as problem:
        return _unusable(meta, raw.get("spec"), str(problem))
    backend = spec.serving.backend_ref if spec.serving is not None else None
    said = raw.get("status") or {}
    return ModelVersionRecord(
        meta=meta,
        model=spec.model,
        version=spec.version,
        backend=backend,
        problem="",
        stage=str(said.get("stage", "")),
        traffic=str(said.get("traffic", "")),
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
