"""Serves /livez, /readyz and /metrics; the probes' bodies reveal nothing beyond their result."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from aiohttp import web

from serinus.errors import ConfigurationError

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"

_Handler = Callable[[web.Request], Awaitable[web.Response]]


@dataclass(frozen=True, slots=True)
class Probes:
    """The sources of the three endpoints.

    Attributes:
        live: whether the scheduler is alive.
        ready: whether this process has its settings and reaches the API server; true for a standby as well.
        metrics: the text exposition of the metrics.
    """

    live: Callable[[], bool]
    ready: Callable[[], bool]
    metrics: Callable[[], Awaitable[bytes]]


@asynccontextmanager
async def serve(probes: Probes, host: str, port: int) -> AsyncIterator[None]:
    """Serve the endpoints until the context ends.

    Raises:
        ConfigurationError: the address is in use or not local.
    """
    app = web.Application()
    app.add_routes(
        [
            web.get("/livez", _probe(probes.live)),
            web.get("/readyz", _probe(probes.ready)),
            web.get("/metrics", _text(probes.metrics)),
        ]
    )
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await _listen(runner, host, port)
        yield
    finally:
        await runner.cleanup()


async def _listen(runner: web.AppRunner, host: str, port: int) -> None:
    try:
        await web.TCPSite(runner, host, port).start()
    except OSError as problem:
        raise ConfigurationError(
            f"probes and metrics cannot be served on {host}:{port}: {problem.strerror}; set httpHost and httpPort"
        ) from problem


def _probe(check: Callable[[], bool]) -> _Handler:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(text="ok\n") if check() else web.Response(status=503, text="not yet\n")

    return handle


def _text(render: Callable[[], Awaitable[bytes]]) -> _Handler:
    async def handle(_request: web.Request) -> web.Response:
        return web.Response(body=await render(), headers={"Content-Type": CONTENT_TYPE})

    return handle
