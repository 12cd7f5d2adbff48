"""Drives an ASGI application without a socket: one GET, or a stream of which so many events are read."""

import asyncio
from dataclasses import dataclass
from urllib.parse import unquote

from starlette.types import ASGIApp, Message

HOST = "127.0.0.1:8321"


@dataclass(frozen=True)
class Answered:
    """A response; ``headers`` with names in small letters."""

    status: int
    headers: dict[str, str]
    body: str


async def get(
    app: ASGIApp,
    target: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    until: str = "",
) -> Answered:
    """Ask for a target; with ``until`` the client leaves as soon as the body contains that text."""
    path, _, query = target.partition("?")
    given = {"host": HOST, **(headers or {})}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": unquote(path),
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": query.encode(),
        "headers": [(name.lower().encode(), value.encode()) for name, value in given.items() if value],
        "server": ("127.0.0.1", 8321),
        "client": ("127.0.0.1", 50000),
    }
    left = asyncio.Event()
    sent: list[Message] = []

    incoming: list[Message] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Message:
        if incoming:
            return incoming.pop()
        await left.wait()
        return {"type": "http.disconnect"}

    async def send(message: Message) -> None:
        sent.append(message)
        if until and until in _body(sent):
            left.set()

    await app(scope, receive, send)
    start = sent[0]
    return Answered(
        start["status"], {name.decode().lower(): value.decode() for name, value in start["headers"]}, _body(sent)
    )


def _body(sent: list[Message]) -> str:
    return b"".join(message.get("body", b"") for message in sent if message["type"] == "http.response.body").decode()
