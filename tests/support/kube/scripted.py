"""A server on loopback that answers as a test says: to see what the client makes of real HTTP."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from kubernetes.aio.client import Configuration

from serinus.kube.client import KubernetesClient

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Script:
    """What the server answers next, and what it was asked.

    Attributes:
        answers: taken from the front; the last one stays.
        asked: the requests, as ``METHOD path``.
        headers: those of each request, by their names in small letters.
        bodies: those of each request, parsed.
        url: where the server is.
    """

    answers: list[Answer]
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    url: str = ""
    came: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def asked_for(self, number: int, within: float = 10.0) -> None:
        """Return when so many requests have come; TimeoutError after ``within`` seconds."""
        async with asyncio.timeout(within), self.came:
            await self.came.wait_for(lambda: len(self.asked) >= number)


def says(status: int, body: object = None, **headers: str) -> Answer:
    """Answer with a status and a JSON body."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=json.dumps(body if body is not None else {}), headers=headers)

    return answer


def status(code: int, message: str, reason: str = "") -> Answer:
    """Answer with a metav1.Status as the API server writes it."""
    return says(code, {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code})


async def hangs(_: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def hangs_up(request: web.Request) -> web.StreamResponse:
    """Close the connection without an answer."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def says_raw(content: bytes) -> Answer:
    """Answer 200 with any bytes."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type="application/json")

    return answer


@asynccontextmanager
async def scripted(*answers: Answer) -> AsyncIterator[Script]:
    """Serve the answers on loopback."""
    script = Script(list(answers))

    async def handle(request: web.Request) -> web.StreamResponse:
        script.asked.append(f"{request.method} {request.path_qs}")
        script.headers.append({name.lower(): value for name, value in request.headers.items()})
        text = await request.text()
        script.bodies.append(json.loads(text) if text else None)
        async with script.came:
            script.came.notify_all()
        answer = script.answers.pop(0) if len(script.answers) > 1 else script.answers[0]
        return await answer(request)

    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    script.url = f"http://{host}:{port}"
    try:
        yield script
    finally:
        await runner.cleanup()


@asynccontextmanager
async def client_of(url: str) -> AsyncIterator[KubernetesClient]:
    """Connect to a server without TLS."""
    configuration = Configuration()
    configuration.host = url
    configuration.api_key["BearerToken"] = "Bearer secret"
    client = KubernetesClient(configuration)
    try:
        yield client
    finally:
        await client.close()
