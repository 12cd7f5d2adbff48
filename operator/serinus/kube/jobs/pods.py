"""Why the pods of a Job do not run: the scheduler's, the kubelet's or the Job controller's own words."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from msgspec import field

from serinus.errors import InvalidObjectError
from serinus.kube.raw import Condition, Metadata, Raw, read_whole
from serinus.ports.cluster_state import JobRecord, PodFacts

logger = logging.getLogger(__name__)

_MOST: Final = 512
"""Characters of a problem."""

_NEVER_STARTED: Final = frozenset({"StartError", "ContainerCannotRun", "ContainerStatusUnknown"})
"""Reasons of a terminated container whose program has not run, or of which nobody knows whether it has."""

_NOT_YET: Final = "PodInitializing"
"""What a container waits for while the init containers are not done: they are what is to be named."""


class _Waiting(Raw, frozen=True, kw_only=True):
    reason: str = ""
    message: str = ""


class _Running(Raw, frozen=True, kw_only=True):
    started_at: datetime | None = None


class _Terminated(Raw, frozen=True, kw_only=True):
    exit_code: int = 0
    reason: str = ""
    message: str = ""


class _State(Raw, frozen=True, kw_only=True):
    waiting: _Waiting | None = None
    running: _Running | None = None
    terminated: _Terminated | None = None


class _ContainerStatus(Raw, frozen=True, kw_only=True):
    name: str
    state: _State = field(default_factory=_State)
    last_state: _State = field(default_factory=_State)

    @property
    def has_run(self) -> bool:
        """Whether its program runs or has run."""
        ends = (self.state.terminated, self.last_state.terminated)
        ran = any(end is not None and end.reason not in _NEVER_STARTED for end in ends)
        return ran or self.state.running is not None

    @property
    def problem(self) -> str:
        """What it waits for, or why it did not start; empty where it says nothing."""
        waiting, ended = self.state.waiting, self.state.terminated or self.last_state.terminated
        if waiting is not None and waiting.reason != _NOT_YET and ended is None:
            return _joined(waiting.reason, waiting.message)
        return _joined(ended.reason, ended.message) if ended is not None and ended.exit_code else ""


class _PodStatus(Raw, frozen=True, kw_only=True):
    phase: str = ""
    reason: str = ""
    message: str = ""
    conditions: tuple[Condition, ...] = ()
    init_container_statuses: tuple[_ContainerStatus, ...] = ()
    container_statuses: tuple[_ContainerStatus, ...] = ()


class _Pod(Raw, frozen=True, kw_only=True):
    metadata: Metadata
    status: _PodStatus = field(default_factory=_PodStatus)


def pod_facts(job: JobRecord, raws: Iterable[Mapping[str, Any]]) -> PodFacts:
    """Return what the pods of a Job show together; the newest pod's problem stands for all.

    Args:
        job: the Job, whose template's containers are the test.
        raws: its pods; a malformed one is left out.
    """
    pods = sorted(_readable(raws), key=lambda pod: pod.metadata.creation_timestamp, reverse=True)
    if job.has_run or any(_has_run(pod, job.containers) for pod in pods):
        return PodFacts(has_run=True)
    if not pods:
        return PodFacts(has_run=False, problem=_without_pods(job))
    return PodFacts(has_run=False, problem=_problem(pods[0], job.containers)[:_MOST])


def _readable(raws: Iterable[Mapping[str, Any]]) -> Iterator[_Pod]:
    for raw in raws:
        try:
            yield read_whole(_Pod, raw)
        except InvalidObjectError as problem:
            logger.warning("a pod of a test's Job cannot be read: %s", problem)


def _has_run(pod: _Pod, containers: Sequence[str]) -> bool:
    return any(status.has_run for status in pod.status.container_statuses if status.name in containers)


def _without_pods(job: JobRecord) -> str:
    key = job.meta.key
    if job.suspended:
        return "Suspended: the Job is suspended, and whoever suspended it has not let it start"
    return f"the Job controller has created no pod: kubectl describe job {key.name} -n {key.namespace} says why"


def _problem(pod: _Pod, containers: Sequence[str]) -> str:
    status = pod.status
    if status.reason:
        return _joined(status.reason, status.message)
    for condition in status.conditions:
        if condition.type == "PodScheduled" and condition.status == "False":
            return _joined(condition.reason, condition.message)
    for one in status.init_container_statuses:
        if one.problem:
            return f"init container {one.name}: {one.problem}"
    # The test's own containers before those that an injector has added.
    for one in sorted(status.container_statuses, key=lambda one: one.name not in containers):
        if one.problem and not one.has_run:
            return one.problem
    # The last one: those before it may be sidecars, which run on.
    for one in reversed(status.init_container_statuses):
        if one.state.running is not None:
            return f"init container {one.name} has not ended"
    return f"the pod is {status.phase or 'Pending'} and no node has said anything of it"


def _joined(reason: str, message: str) -> str:
    return ": ".join(part for part in (reason, message) if part)
