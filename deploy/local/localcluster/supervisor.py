"""The first process inside: starts the parts in order, keeps them by name, and takes everything along when it ends."""

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

_PATIENCE: Final = 90.0
_TAIL_LINES: Final = 15


@dataclass(slots=True)
class _Kept:
    part: Part
    child: Child
    wanted: bool = True


@dataclass(slots=True)
class Supervisor:
    """Keeps the parts of one cluster."""

    settings: Settings
    children: Children
    environment: Mapping[str, str]
    _kept: dict[str, _Kept] = field(default_factory=dict)

    async def launch(self, part: Part) -> None:
        """Start a part and wait until it works.

        Raises:
            LocalClusterError: It ended or did not get ready; the message has the end of its log.
        """
        started = time.monotonic()
        self._kept[part.name] = _Kept(part, self._spawn(part))
        await self._await_ready(part.name)
        say(f"  {part.name} ready in {time.monotonic() - started:.1f} s")

    async def stop(self, name: str) -> None:
        """End a part and leave it stopped.

        Raises:
            LocalClusterError: There is no such part.
        """
        kept = self._find(name)
        kept.wanted = False
        await kept.child.stop(kept.part.grace)

    async def start(self, name: str) -> None:
        """Start a part again and wait until it works; nothing if it runs.

        Raises:
            LocalClusterError: There is no such part, or it does not get ready.
        """
        kept = self._find(name)
        kept.wanted = True
        if not kept.child.alive:
            kept.child = self._spawn(kept.part)
        await self._await_ready(name)

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a part.

        Raises:
            LocalClusterError: There is no such part.
        """
        kept = self._find(name)
        # Who ends a part on purpose is not told that it failed.
        kept.wanted = kept.wanted and number not in (signal.SIGKILL, signal.SIGTERM)
        kept.child.signal(number)

    def states(self) -> dict[str, str]:
        """Say of each part whether it runs."""
        return {name: self._state(kept) for name, kept in self._kept.items()}

    async def stop_all(self) -> None:
        """End all parts, the last started first, since each needs those before it."""
        for name in reversed(self._kept):
            await self.stop(name)

    def _state(self, kept: _Kept) -> str:
        if kept.child.alive:
            return f"running, process {kept.child.pid}"
        status = kept.child.exited.result()
        return f"failed with exit status {status}" if kept.wanted else "stopped"

    def _spawn(self, part: Part) -> Child:
        environment = {**self.environment, **part.environment}
        log = self.settings.logs / f"{part.name}.log"
        try:
            return self.children.spawn(list(part.command), environment=environment, log=log, folder=self.settings.state)
        except OSError as error:
            raise LocalClusterError(f"cannot start {part.name}: {error}") from error

    async def _await_ready(self, name: str) -> None:
        kept = self._kept[name]
        try:
            async with asyncio.timeout(_PATIENCE):
                while not await kept.part.ready():
                    if not kept.child.alive:
                        raise LocalClusterError(self._obituary(name, f"ended with status {kept.child.exited.result()}"))
                    await asyncio.sleep(0.05)
        except TimeoutError as error:
            raise LocalClusterError(self._obituary(name, f"was not ready after {_PATIENCE:.0f} s")) from error

    def _obituary(self, name: str, what: str) -> str:
        log = self.settings.logs / f"{name}.log"
        return f"{name} {what}. The end of its log {log}:\n{tail(log.read_text(encoding='utf-8', errors='replace'))}"

    def _find(self, name: str) -> _Kept:
        if name not in self._kept:
            raise LocalClusterError(f"there is no part {name!r}; this cluster has: {', '.join(self._kept)}")
        return self._kept[name]


def tail(text: str, lines: int = _TAIL_LINES) -> str:
    """Give the last lines of a log."""
    return "\n".join(text.splitlines()[-lines:])


async def run_in_foreground(
    children: Children, command: list[str], environment: Mapping[str, str], stop: asyncio.Event
) -> int:
    """Run a person's command in the terminal until it ends or the cluster is told to stop.

    Raises:
        LocalClusterError: The command cannot be started.
    """
    try:
        child = children.spawn(command, environment=environment, log=None)
    except OSError as error:
        raise LocalClusterError(f"cannot run {command[0]!r}: {error}") from error
    told = asyncio.ensure_future(stop.wait())
    waited: set[asyncio.Future[Any]] = {child.exited, told}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    told.cancel()
    return await (child.stop(grace=10) if child.alive else child.exited)


def part_environment(settings: Settings) -> dict[str, str]:
    """Give the variables of all parts: a person's own, without proxies, which cannot be reached from inside."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {"PATH": f"{settings.programs}:{kept.get('PATH', os.defpath)}"}
