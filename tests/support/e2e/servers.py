"""Model servers shared by tests: processes of the demo's program whose behaviour a test changes at run time."""

import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp
import msgspec

from demo.behaviour import Behaviour
from demo.errors import CouldNotAskError
from demo.modelserver import CONTROL_PORT
from demo.observe import wait_for
from demo.portable.server import PORT
from demo.process import Running, running

# Pods get addresses from 198.18.0.0/16, from the lower end: these stay free.
_FIRST_ADDRESS: Final = "198.18.250."
_READY_SECONDS: Final = 90.0
_TIMEOUT: Final = aiohttp.ClientTimeout(total=3)


@dataclass(frozen=True, slots=True)
class ModelServer:
    """A process that serves one version of the model."""

    version: str
    address: str
    process: Running

    async def behave(self, behaviour: Behaviour) -> None:
        """Change the server's latency and failure rate; ``after_requests`` counts from now."""
        url = f"http://{self.address}:{CONTROL_PORT}/control"
        async with (
            aiohttp.ClientSession(timeout=_TIMEOUT) as session,
            session.put(url, data=msgspec.json.encode(behaviour)) as response,
        ):
            assert response.status == 200, await response.text()


@asynccontextmanager
async def serving(
    environment: Mapping[str, str], versions: Sequence[str], folder: Path
) -> AsyncIterator[dict[str, ModelServer]]:
    """Run one server for each version until the block ends."""
    async with AsyncExitStack() as stack:
        servers = {}
        for number, version in enumerate(versions, 1):
            address = f"{_FIRST_ADDRESS}{number}"
            command = [sys.executable, "-P", "-m", "demo.modelserver", "--version", version, "--host", address]
            log = folder / f"server-{version}.log"
            process = await stack.enter_async_context(running(f"the model server {version}", command, environment, log))
            servers[version] = ModelServer(version, address, process)
        for server in servers.values():
            await _await_health(server)
        yield servers


async def _await_health(server: ModelServer) -> None:
    async def probe() -> int:
        try:
            async with (
                aiohttp.ClientSession(timeout=_TIMEOUT) as session,
                session.get(f"http://{server.address}:{PORT}/healthz") as response,
            ):
                return response.status
        except (aiohttp.ClientError, TimeoutError) as problem:
            raise CouldNotAskError(
                f"{server.address} does not answer: {problem!r}; {server.process.tail()}"
            ) from problem

    await wait_for(probe, lambda status: status == 200, within=_READY_SECONDS, what=f"model server {server.version}")
