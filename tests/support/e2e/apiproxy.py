"""A way to the API server that a test can disturb for one operator alone: plain HTTP, watches included."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import msgspec
from aiohttp import web

from demo.observe import wait_for
from demo.process import Running, running
from localcluster.client import Cluster

Disturbance = Callable[[web.Request, bytes], Awaitable[web.StreamResponse | None]]
"""What answers instead of the API server; None where the API server shall."""

_UNLIMITED = aiohttp.ClientTimeout(total=None)
_NOT_FORWARDED = frozenset({"host", "content-length", "transfer-encoding", "connection", "keep-alive"})


async def undisturbed(_request: web.Request, _body: bytes) -> None:
    """Let the API server answer."""


@dataclass(slots=True)
class ApiProxy:
    """A running proxy.

    Attributes:
        kubeconfig: of a client that goes through it.
        disturb: asked about every request; it may be set at any time.
        asked: every request as ``METHOD path``, in order of arrival.
        granted: those that the API server did not refuse, in the order of its answers.
        cut: while set, nothing is answered, watches stand still, and what was asked is never forwarded.
    """

    upstream: str
    kubeconfig: Path
    disturb: Disturbance = undisturbed
    asked: list[str] = field(default_factory=list)
    granted: list[str] = field(default_factory=list)
    cut: bool = False

    def writes(self, after: int = 0) -> list[str]:
        """Return the requests from that number on that change something, those for a Lease left out."""
        return _writes(self.asked[after:])

    def granted_writes(self, after: int = 0) -> list[str]:
        """Return those of the granted requests, from that number on, that changed something."""
        return _writes(self.granted[after:])

    async def _handle(self, session: aiohttp.ClientSession, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        self.asked.append(f"{request.method} {request.path}")
        disturbed = await self.disturb(request, body)
        if disturbed is not None:
            return disturbed
        await self._while_cut()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in _NOT_FORWARDED}
        async with session.request(
            request.method, self.upstream + request.path_qs, headers=headers, data=body or None
        ) as answer:
            if answer.ok:
                self.granted.append(f"{request.method} {request.path}")
            response = web.StreamResponse(
                status=answer.status,
                headers={name: value for name, value in answer.headers.items() if name.lower() not in _NOT_FORWARDED},
            )
            with suppress(ConnectionError, aiohttp.ClientError):  # either side may have gone
                await response.prepare(request)
                async for chunk in answer.content.iter_any():
                    await self._while_cut()
                    await response.write(chunk)
                await response.write_eof()
            return response

    async def _while_cut(self) -> None:
        if self.cut:
            # The connection is dead from now on, also after the network has healed: as behind a broken link.
            await asyncio.Event().wait()


def _writes(requests: list[str]) -> list[str]:
    return [one for one in requests if not one.startswith("GET ") and "/leases" not in one]


@asynccontextmanager
async def api_proxy(cluster: Cluster, environment: dict[str, str], folder: Path) -> AsyncIterator[ApiProxy]:
    """Run a proxy until the block ends."""
    command = [str(cluster.kubectl), "proxy", "--port=0", f"--kubeconfig={cluster.kubeconfig}"]
    log = folder / "kubectl-proxy.log"
    async with (
        running("kubectl proxy", command, environment, log) as program,
        aiohttp.ClientSession(timeout=_UNLIMITED, auto_decompress=False) as session,
    ):
        proxy = ApiProxy(f"http://{await _address(program)}", folder / "kubeconfig-of-the-proxy")

        async def handle(request: web.Request) -> web.StreamResponse:
            return await proxy._handle(session, request)

        server = web.Application(client_max_size=2**26)
        server.router.add_route("*", "/{path:.*}", handle)
        runner = web.AppRunner(server, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        host, port = runner.addresses[0][:2]
        proxy.kubeconfig.write_bytes(_kubeconfig(f"http://{host}:{port}"))
        try:
            yield proxy
        finally:
            await runner.cleanup()


async def _address(program: Running) -> str:
    async def read() -> str:
        program.check()
        found = re.search(r"Starting to serve on (\S+)", program.log.read_text(encoding="utf-8"))
        return found[1] if found else ""

    return await wait_for(read, bool, within=10, what="kubectl proxy")


def _kubeconfig(server: str) -> bytes:
    return msgspec.yaml.encode(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "here",
            "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
            "clusters": [{"name": "here", "cluster": {"server": server}}],
            "users": [{"name": "me", "user": {}}],
        }
    )
