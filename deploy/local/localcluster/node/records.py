"""The state of containers and the pod status derived from it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from localcluster.addresses import NODE
from localcluster.api import Manifest

_OWN_CONDITIONS: Final = ("PodReadyToStartContainers", "PodScheduled", "Initialized", "ContainersReady", "Ready")


class Policy(StrEnum):
    """When a container is restarted."""

    ALWAYS = "Always"
    ON_FAILURE = "OnFailure"
    NEVER = "Never"

    def restarts(self, exit_code: int) -> bool:
        """Return whether a container with this exit code is restarted."""
        return self is Policy.ALWAYS or (self is Policy.ON_FAILURE and exit_code != 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The container is not running yet, or waits for a restart."""

    reason: str = "ContainerCreating"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Running:
    """The container is running."""

    started_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Terminated:
    """The container has exited."""

    exit_code: int
    reason: str
    message: str
    started_at: datetime
    finished_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The state of one container.

    Attributes:
        state: Its current state.
        last: Its previous termination, if any.
        restarts: Its restart count.
        started: Whether its startup probe, if any, has passed.
        ready: Whether its readiness probe, if any, passes.
        final: Whether it will not be restarted.
    """

    state: Waiting | Running | Terminated = Waiting()
    last: Terminated | None = None
    restarts: int = 0
    started: bool = False
    ready: bool = False
    final: bool = False

    @property
    def exit_code(self) -> int | None:
        """Its final exit code; None while it may run again."""
        return self.state.exit_code if self.final and isinstance(self.state, Terminated) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """A pod and the states of its containers."""

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
        """The Kubernetes phase for these container states."""
        codes = [record.exit_code for record in self.mains.values()]
        if any(record.exit_code not in (None, 0) for record in self.inits.values()):
            return "Failed"
        if codes and all(code is not None for code in codes):
            return "Succeeded" if not any(codes) else "Failed"
        started = [not isinstance(record.state, Waiting) or record.last is not None for record in self.mains.values()]
        return "Running" if started and all(started) else "Pending"


@dataclass(frozen=True, slots=True)
class _Condition:
    """Whether a condition holds, and the reason if it does not."""

    holds: bool
    reason: str = ""
    message: str = ""


def pod_status(pod: Pod, now: datetime) -> Manifest:
    """Return the status of a pod."""
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
    """Format a time for the API."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _conditions(pod: Pod, now: datetime) -> list[Manifest]:
    present: list[Manifest] = pod.manifest.get("status", {}).get("conditions") or []
    before = {condition["type"]: condition for condition in present}
    finished = pod.phase in ("Succeeded", "Failed")
    unready = sorted(name for name, record in pod.mains.items() if not record.ready)
    why = "PodCompleted" if pod.phase == "Succeeded" else "PodFailed" if finished else "ContainersNotReady"
    containers = _Condition(not unready, why, f"containers with unready status: [{' '.join(unready)}]")
    conditions = {
        "PodReadyToStartContainers": _Condition(not finished),
        "PodScheduled": _Condition(holds=True),
        "Initialized": _Condition(pod.initialized, "ContainersNotInitialized"),
        "ContainersReady": containers,
        "Ready": containers if unready else _gates(pod.manifest, before),
    }
    own = [_manifest_of(kind, condition, before.get(kind), now) for kind, condition in conditions.items()]
    return own + [condition for condition in present if condition["type"] not in _OWN_CONDITIONS]


def _gates(manifest: Manifest, present: Mapping[str, Manifest]) -> _Condition:
    gates = [gate["conditionType"] for gate in manifest["spec"].get("readinessGates") or []]
    missing = [gate for gate in gates if present.get(gate, {}).get("status") != "True"]
    return _Condition(not missing, "ReadinessGatesNotReady", f"waiting for: {' '.join(missing)}")


def _manifest_of(kind: str, condition: _Condition, before: Manifest | None, now: datetime) -> Manifest:
    status = "True" if condition.holds else "False"
    since = before["lastTransitionTime"] if before and before["status"] == status else stamp(now)
    manifest = {"type": kind, "status": status, "lastTransitionTime": since}
    if not condition.holds and condition.reason:
        manifest |= {"reason": condition.reason, "message": condition.message}
    return manifest


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
            terminated = {
                "exitCode": state.exit_code,
                "reason": state.reason,
                "message": state.message,
                "startedAt": stamp(state.started_at),
                "finishedAt": stamp(state.finished_at),
            }
            return {"terminated": {name: value for name, value in terminated.items() if value != ""}}
