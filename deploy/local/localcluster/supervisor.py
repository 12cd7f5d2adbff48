"""The supervisor inside the namespaces: starts the parts in order and manages them by name."""

import asyncio
import os
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from localcluster.children import Child, Children
from localcluster.console import say
from localcluster.errors import LocalClusterError
from localcluster.parts.part import Part
from localcluster.settings import Settings

_TIMEOUT_SECONDS: Final = 90.0
_TAIL_LINES: Final = 15


@dataclass(slots=True)
class _RunningPart:
    part: Part
    child: Child
    desired: bool = True


@dataclass(slots=True)
class Supervisor:
    """Starts, stops and monitors the parts of one cluster."""

    settings: Settings
    children: Children
    environment: Mapping[str, str]
    _parts: dict[str, _RunningPart] = field(default_factory=dict)

    async def launch(self, part: Part) -> None:
        """Start a part and wait until it is ready.

        Raises:
            LocalClusterError: It exited or did not become ready; the message contains the end of its log.
        """
        started = time.monotonic()
        self._parts[part.name] = _RunningPart(part, self._spawn(part))
        await self._await_ready(part.name)
        say(f"  {part.name} ready in {time.monotonic() - started:.1f} s")

    async def stop(self, name: str) -> None:
        """Stop a part.

        Raises:
            LocalClusterError: There is no such part.
        """
        running = self._find(name)
        running.desired = False
        await running.child.stop(running.part.grace)

    async def start(self, name: str) -> None:
        """Start a part unless it is running, and wait until it is ready.

        Raises:
            LocalClusterError: There is no such part, or it does not become ready.
        """
        running = self._find(name)
        running.desired = True
        if not running.child.alive:
            running.child = self._spawn(running.part)
        await self._await_ready(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a part.

        Raises:
            LocalClusterError: There is no such part.
        """
        running = self._find(name)
        # A part that is killed on purpose counts as stopped, not as failed.
        running.desired = running.desired and number not in (signal.SIGKILL, signal.SIGTERM)
        running.child.signal(number)

    def states(self) -> dict[str, str]:
        """Return the state of each part by name."""
        return {name: self._state(running) for name, running in self._parts.items()}

    async def stop_all(self) -> None:
        """Stop all parts in reverse order, because each depends on those before it."""
        for name in reversed(self._parts):
            await self.stop(name)

    def _state(self, running: _RunningPart) -> str:
        if running.child.alive:
            return f"running, process {running.child.pid}"
        status = running.child.exited.result()
        return f"failed with exit status {status}" if running.desired else "stopped"

    def _spawn(self, part: Part) -> Child:
        environment = {**self.environment, **part.environment}
        log = self.settings.logs / f"{part.name}.log"
        try:
            return self.children.spawn(list(part.command), environment=environment, log=log, folder=self.settings.state)
        except OSError as error:
            raise LocalClusterError(f"cannot start {part.name}: {error}") from error

    async def _await_ready(self, name: str) -> None:
        running = self._parts[name]
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                while not await running.part.ready():
                    if not running.child.alive:
                        status = running.child.exited.result()
                        raise LocalClusterError(self._failure(name, f"ended with status {status}"))
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise LocalClusterError(self._failure(name, f"was not ready after {_TIMEOUT_SECONDS:.0f} s")) from error

    def _failure(self, name: str, what: str) -> str:
        log = self.settings.logs / f"{name}.log"
        return f"{name} {what}. The end of its log {log}:\n{tail(log.read_text(encoding='utf-8', errors='replace'))}"

    def _find(self, name: str) -> _RunningPart:
        if name not in self._parts:
            raise LocalClusterError(f"there is no part {name!r}; this cluster has: {', '.join(self._parts)}")
        return self._parts[name]


def tail(text: str, lines: int = _TAIL_LINES) -> str:
    """Return the last lines of a log."""
    return "\n".join(text.splitlines()[-lines:])


async def run_in_foreground(
    children: Children, command: list[str], environment: Mapping[str, str], stop: asyncio.Event
) -> int:
    """Run the user's command in the terminal until it exits or the cluster is stopped.

    Raises:
        LocalClusterError: The command cannot be started.
    """
    try:
        child = children.spawn(command, environment=environment, log=None)
    except OSError as error:
        raise LocalClusterError(f"cannot run {command[0]!r}: {error}") from error
    stopping = asyncio.ensure_future(stop.wait())
    awaited: set[asyncio.Future[Any]] = {child.exited, stopping}
    await asyncio.wait(awaited, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    return await (child.stop(grace=10) if child.alive else child.exited)


def part_environment(settings: Settings) -> dict[str, str]:
    """Return the environment of all parts: the user's, without proxies, which cannot be reached from inside."""
    variables = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return variables | {"PATH": f"{settings.programs}:{variables.get('PATH', os.defpath)}"}
