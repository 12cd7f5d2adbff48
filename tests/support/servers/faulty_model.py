"""A model server over HTTP/1.1 that leaves requests without a complete answer, as broken releases do."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from enum import StrEnum
from itertools import count
from typing import assert_never

_HEAD = b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n"
_SLOW_SECONDS = 0.4
_LONGEST_SECONDS = 60.0


class Fault(StrEnum):
    """What happens to a request."""

    NONE = "none"
    HANG = "hang"
    RESET = "reset"
    """The connection ends before the answer begins."""
    RESET_IN_BODY = "reset-in-body"
    SHORT_BODY = "short-body"
    """The connection is closed in the regular way, in the midst of the body."""
    UNENDED_CHUNKS = "unended-chunks"
    SLOW = "slow"
    STREAM = "stream"
    """The answer begins and goes on for longer than any client waits."""
    ERROR = "error"
    REFUSE = "refuse"
    RESET_THEN_GOOD = "reset-then-good"
    """Of two requests the first is reset: a repetition of it is answered."""


_FAULTS = {fault.value: fault for fault in Fault}


@dataclass(slots=True)
class FaultyModel:
    """Answers each request as its path says, else every ``every``-th with the fault; /healthz and the others well."""

    fault: Fault = Fault.NONE
    every: int = 1
    after: int = 0
    port: int = 0
    _numbers: "count[int]" = field(default_factory=lambda: count(1))
    _connections: set[asyncio.Task[None]] = field(default_factory=set)

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection until it ends."""
        connection = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def close(self) -> None:
        """End all connections."""
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                while await self._answer(await _request(reader), reader, writer):
                    await writer.drain()
        finally:
            writer.transport.abort()

    def _fault_of(self, path: str) -> Fault:
        named = path.rpartition("/")[2]
        if named == "healthz":
            return Fault.NONE
        if named == Fault.RESET_THEN_GOOD:
            return Fault.RESET if next(self._numbers) % 2 else Fault.NONE
        if named in _FAULTS:
            return _FAULTS[named]
        number = next(self._numbers)
        return self.fault if number > self.after and number % self.every == 0 else Fault.NONE

    async def _answer(self, path: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request, and return whether the connection can take another one."""
        fault = self._fault_of(path)
        match fault:
            case Fault.NONE:
                writer.write(_HEAD % (b"200 OK", 2) + b"{}")
            case Fault.SLOW:
                await asyncio.sleep(_SLOW_SECONDS)  # what the client's patience is measured against
                writer.write(_HEAD % (b"200 OK", 2) + b"{}")
            case Fault.ERROR:
                writer.write(_HEAD % (b"500 Internal Server Error", 0))
            case Fault.REFUSE:
                writer.write(_HEAD % (b"401 Unauthorized", 0))
            case Fault.HANG:
                return await _until_left(reader)
            case Fault.STREAM:
                writer.write(_HEAD % (b"200 OK", 1000) + b"{")
                return await _until_left(reader)
            case Fault.RESET | Fault.RESET_THEN_GOOD:
                return False
            case Fault.RESET_IN_BODY | Fault.SHORT_BODY | Fault.UNENDED_CHUNKS:
                await _break_off(fault, writer)
                return False
            case _:
                assert_never(fault)
        return True


async def _request(reader: asyncio.StreamReader) -> str:
    """Read a request with its body, and return its path."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    length = next((int(line.partition(":")[2]) for line in lines if line.lower().startswith("content-length:")), 0)
    await reader.readexactly(length)
    return lines[0].split()[1]


async def _until_left(reader: asyncio.StreamReader) -> bool:
    with suppress(TimeoutError):
        await asyncio.wait_for(reader.read(), _LONGEST_SECONDS)
    return False


async def _break_off(fault: Fault, writer: asyncio.StreamWriter) -> None:
    """Begin an answer; its end comes in a segment of its own, so that the gateway has passed the beginning on."""
    if fault is Fault.UNENDED_CHUNKS:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n")
    else:
        writer.write(_HEAD % (b"200 OK", 1000) + b"{")
    await writer.drain()
    await asyncio.sleep(0.05)
    if fault is Fault.RESET_IN_BODY:
        writer.transport.abort()
    else:
        writer.close()


@asynccontextmanager
async def faulty_model(
    host: str = "127.0.0.1", port: int = 0, fault: Fault = Fault.NONE, every: int = 1
) -> AsyncIterator[FaultyModel]:
    """Serve until the block ends."""
    model = FaultyModel(fault, every)
    server = await asyncio.start_server(model.accept, host, port)
    model.port = server.sockets[0].getsockname()[1]
    async with server:
        try:
            yield model
        finally:
            server.close()
            await model.close()
