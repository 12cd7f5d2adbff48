"""A server on loopback with scripted responses, for tests of clients over real HTTP."""

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
    """The responses that the server will send, and the requests that it received.

    Attributes:
        answers: the responses in order; the last one is repeated.
        asked: the requests, as ``METHOD path``.
        headers: the headers of each request, by lower-case name.
        bodies: the parsed body of each request.
        url: URL of the server.
        arrived: notified on every request.
    """

    answers: list[Answer]
    asked: list[str] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)
    bodies: list[Any] = field(default_factory=list)
    url: str = ""
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def wait_for_requests(self, number: int, within: float = 10.0) -> None:
        """Wait until this many requests have arrived; TimeoutError after ``within`` seconds."""
        async with asyncio.timeout(within), self.arrived:
            await self.arrived.wait_for(lambda: len(self.asked) >= number)


def respond(status: int, body: object = None, **headers: str) -> Answer:
    """Answer with a status and a JSON body."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(status=status, text=json.dumps(body if body is not None else {}), headers=headers)

    return answer


def status(code: int, message: str, reason: str = "") -> Answer:
    """Answer with a metav1.Status, as the API server does."""
    return respond(code, {"kind": "Status", "status": "Failure", "message": message, "reason": reason, "code": code})


async def hang(_: web.Request) -> web.StreamResponse:
    """Never answer."""
    await asyncio.Event().wait()
    raise AssertionError


async def disconnect(request: web.Request) -> web.StreamResponse:
    """Close the connection without a response."""
    assert request.transport is not None
    request.transport.close()
    return web.Response()


def respond_raw(content: bytes) -> Answer:
    """Answer 200 with these bytes."""

    async def answer(_: web.Request) -> web.StreamResponse:
        return web.Response(body=content, content_type="application/json")

    return answer


@asynccontextmanager
async def scripted(*answers: Answer) -> AsyncIterator[Script]:
    """Serve these responses on loopback."""
    script = Script(list(answers))

    async def handle(request: web.Request) -> web.StreamResponse:
        script.asked.append(f"{request.method} {request.path_qs}")
        script.headers.append({name.lower(): value for name, value in request.headers.items()})
        text = await request.text()
        script.bodies.append(json.loads(text) if text else None)
        async with script.arrived:
            script.arrived.notify_all()
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
    """Return a client of this server, without TLS."""
    configuration = Configuration()
    configuration.host = url
    configuration.api_key["BearerToken"] = "Bearer secret"
    client = KubernetesClient(configuration)
    try:
        yield client
    finally:
        await client.close()
