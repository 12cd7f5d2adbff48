"""One container: a local process, restarted according to the pod's restart policy."""

import asyncio
import shutil
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from localcluster.api import Api, Manifest
from localcluster.children import Child, Children
from localcluster.node.environment import build_command, build_environment
from localcluster.node.errors import ContainerError
from localcluster.node.images import Images
from localcluster.node.offers import refuse_unknown
from localcluster.node.probes import Probe, Subject
from localcluster.node.records import Policy, Record, Running, Terminated, Waiting

_FIRST_BACKOFF: Final = 1.0
_MAX_BACKOFF: Final = 60.0
# A container that ran this long has recovered: its back-off is reset.
_RECOVERED_AFTER: Final = 60.0
_RETRY_CREATION: Final = 2.0
_MESSAGE_BYTES: Final = 2048
_NOT_STARTED: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The resources shared by all containers of the node."""

    api: Api
    children: Children
    images: Images
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One container of a pod.

    Attributes:
        pod: The pod.
        container: The container's entry in the pod's spec.
        address: The pod's IP address.
        restarts: The restart count before this node started.
    """

    pod: Manifest
    container: Manifest
    address: str
    restarts: int


class Container:
    """Runs one container of a pod.

    Attributes:
        record: Its current state.
    """

    def __init__(self, host: Host, assignment: Assignment, on_change: Callable[[], None]) -> None:
        self.record = Record(restarts=assignment.restarts)
        self._host = host
        self._pod = assignment.pod
        self._spec = assignment.container
        self._address = assignment.address
        self._on_change = on_change
        self._child: Child | None = None
        self._ending: asyncio.Task[int] | None = None
        self._problem = ""
        self._stopped = False
        self._environment: Mapping[str, str] = {}
        self._grace = float(self._pod["spec"].get("terminationGracePeriodSeconds", 30))

    def log(self, restarts: int) -> Path:
        """Return the path of the output of its n-th start."""
        name: str = self._spec["name"]
        return self._host.folder / name / f"{restarts}.log"

    async def run(self, policy: Policy) -> int:
        """Run it until it is not restarted any more, and return its last exit code."""
        backoff = _FIRST_BACKOFF
        while True:
            terminated = await self._run_once(policy)
            if self.record.final:
                return terminated.exit_code
            if (terminated.finished_at - terminated.started_at).total_seconds() >= _RECOVERED_AFTER:
                backoff = _FIRST_BACKOFF
            name = self._spec["name"]
            waiting = Waiting("CrashLoopBackOff", f"back-off {backoff:.0f}s restarting failed container={name}")
            self._update(state=waiting, last=terminated, ready=False, started=False)
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _MAX_BACKOFF)
            self._update(restarts=self.record.restarts + 1)

    async def stop(self, grace: float) -> None:
        """Send SIGTERM, then SIGKILL; it is not restarted."""
        self._stopped = True
        if self._child and self._child.alive:
            started = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._pre_stop()
            await self._child.stop(max(0.0, grace - (time.monotonic() - started)))

    def writes(self, file: Path) -> bool:
        """Return whether the container is still writing to this log."""
        return isinstance(self.record.state, Running) and file == self.log(self.record.restarts)

    async def _run_once(self, policy: Policy) -> Terminated:
        started_at = _now()
        termination = self._prepare_files()
        subject = await self._create(termination)
        if subject is None:
            code, problem = _NOT_STARTED, self._problem
        else:
            started_at = _now()
            self._update(state=Running(started_at), started="startupProbe" not in self._spec)
            code = await self._await_exit(subject)
            problem = ""
        message = problem or self._termination_message(termination, code)
        terminated = Terminated(
            exit_code=code if code >= 0 else _NOT_STARTED - code,
            reason="StartError" if problem else "Completed" if code == 0 else "Error",
            message=message,
            started_at=started_at,
            finished_at=_now(),
        )
        final = self._stopped or not policy.restarts(terminated.exit_code)
        self._update(state=terminated, ready=False, started=False, final=final)
        return terminated

    async def _create(self, termination: Path) -> Subject | None:
        """Start the process; retry until the objects that it refers to exist."""
        self._problem = ""
        while True:
            try:
                image = self._host.images.find(self._spec["image"])
                refuse_unknown(self._pod, self._spec)
                environment = await build_environment(self._host.api, self._pod, self._spec, image, self._address)
                environment["TERMINATION_LOG"] = str(termination)
                command = build_command(self._spec, image, environment)
                self._spawn(command, environment, self._spec.get("workingDir") or image.folder)
            except ContainerError as error:
                if error.reason == "StartError":
                    self._problem = str(error)
                    return None
                self._update(state=Waiting(error.reason, str(error)))
                await asyncio.sleep(_RETRY_CREATION)
            else:
                return Subject(
                    address=self._address,
                    ports={
                        port["name"]: port["containerPort"] for port in self._spec.get("ports") or [] if "name" in port
                    },
                    environment=environment,
                    children=self._host.children,
                )

    def _spawn(self, command: list[str], environment: Mapping[str, str], folder: str) -> None:
        if self._stopped:
            raise ContainerError("StartError", "the pod is being deleted")
        if not shutil.which(command[0], path=environment["PATH"]):
            raise ContainerError("StartError", f"{command[0]!r}: executable file not found in $PATH")
        directory = Path(folder) if folder else self._host.folder
        if not directory.is_dir():
            raise ContainerError("StartError", f"working directory {directory} does not exist")
        self._environment = environment
        # The kernel kills the containers of a killed node.
        parent_death = ["setpriv", "--pdeathsig", "KILL", "--"]
        log = self.log(self.record.restarts)
        self._child = self._host.children.spawn(
            [*parent_death, *command], environment=environment, log=log, folder=directory
        )

    async def _pre_stop(self) -> None:
        hook = (self._spec.get("lifecycle") or {}).get("preStop") or {}
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        if "exec" in hook:
            command = hook["exec"]["command"]
            with suppress(OSError):
                child = self._host.children.spawn(command, environment=self._environment, log=Path("/dev/null"))
                await asyncio.shield(child.exited)

    async def _await_exit(self, subject: Subject) -> int:
        if self._child is None:
            raise ContainerError("StartError", "no process was started")
        probing = asyncio.create_task(self._probe(subject))
        try:
            # Shielded, because stop() awaits the same future.
            return await asyncio.shield(self._child.exited)
        finally:
            probing.cancel()
            await asyncio.wait([probing])

    async def _probe(self, subject: Subject) -> None:
        startup = Probe.parse(self._spec, "startupProbe")
        if startup:
            await self._await_startup(startup, subject)
        readiness = Probe.parse(self._spec, "readinessProbe")
        self._update(started=True, ready=readiness is None)
        async with asyncio.TaskGroup() as group:
            if readiness:
                group.create_task(readiness.watch(subject, lambda passed: self._update(ready=passed)))
            if liveness := Probe.parse(self._spec, "livenessProbe"):
                group.create_task(liveness.watch(subject, self._on_liveness))

    async def _await_startup(self, probe: Probe, subject: Subject) -> None:
        passed = asyncio.Event()

        def on_result(good: bool) -> None:  # noqa: FBT001 - the callback's only argument
            passed.set() if good else self._on_liveness(good)

        watching = asyncio.create_task(probe.watch(subject, on_result))
        try:
            await passed.wait()
        finally:
            watching.cancel()

    def _on_liveness(self, alive: bool) -> None:  # noqa: FBT001 - the callback's only argument
        if not alive and self._child:
            self._ending = asyncio.create_task(self._child.stop(self._grace))

    def _prepare_files(self) -> Path:
        log = self.log(self.record.restarts)
        log.parent.mkdir(parents=True, exist_ok=True)
        termination = log.with_suffix(".message")
        termination.touch()
        return termination

    def _termination_message(self, termination: Path, code: int) -> str:
        written = termination.read_bytes()
        if not written and code != 0 and self._spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            written = self.log(self.record.restarts).read_bytes()
        return written[-_MESSAGE_BYTES:].decode(errors="replace")

    def _update(self, **changes: object) -> None:
        self.record = replace(self.record, **changes)  # type: ignore[arg-type] # all callers are in this class
        self._on_change()


def _now() -> datetime:
    return datetime.now(UTC)
