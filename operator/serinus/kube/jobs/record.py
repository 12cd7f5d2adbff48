"""Parses a raw Job into its record, with the outcome of the test once a condition says it."""

from collections.abc import Mapping
from typing import Any, Final

from msgspec import field

from serinus.api.names import CONTENT_ANNOTATION, ROLLOUT_LABEL, RUN_LABEL, STAGE_ANNOTATION, TEST_ANNOTATION
from serinus.api.rollout_status import TestResult
from serinus.engine.rollout.observation import TestOutcome
from serinus.errors import InvalidObjectError
from serinus.kube.raw import Condition, Metadata, Raw, read_whole
from serinus.ports.cluster_state import JobRecord


class _Container(Raw, frozen=True, kw_only=True):
    name: str


class _PodSpec(Raw, frozen=True, kw_only=True):
    containers: tuple[_Container, ...] = ()


class _PodTemplate(Raw, frozen=True, kw_only=True):
    spec: _PodSpec = field(default_factory=_PodSpec)


class _JobSpec(Raw, frozen=True, kw_only=True):
    suspend: bool = False
    active_deadline_seconds: int = 600
    template: _PodTemplate = field(default_factory=_PodTemplate)


class _JobStatus(Raw, frozen=True, kw_only=True):
    conditions: tuple[Condition, ...] = ()
    ready: int = 0
    succeeded: int = 0


class _Job(Raw, frozen=True, kw_only=True):
    metadata: Metadata
    spec: _JobSpec = field(default_factory=_JobSpec)
    status: _JobStatus = field(default_factory=_JobStatus)


_RESULTS: Final = {
    "Complete": TestResult.PASSED,
    "Failed": TestResult.FAILED,
    # The Job has failed, and its pods are being ended: nothing can make it succeed any more.
    "FailureTarget": TestResult.FAILED,
}
_DEADLINE: Final = "DeadlineExceeded"


def job_record(raw: Mapping[str, Any]) -> JobRecord:
    """Return the record of a Job; it has an outcome once a condition says that it is complete or has failed.

    Raises:
        InvalidObjectError: it is malformed, or Serinus did not create it.
    """
    job = read_whole(_Job, raw)
    rollout = job.metadata.labels.get(ROLLOUT_LABEL)
    if rollout is None:
        raise InvalidObjectError(f"metadata.labels.{ROLLOUT_LABEL}", "missing: Serinus did not create this Job")
    final = (
        condition for condition in job.status.conditions if condition.status == "True" and condition.type in _RESULTS
    )
    outcome = next((_outcome(condition, job.metadata) for condition in final), None)
    run = job.metadata.labels.get(RUN_LABEL, "")
    return JobRecord(
        meta=job.metadata.meta,
        rollout=rollout,
        owner=next((owner.uid for owner in job.metadata.owner_references if owner.controller), ""),
        run=int(run) if run.isdecimal() else 0,
        stage=job.metadata.annotations.get(STAGE_ANNOTATION, ""),
        test=job.metadata.annotations.get(TEST_ANNOTATION, ""),
        content=job.metadata.annotations.get(CONTENT_ANNOTATION, ""),
        outcome=outcome,
        has_run=job.status.ready + job.status.succeeded > 0,
        suspended=job.spec.suspend,
        containers=tuple(container.name for container in job.spec.template.spec.containers),
        created_at=job.metadata.creation_timestamp,
        deadline=float(job.spec.active_deadline_seconds),
    )


def _outcome(condition: Condition, job: Metadata) -> TestOutcome:
    result = _RESULTS[condition.type]
    word = "Complete" if result is TestResult.PASSED else "Failed"
    detail = ": ".join(part for part in (condition.reason, condition.message) if part)
    return TestOutcome(
        result,
        f"Job {word}{f': {detail}' if detail else ''}",
        job=job.name,
        uid=job.uid,
        timed_out=result is TestResult.FAILED and condition.reason == _DEADLINE,
    )
