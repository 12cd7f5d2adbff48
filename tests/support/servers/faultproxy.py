"""A fault-injecting HTTP/1.1 proxy on loopback in front of one server.

It records every request, so that a test can count them, and calls ``plan`` to decide what to do with each.
"""

import asyncio
import json
import socket
import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Self, assert_never
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True, slots=True)
class Request:
    """One request: the parts of its request line, its headers (lower case) and its body."""

    method: str
    target: str
    headers: dict[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def form(self) -> dict[str, str]:
        return {name: values[0] for name, values in parse_qs(self.body.decode()).items()}


@dataclass(frozen=True, slots=True)
class Pass:
    """Forward the request and return the response."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Forward the request after this many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer; keep the connection open."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Reset the connection (RST); with ``after`` once the server has processed the request."""

    after: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with this status instead; with ``after`` once the server has processed the request."""

    code: int
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    after: bool = False


@dataclass(frozen=True, slots=True)
class Truncate:
    """Announce the full length and send only this many bytes."""

    size: int


@dataclass(frozen=True, slots=True)
class Oversize:
    """Append this many bytes of white space, which JSON allows."""

    size: int


@dataclass(frozen=True, slots=True)
class Drip:
    """Send the response byte by byte, with this many seconds in between."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Change:
    """Apply this function to the server's JSON response."""

    change: Callable[[dict[str, object]], dict[str, object]]


Fault = Pass | Delay | Hang | Reset | Status | Truncate | Oversize | Drip | Change


def warned(text: str) -> Change:
    """Add a warning, as Thanos and Mimir do when a store did not answer."""
    return Change(lambda answer: answer | {"warnings": [text]})


class FaultProxy:
    """``async with FaultProxy(host, port) as proxy``; set ``plan`` at any time."""

    def __init__(self, host: str, port: int) -> None:
        self._upstream = (host, port)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self.requests: list[Request] = []
        self.plan: Callable[[Request], Fault] = lambda _: Pass()

    def always(self, fault: Fault) -> None:
        """Apply this fault to every request from now on."""
        self.plan = lambda _: fault

    @property
    def url(self) -> str:
        assert self._server is not None, "enter the proxy first"
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)
        await self._server.wait_closed()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            while (request := await _read_request(reader)) is not None:
                self.requests.append(request)
                if not await self._serve(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client disconnected, or the test is over
        finally:
            self._open.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> bool:  # noqa: C901 - one case for each fault
        """Apply the planned fault; return whether the connection can be reused."""
        match fault := self.plan(request):
            case Pass():
                return await _send(writer, await self._forward(request))
            case Delay(seconds):
                await asyncio.sleep(seconds)
                return await _send(writer, await self._forward(request))
            case Hang():
                await asyncio.Event().wait()
                return False
            case Reset(after):
                if after:
                    await self._forward(request)
                return _reset(writer)
            case Status(code, body, headers, after):
                if after:
                    await self._forward(request)
                return await _send(writer, (code, body), headers)
            case Truncate(size):
                code, body = await self._forward(request)
                return await _send(writer, (code, body[:size]), announced=len(body))
            case Oversize(size):
                code, body = await self._forward(request)
                return await _send(writer, (code, body + b" " * size))
            case Drip(seconds):
                return await _drip(writer, await self._forward(request), seconds)
            case Change(change):
                code, body = await self._forward(request)
                return await _send(writer, (code, json.dumps(change(json.loads(body))).encode()))
            case _:
                assert_never(fault)

    async def _forward(self, request: Request) -> tuple[int, bytes]:
        reader, writer = await asyncio.open_connection(*self._upstream)
        try:
            forwarded = {name: value for name, value in request.headers.items() if name != "accept-encoding"}
            headers = "".join(f"{name}: {value}\r\n" for name, value in (forwarded | {"connection": "close"}).items())
            writer.write(f"{request.method} {request.target} HTTP/1.1\r\n{headers}\r\n".encode() + request.body)
            await writer.drain()
            return await _read_response(reader)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _read_request(reader: asyncio.StreamReader) -> Request | None:
    first = await reader.readline()
    if not first.strip():
        return None
    method, target, _ = first.decode().split(" ", 2)
    headers = await _read_headers(reader)
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Request(method, target, headers, body)


async def _read_headers(reader: asyncio.StreamReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    while line := (await reader.readline()).strip():
        name, _, value = line.decode().partition(":")
        headers[name.lower()] = value.strip()
    return headers


async def _read_response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    status = int((await reader.readline()).split()[1])
    headers = await _read_headers(reader)
    if headers.get("transfer-encoding", "").lower() != "chunked":
        return status, await reader.read()
    body = b""
    while size := int(await reader.readline(), 16):
        body += await reader.readexactly(size)
        await reader.readline()
    return status, body


async def _send(
    writer: asyncio.StreamWriter,
    response: tuple[int, bytes],
    headers: tuple[tuple[str, str], ...] = (),
    announced: int | None = None,
) -> bool:
    code, body = response
    writer.write(_head(code, len(body) if announced is None else announced, headers) + body)
    await writer.drain()
    return announced is None


async def _drip(writer: asyncio.StreamWriter, response: tuple[int, bytes], seconds: float) -> bool:
    code, body = response
    writer.write(_head(code, len(body)))
    for index in range(len(body)):
        writer.write(body[index : index + 1])
        await writer.drain()
        await asyncio.sleep(seconds)
    return True


def _head(code: int, length: int, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {code} Test\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def _reset(writer: asyncio.StreamWriter) -> bool:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False
