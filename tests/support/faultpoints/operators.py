"""The operators of all points: processes that are started quickly and killed by SIGKILL."""

import asyncio
import json
import os
import signal
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

_MAX_LINE = 2**16


@dataclass(slots=True)
class Operators:
    """The forking program, and what it has said."""

    process: asyncio.subprocess.Process
    _starting: deque["asyncio.Future[int]"] = field(default_factory=deque)
    _ended: dict[int, "asyncio.Future[int]"] = field(default_factory=dict)

    async def start(self, kubeconfig: Path, config: Path, clock: Path, log: Path) -> int:
        """Start an operator and return its process id."""
        started: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._starting.append(started)
        order = {"kubeconfig": str(kubeconfig), "config": str(config), "clock": str(clock), "log": str(log)}
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(order).encode() + b"\n")
        return await started

    async def kill(self, pid: int) -> int:
        """Kill it at once; return the status with which it has ended, as of ``wait``: 9, unless it was first."""
        ended = self._ended[pid]
        if not ended.done():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        status = await ended
        self._ended.pop(pid, None)
        return status

    async def read(self) -> None:
        """Take in what the program says, until it ends."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            said = json.loads(line)
            if "started" in said:
                self._ended[said["started"]] = asyncio.get_running_loop().create_future()
                self._starting.popleft().set_result(said["started"])
            elif said["ended"] in self._ended and not self._ended[said["ended"]].done():
                self._ended[said["ended"]].set_result(said["status"])


@asynccontextmanager
async def forking(environment: Mapping[str, str], folder: Path) -> AsyncIterator[Operators]:
    """Run the forking program until the block ends."""
    with (folder / "forks.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "support.faultpoints.forks",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=log,
            # It imports what this process imports, wherever that is from.
            env=dict(environment) | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            limit=_MAX_LINE,
        )
    operators = Operators(process)
    reading = asyncio.create_task(operators.read())
    try:
        yield operators
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await reading
