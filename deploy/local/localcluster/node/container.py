"""One container: a local process, started again as its pod says."""

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
_LONGEST_BACKOFF: Final = 60.0
# Who runs this long has recovered: the next failure is a first one again.
_RECOVERED_AFTER: Final = 60.0
_RETRY_CREATION: Final = 2.0
_MESSAGE_BYTES: Final = 2048
_NOT_STARTED: Final = 128


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """What every container of the node uses."""

    api: Api
    children: Children
    images: Images
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """One container that a pod asks for.

    Attributes:
        pod: The pod's object.
        container: The container's entry in the pod's spec.
        address: The pod's own address.
        restarts: How often it was started again before this node knew it.
    """

    pod: Manifest
    container: Manifest
    address: str
    restarts: int


class Container:
    """Runs one container of a pod.

    Attributes:
        record: What is known of it now.
    """

    def __init__(self, host: Host, assignment: Assignment, told: Callable[[], None]) -> None:
        self.record = Record(restarts=assignment.restarts)
        self._host = host
        self._pod = assignment.pod
        self._spec = assignment.container
        self._address = assignment.address
        self._told = told
        self._child: Child | None = None
        self._ending: asyncio.Task[int] | None = None
        self._problem = ""
        self._stopped = False
        self._environment: Mapping[str, str] = {}
        self._grace = float(self._pod["spec"].get("terminationGracePeriodSeconds", 30))

    def log(self, restarts: int) -> Path:
        """Where the output of its n-th start is."""
        name: str = self._spec["name"]
        return self._host.folder / name / f"{restarts}.log"

    async def run(self, policy: Policy) -> int:
        """Run it until it is not to be started again, and give its last exit code."""
        backoff = _FIRST_BACKOFF
        while True:
            ended = await self._run_once(policy)
            if self.record.final:
                return ended.exit_code
            if (ended.finished_at - ended.started_at).total_seconds() >= _RECOVERED_AFTER:
                backoff = _FIRST_BACKOFF
            name = self._spec["name"]
            waiting = Waiting("CrashLoopBackOff", f"back-off {backoff:.0f}s restarting failed container={name}")
            self._note(state=waiting, last=ended, ready=False, started=False)
            await asyncio.sleep(backoff)
            backoff = min(2 * backoff, _LONGEST_BACKOFF)
            self._note(restarts=self.record.restarts + 1)

    async def stop(self, grace: float) -> None:
        """Ask it to end, then make it; it is not started again."""
        self._stopped = True
        if self._child and self._child.alive:
            started = time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(grace):
                    await self._before_stop()
            await self._child.stop(max(0.0, grace - (time.monotonic() - started)))

    def writes(self, file: Path) -> bool:
        """Say whether more may still be added to a log of it."""
        return isinstance(self.record.state, Running) and file == self.log(self.record.restarts)

    async def _run_once(self, policy: Policy) -> Terminated:
        started_at = _now()
        termination = self._prepare_files()
        subject = await self._create(termination)
        if subject is None:
            code, problem = _NOT_STARTED, self._problem
        else:
            started_at = _now()
            self._note(state=Running(started_at), started="startupProbe" not in self._spec)
            code = await self._attend(subject)
            problem = ""
        message = problem or self._last_words(termination, code)
        ended = Terminated(
            exit_code=code if code >= 0 else _NOT_STARTED - code,
            reason="StartError" if problem else "Completed" if code == 0 else "Error",
            message=message,
            started_at=started_at,
            finished_at=_now(),
        )
        final = self._stopped or not policy.restarts(ended.exit_code)
        self._note(state=ended, ready=False, started=False, final=final)
        return ended

    async def _create(self, termination: Path) -> Subject | None:
        """Start the process; what refers to things that are not there yet is tried again until they are."""
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
                self._note(state=Waiting(error.reason, str(error)))
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
        # A node that is killed takes its containers along.
        leash = ["setpriv", "--pdeathsig", "KILL", "--"]
        log = self.log(self.record.restarts)
        self._child = self._host.children.spawn([*leash, *command], environment=environment, log=log, folder=directory)

    async def _before_stop(self) -> None:
        hook = (self._spec.get("lifecycle") or {}).get("preStop") or {}
        if "sleep" in hook:
            await asyncio.sleep(hook["sleep"]["seconds"])
        if "exec" in hook:
            command = hook["exec"]["command"]
            with suppress(OSError):
                child = self._host.children.spawn(command, environment=self._environment, log=Path("/dev/null"))
                await asyncio.shield(child.exited)

    async def _attend(self, subject: Subject) -> int:
        if self._child is None:
            raise ContainerError("StartError", "no process was started")
        probing = asyncio.create_task(self._probe(subject))
        try:
            # Shielded: who is cancelled must not cancel the news for those who stop the process.
            return await asyncio.shield(self._child.exited)
        finally:
            probing.cancel()
            await asyncio.wait([probing])

    async def _probe(self, subject: Subject) -> None:
        startup = Probe.parse(self._spec, "startupProbe")
        if startup:
            await self._await_startup(startup, subject)
        readiness = Probe.parse(self._spec, "readinessProbe")
        self._note(started=True, ready=readiness is None)
        async with asyncio.TaskGroup() as group:
            if readiness:
                group.create_task(readiness.watch(subject, lambda passed: self._note(ready=passed)))
            if liveness := Probe.parse(self._spec, "livenessProbe"):
                group.create_task(liveness.watch(subject, self._judge))

    async def _await_startup(self, probe: Probe, subject: Subject) -> None:
        passed = asyncio.Event()

        def judge(good: bool) -> None:  # noqa: FBT001 - a verdict is its only argument
            passed.set() if good else self._judge(good)

        watching = asyncio.create_task(probe.watch(subject, judge))
        try:
            await passed.wait()
        finally:
            watching.cancel()

    def _judge(self, alive: bool) -> None:  # noqa: FBT001 - a verdict is its only argument
        if not alive and self._child:
            self._ending = asyncio.create_task(self._child.stop(self._grace))

    def _prepare_files(self) -> Path:
        log = self.log(self.record.restarts)
        log.parent.mkdir(parents=True, exist_ok=True)
        termination = log.with_suffix(".message")
        termination.touch()
        return termination

    def _last_words(self, termination: Path, code: int) -> str:
        written = termination.read_bytes()
        if not written and code != 0 and self._spec.get("terminationMessagePolicy") == "FallbackToLogsOnError":
            written = self.log(self.record.restarts).read_bytes()
        return written[-_MESSAGE_BYTES:].decode(errors="replace")

    def _note(self, **changes: object) -> None:
        self.record = replace(self.record, **changes)  # type: ignore[arg-type] # the callers are in this class
        self._told()


def _now() -> datetime:
    return datetime.now(UTC)
