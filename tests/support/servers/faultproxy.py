"""An HTTP/1.1 proxy on loopback that fails on demand, for any client with one server behind it.

It keeps every request that it has seen, so that a test can count them, and asks ``plan`` what to do with each.
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
    """One request: its first line's parts, its headers (lower case) and its body."""

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
    """Forward it and bring the answer back."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Forward it after so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Hang:
    """Never answer; keep the connection."""


@dataclass(frozen=True, slots=True)
class Reset:
    """Break the connection (RST); with ``after`` only when the server has done the work."""

    after: bool = False


@dataclass(frozen=True, slots=True)
class Status:
    """Answer with this status instead; with ``after`` only when the server has done the work."""

    code: int
    body: bytes = b"{}"
    headers: tuple[tuple[str, str], ...] = ()
    after: bool = False


@dataclass(frozen=True, slots=True)
class Truncate:
    """Promise the whole answer and send only so many bytes of it."""

    size: int


@dataclass(frozen=True, slots=True)
class Oversize:
    """Bring the answer back with so many bytes of white space behind it, which JSON allows."""

    size: int


@dataclass(frozen=True, slots=True)
class Drip:
    """Send the answer byte by byte, one in so many seconds."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Change:
    """Put the server's JSON answer through this function."""

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
        self.seen: list[Request] = []
        self.plan: Callable[[Request], Fault] = lambda _: Pass()

    def always(self, fault: Fault) -> None:
        """Do the same with every request from now on."""
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
                self.seen.append(request)
                if not await self._serve(request, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            self._open.discard(task)
            writer.close()
            with suppress(ConnectionError, asyncio.CancelledError):
                await writer.wait_closed()

    async def _serve(self, request: Request, writer: asyncio.StreamWriter) -> bool:  # noqa: C901 - one case for each fault
        """Do what the plan says; return whether the connection may be used again."""
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
                return _break(writer)
            case Status(code, body, headers, after):
                if after:
                    await self._forward(request)
                return await _send(writer, (code, body), headers)
            case Truncate(size):
                code, body = await self._forward(request)
                return await _send(writer, (code, body[:size]), promised=len(body))
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
            kept = {name: value for name, value in request.headers.items() if name != "accept-encoding"}
            headers = "".join(f"{name}: {value}\r\n" for name, value in (kept | {"connection": "close"}).items())
            writer.write(f"{request.method} {request.target} HTTP/1.1\r\n{headers}\r\n".encode() + request.body)
            await writer.drain()
            return await _read_answer(reader)
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


async def _read_answer(reader: asyncio.StreamReader) -> tuple[int, bytes]:
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
    answer: tuple[int, bytes],
    headers: tuple[tuple[str, str], ...] = (),
    promised: int | None = None,
) -> bool:
    code, body = answer
    writer.write(_head(code, len(body) if promised is None else promised, headers) + body)
    await writer.drain()
    return promised is None


async def _drip(writer: asyncio.StreamWriter, answer: tuple[int, bytes], seconds: float) -> bool:
    writer.write(_head(answer[0], len(answer[1])))
    for place in range(len(answer[1])):
        writer.write(answer[1][place : place + 1])
        await writer.drain()
        await asyncio.sleep(seconds)
    return True


def _head(code: int, length: int, headers: tuple[tuple[str, str], ...] = ()) -> bytes:
    more = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {code} Said\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n{more}\r\n".encode()


def _break(writer: asyncio.StreamWriter) -> bool:
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    return False
