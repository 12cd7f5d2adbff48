"""The way of one operator to the API server, on which a point's fault happens."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final

from support.faultpoints.faults import ANY_WRITE, EVENT_FAULTS, REFUSALS, Fault, Point
from support.faultpoints.messages import Request, Response, read_body, read_chunk, read_head, read_request, reset

_PAUSE: Final = 2.0
_PIECES: Final = 8
_CLUSTER_WIDE: Final = "namespaces"


def call_of(request: Request) -> str:
    """Return the kind of a call: ``LIST``, ``WATCH`` or the method, and the resource with its subresource."""
    parts = request.path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:]
    if rest and rest[0] == _CLUSTER_WIDE and len(rest) > 2:
        rest = rest[2:]
    if not rest:
        return f"{request.method} discovery"
    resource = rest[0] + (f"/{rest[2]}" if len(rest) > 2 else "")
    if request.method == "GET" and len(rest) == 1:
        return f"{'WATCH' if 'watch' in request.query else 'LIST'} {resource}"
    return f"{request.method} {resource}"


def is_write(request: Request) -> bool:
    """Return whether it changes something."""
    return request.method != "GET" and "dryRun" not in request.query


@dataclass(slots=True)
class ApiProxy:
    """A proxy with some faults.

    Attributes:
        upstream: host and port of the API server, in plain text.
        points: which faults, and where.
        strike: kills and restarts the operator, or sets its clock.
        calls: how many calls of each kind there were, and how many writes at all.
        events: how many events each watched resource had.
        struck: when each fault happened (seconds since 1970).
    """

    upstream: tuple[str, int]
    points: tuple[Point, ...]
    strike: Callable[[Point], Awaitable[None]]
    calls: Counter[str] = field(default_factory=Counter)
    events: Counter[str] = field(default_factory=Counter)
    struck: dict[Point, float] = field(default_factory=dict)
    _first_lists: dict[str, Response] = field(default_factory=dict)
    _server: asyncio.Server | None = None
    _open: set["asyncio.Task[None]"] = field(default_factory=set)

    async def start(self) -> int:
        """Listen, and return the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=2**22)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def stop(self) -> None:
        """End every connection."""
        assert self._server is not None
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        upstream = _Upstream(self.upstream)
        try:
            while (request := await read_request(reader)) is not None:
                if not await self._serve(request, writer, upstream):
                    break
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the operator was killed or has given up, or the point is over
        finally:
            self._open.discard(task)
            upstream.close()
            writer.close()

    def _count(self, request: Request, call: str) -> Point | None:
        """Count a call, and return the point whose fault happens at it."""
        counted = (call, ANY_WRITE) if is_write(request) else (call,)
        self.calls.update(counted)
        for at in self.points:
            if at.call in counted and at.fault not in EVENT_FAULTS and self._strikes(at, self.calls[at.call]):
                return at
        return None

    def _strikes(self, point: Point, number: int) -> bool:
        if point.number != number or point in self.struck:
            return False
        self.struck[point] = time.time()
        return True

    async def _serve(self, request: Request, writer: asyncio.StreamWriter, upstream: "_Upstream") -> bool:
        """Answer one request; return whether the connection goes on."""
        call = call_of(request)
        struck = self._count(request, call)
        if call.startswith("WATCH ") and struck is None:
            await self._watch(request, call.removeprefix("WATCH "), writer, upstream)
            return False
        if struck is None:
            response = await upstream.ask(request)
            if call.startswith("LIST "):
                self._first_lists.setdefault(request.path, response)
            writer.write(response.encoded())
            await writer.drain()
            return True
        return await self._disturbed(struck, request, writer, upstream)

    async def _disturbed(  # noqa: C901, PLR0912 - one case for each fault
        self, point: Point, request: Request, writer: asyncio.StreamWriter, upstream: "_Upstream"
    ) -> bool:
        match fault := point.fault:
            case Fault.KILL_BEFORE:
                await self.strike(point)
                return False
            case Fault.KILL_AFTER:
                await upstream.ask(request)
                await self.strike(point)
                return False
            case Fault.CLOCK_FORWARD | Fault.CLOCK_BACK:
                await self.strike(point)
                writer.write((await upstream.ask(request)).encoded())
            case Fault.RESET:
                reset(writer)
                return False
            case Fault.RESET_AFTER:
                await upstream.ask(request)
                reset(writer)
                return False
            case Fault.HALF_OPEN:
                await asyncio.Event().wait()
            case Fault.HALF_OPEN_AFTER:
                await upstream.ask(request)
                await asyncio.Event().wait()
            case Fault.SLOW:
                await _slowly((await upstream.ask(request)).encoded(), writer)
            case Fault.GARBAGE:
                answer = await upstream.ask(request)
                writer.write(Response(answer.status, answer.headers, b"<html>\xff not what was asked").encoded())
            case Fault.CUT_OFF:
                encoded = (await upstream.ask(request)).encoded()
                writer.write(encoded[: len(encoded) - 20])
                await writer.drain()
                return False
            case Fault.STALE_LIST:
                fresh = await upstream.ask(request)
                writer.write(self._first_lists.get(request.path, fresh).encoded())
            case Fault.UNAVAILABLE_AFTER:
                await upstream.ask(request)
                writer.write(_refusal(fault).encoded())
            case _ if fault in REFUSALS:
                writer.write(_refusal(fault).encoded())
            case _:
                raise AssertionError(f"{fault} is not a fault of a call")
        await writer.drain()
        return True

    # ---- watches -------------------------------------------------------------------------------

    async def _watch(
        self, request: Request, resource: str, writer: asyncio.StreamWriter, upstream: "_Upstream"
    ) -> None:
        status, headers = await upstream.begin(request)
        if headers.get("transfer-encoding") != "chunked":
            writer.write(Response(status, headers, await upstream.rest(headers)).encoded())
            await writer.drain()
            return
        writer.write(f"HTTP/1.1 {status} Status\r\ncontent-type: application/json\r\n".encode())
        writer.write(b"transfer-encoding: chunked\r\n\r\n")
        rest = b""
        while chunk := await upstream.chunk():
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                await self._event(line + b"\n", resource, writer)
            await writer.drain()
        writer.write(b"0\r\n\r\n")
        await writer.drain()

    async def _event(self, line: bytes, resource: str, writer: asyncio.StreamWriter) -> None:
        if b'"type":"BOOKMARK"' in line[:40]:
            writer.write(_chunk(line))
            return
        self.events[resource] += 1
        number = self.events[resource]
        here = (at for at in self.points if at.fault in EVENT_FAULTS and at.call == f"WATCH {resource}")
        struck = next((at for at in here if self._strikes(at, number)), None)
        match struck.fault if struck is not None else Fault.NONE:
            case Fault.EVENT_DELAYED:
                await asyncio.sleep(_PAUSE)
                writer.write(_chunk(line))
            case Fault.EVENT_DUPLICATED:
                writer.write(_chunk(line) * 2)
            case Fault.EVENT_DROPPED:
                pass
            case Fault.WATCH_STALLED:
                await asyncio.Event().wait()
            case Fault.WATCH_GONE:
                error = {"type": "ERROR", "object": _status_of(410, "Expired")}
                writer.write(_chunk(json.dumps(error).encode() + b"\n"))
            case _:
                writer.write(_chunk(line))


class _Upstream:
    """One connection to the API server, opened where it is needed."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._address = address
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None

    async def begin(self, request: Request) -> tuple[int, dict[str, str]]:
        if self._writer is None or self._writer.is_closing():
            self._reader, self._writer = await asyncio.open_connection(*self._address, limit=2**24)
        kept = {name: value for name, value in request.headers.items() if name not in {"host", "accept-encoding"}}
        headers = "".join(f"{name}: {value}\r\n" for name, value in kept.items())
        head = f"{request.method} {request.target} HTTP/1.1\r\nhost: {self._address[0]}\r\n{headers}\r\n"
        self._writer.write(head.encode("latin-1") + request.body)
        assert self._reader is not None
        first, answered = await read_head(self._reader)
        return int(first.split(" ", 2)[1]), answered

    async def rest(self, headers: dict[str, str]) -> bytes:
        assert self._reader is not None
        return await read_body(self._reader, headers)

    async def chunk(self) -> bytes:
        assert self._reader is not None
        return await read_chunk(self._reader)

    async def ask(self, request: Request) -> Response:
        status, headers = await self.begin(request)
        return Response(status, headers, await self.rest(headers))

    def close(self) -> None:
        if self._writer is not None:
            with suppress(OSError):
                self._writer.close()


def _chunk(content: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(content), content)


def _status_of(code: int, reason: str) -> dict[str, Any]:
    return {
        "kind": "Status",
        "apiVersion": "v1",
        "metadata": {},
        "status": "Failure",
        "message": "a fault that the test makes",
        "reason": reason,
        "code": code,
    }


def _refusal(fault: Fault) -> Response:
    code, reason = REFUSALS[fault]
    headers = {"content-type": "application/json"} | ({"retry-after": "1"} if fault is Fault.BUSY else {})
    return Response(code, headers, json.dumps(_status_of(code, reason)).encode())


async def _slowly(content: bytes, writer: asyncio.StreamWriter) -> None:
    size = max(1, len(content) // _PIECES)
    for begin in range(0, len(content), size):
        writer.write(content[begin : begin + size])
        await writer.drain()
        await asyncio.sleep(_PAUSE / _PIECES)
