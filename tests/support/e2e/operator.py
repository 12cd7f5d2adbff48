"""The operator as a process that a test starts, kills and restarts."""

import os
import re
import signal
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import aiohttp

from demo.errors import CouldNotAskError
from demo.observe import wait_for
from demo.operatorprocess import OperatorSetup, await_ready, operator
from demo.process import Running
from localcluster.client import Cluster
from serinus.api.quantities import Duration

_TIMEOUT = aiohttp.ClientTimeout(total=3)


def setup_in(cluster: Cluster) -> OperatorSetup:
    """Settings of an operator without leader election, for the current local cluster."""
    interval = Duration(cluster.settings.scrape_interval).seconds
    return OperatorSetup(
        prometheus_url=cluster.prometheus_url,
        scrape_interval_seconds=interval,
        identity="test",
        leader_election=False,
    )


@dataclass(slots=True)
class OperatorControl:
    """Controls one operator process at a time; each start has its own folder with its log."""

    environment: dict[str, str]
    setup: OperatorSetup
    folder: Path
    starts: int = 0
    process: Running | None = None
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    def beside(self, identity: str, port: int) -> "OperatorControl":
        """Return a second operator that runs at the same time."""
        host = self.setup.address.rpartition(":")[0]
        setup = replace(self.setup, identity=identity, address=f"{host}:{port}")
        return OperatorControl(self.environment, setup, self.folder / identity)

    async def start(self, *, ready: bool = True) -> None:
        """Start the process and, by default, wait until it is ready."""
        self.starts += 1
        folder = self.folder / f"operator-{self.starts}"
        folder.mkdir(parents=True)
        self.process = await self._stack.enter_async_context(operator(self.setup, self.environment, folder))
        if ready:
            async with aiohttp.ClientSession() as session:
                await await_ready(self.process, self.setup, session)

    async def kill(self) -> None:
        """Kill the process as a crash would, with SIGKILL."""
        assert self.process is not None
        assert self.process.process.returncode is None, f"it had exited by itself: {self.process.tail()}"
        os.kill(self.process.process.pid, signal.SIGKILL)
        await self.process.process.wait()

    async def stop(self) -> None:
        """Stop the process as a Deployment would."""
        await self._stack.aclose()

    async def counter(self, name: str) -> float:
        """Return the sum of one of the operator's metrics over all labels."""
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.get(f"http://{self.setup.address}/metrics") as response,
        ):
            text = await response.text()
        values = re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE)
        return sum(float(value) for value in values)

    async def until_leading(self, within: float) -> None:
        """Wait until it leads."""

        async def probe() -> float:
            try:
                return await self.counter("serinus_leader")
            except (aiohttp.ClientError, TimeoutError) as problem:
                raise CouldNotAskError(f"{self.setup.address} does not answer: {problem!r}") from problem

        await wait_for(probe, lambda leads: leads == 1, within=within, what=f"{self.setup.identity} leads")

    def log(self) -> str:
        """Return its log since the last start."""
        assert self.process is not None
        return self.process.log.read_text(encoding="utf-8", errors="replace")
