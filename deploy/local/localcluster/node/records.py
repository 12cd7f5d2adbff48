"""What is known of a container, and the pod status that follows from it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from localcluster.addresses import NODE
from localcluster.api import Manifest

_OWN_CONDITIONS: Final = ("PodReadyToStartContainers", "PodScheduled", "Initialized", "ContainersReady", "Ready")


class Policy(StrEnum):
    """When a container is started again."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"

    def restarts(self, exit_code: int) -> bool:
        """Say whether a container that ended so is started again."""
        return self is Policy.ALWAYS or (self is Policy.ON_FAILURE and exit_code != 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """It does not run yet, or not again yet."""

    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """It runs."""

    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """It ended."""

    exit_code: int
    reason: str
    message: str
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """Everything that is known of one container.

    Attributes:
        state: What it does now.
        last: How it ended the time before, if it ran before.
        restarts: How often it was started again.
        started: Whether its startup probe, if any, has passed.
        ready: Whether its readiness probe, if any, passes.
        final: Whether it will not be started again.
    """

    state: Waiting | Running | Terminated = Waiting()
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False
    ready: bool = False
    final: bool = False

    @property
    def exit_code(self) -> int | None:
        """How it ended for good, if it did."""
        return self.state.exit_code if self.final and isinstance(self.state, Terminated) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod's object and what its containers do."""

    manifest: Manifest
    address: str
    started_at: datetime
    inits: Mapping[str, Record]
    mains: Mapping[str, Record]

    @property
    def initialized(self) -> bool:
        """Whether all init containers have succeeded."""
        return all(record.exit_code == 0 for record in self.inits.values())

    @property
    def phase(self) -> str:
        """The phase that Kubernetes defines for containers in these states."""
        codes = [record.exit_code for record in self.mains.values()]
        if any(record.exit_code not in (None, 0) for record in self.inits.values()):
            return "Failed"
        if codes and all(code is not None for code in codes):
            return "Succeeded" if not any(codes) else "Failed"
        started = [not isinstance(record.state, Waiting) or record.last is not None for record in self.mains.values()]
        return "Running" if started and all(started) else "Pending"


@dataclass(frozen=True, slots=True)
class _Verdict:
    """Whether a condition holds, and why not if it does not."""

    holds: bool
    reason: str = ""
    message: str = ""


def pod_status(pod: Pod, now: datetime) -> Manifest:
    """Write the status of a pod."""
    spec = pod.manifest["spec"]
    status: Manifest = {
        "phase": pod.phase,
        "hostIP": NODE,
        "hostIPs": [{"ip": NODE}],
        "podIP": pod.address,
        "podIPs": [{"ip": pod.address}],
        "startTime": stamp(pod.started_at),
        "conditions": _conditions(pod, now),
        "containerStatuses": _container_statuses(spec["containers"], pod.mains),
    }
    if spec.get("initContainers"):
        status["initContainerStatuses"] = _container_statuses(spec["initContainers"], pod.inits)
    return status


def stamp(moment: datetime) -> str:
    """Write a moment as the API does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _conditions(pod: Pod, now: datetime) -> list[Manifest]:
    present: list[Manifest] = pod.manifest.get("status", {}).get("conditions") or []
    before = {condition["type"]: condition for condition in present}
    finished = pod.phase in ("Succeeded", "Failed")
    unready = sorted(name for name, record in pod.mains.items() if not record.ready)
    why = "PodCompleted" if pod.phase == "Succeeded" else "PodFailed" if finished else "ContainersNotReady"
    containers = _Verdict(not unready, why, f"containers with unready status: [{' '.join(unready)}]")
    verdicts = {
        "PodReadyToStartContainers": _Verdict(not finished),
        "PodScheduled": _Verdict(holds=True),
        "Initialized": _Verdict(pod.initialized, "ContainersNotInitialized"),
        "ContainersReady": containers,
        "Ready": containers if unready else _gates(pod.manifest, before),
    }
    own = [_condition(kind, verdict, before.get(kind), now) for kind, verdict in verdicts.items()]
    return own + [condition for condition in present if condition["type"] not in _OWN_CONDITIONS]


def _gates(manifest: Manifest, present: Mapping[str, Manifest]) -> _Verdict:
    gates = [gate["conditionType"] for gate in manifest["spec"].get("readinessGates") or []]
    missing = [gate for gate in gates if present.get(gate, {}).get("status") != "True"]
    return _Verdict(not missing, "ReadinessGatesNotReady", f"waiting for: {' '.join(missing)}")


def _condition(kind: str, verdict: _Verdict, before: Manifest | None, now: datetime) -> Manifest:
    status = "True" if verdict.holds else "False"
    since = before["lastTransitionTime"] if before and before["status"] == status else stamp(now)
    condition = {"type": kind, "status": status, "lastTransitionTime": since}
    if not verdict.holds and verdict.reason:
        condition |= {"reason": verdict.reason, "message": verdict.message}
    return condition


def _container_statuses(specs: Sequence[Manifest], records: Mapping[str, Record]) -> list[Manifest]:
    return [_container_status(spec, records[spec["name"]]) for spec in specs]


def _container_status(spec: Manifest, record: Record) -> Manifest:
    status: Manifest = {
        "name": spec["name"],
        "image": spec["image"],
        "imageID": spec["image"] if not isinstance(record.state, Waiting) or record.last else "",
        "restartCount": record.restarts,
        "ready": record.ready,
        "started": record.started,
        "state": _state(record.state),
    }
    return status | ({"lastState": _state(record.last)} if record.last else {})


def _state(state: Waiting | Running | Terminated) -> Manifest:
    match state:
        case Waiting(reason, message):
            return {"waiting": {"reason": reason} | ({"message": message} if message else {})}
        case Running(started_at):
            return {"running": {"startedAt": stamp(started_at)}}
        case Terminated():
            ended = {
                "exitCode": state.exit_code,
                "reason": state.reason,
                "message": state.message,
                "startedAt": stamp(state.started_at),
                "finishedAt": stamp(state.finished_at),
            }
            return {"terminated": {name: value for name, value in ended.items() if value != ""}}
