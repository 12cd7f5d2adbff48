"""Child processes of the init process of a PID namespace: its own, and the orphans that only it can reap."""

import asyncio
import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A started process.

    Attributes:
        pid: Its process id in this namespace.
        group: Whether it leads its own process group, which then receives its signals.
        exited: Resolves to its exit status; negative for the signal that ended it.
    """

    pid: int
    group: bool
    exited: asyncio.Future[int] = field(compare=False)

    @property
    def alive(self) -> bool:
        """Whether it is still running."""
        return not self.exited.done()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to it and, if it leads a group, to its children; does nothing after its exit."""
        if self.alive:
            (os.killpg if self.group else os.kill)(self.pid, number)

    async def stop(self, grace: float) -> int:
        """Send SIGTERM, after a grace period SIGKILL, and return its exit status."""
        if self.alive:
            self.signal(signal.SIGTERM)
            # A stopped process handles SIGTERM only after it continues.
            self.signal(signal.SIGCONT)
            await asyncio.wait([self.exited], timeout=grace)
            self.signal(signal.SIGKILL)
        # Shielded, so that a cancelled caller does not cancel the future of the exit status.
        return await asyncio.shield(self.exited)


@dataclass(slots=True)
class Children:
    """Starts processes and reaps all that exit, including adopted orphans."""

    _waiting: dict[int, Child] = field(default_factory=dict)

    def listen(self) -> None:
        """Start reaping; must be called in the event loop of the main thread."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGCHLD, self._reap)

    def spawn(
        self, command: list[str], *, environment: Mapping[str, str], log: Path | None, folder: Path | None = None
    ) -> Child:
        """Start a process in its own group with its output in the log, or in the foreground if ``log`` is None.

        Raises:
            OSError: The program cannot be started.
        """
        if log is None:
            process = subprocess.Popen(command, env=dict(environment), cwd=folder)
        else:
            with log.open("ab") as output:
                process = subprocess.Popen(
                    command,
                    env=dict(environment),
                    cwd=folder,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
        # This class reaps the process; a return code keeps Popen from warning that nobody waited.
        process.returncode = 0
        exited: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        child = Child(pid=process.pid, group=log is not None, exited=exited)
        self._waiting[process.pid] = child
        return child

    def _reap(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._waiting.pop(pid, None)
            if child:
                child.exited.set_result(os.waitstatus_to_exitcode(status))
                if child.group:
                    # Kill what it left behind now, because its id may be reused later.
                    with suppress(ProcessLookupError):
                        os.killpg(pid, signal.SIGKILL)
