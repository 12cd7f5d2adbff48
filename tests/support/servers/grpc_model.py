"""A model server that speaks gRPC over HTTP/2 in clear text and ends each call with the status in its path or its own.

Written with h2, so that no code has to be generated: the calls carry no message of any meaning.
"""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from enum import StrEnum

import h2.config
import h2.connection
import h2.errors
import h2.events
import h2.exceptions

_EMPTY_MESSAGE = b"\0\0\0\0\0"
_STATUS = re.compile(r"/status-([0-9]+)(-at-once)?$")


class Broken(StrEnum):
    """Calls that are not ended: the last part of the path."""

    HANG = "hang"
    RESET = "reset"
    RESET_IN_BODY = "reset-in-body"


class GrpcModel(asyncio.Protocol):
    """One connection."""

    def __init__(self, status: int) -> None:
        self._status = status
        self._connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._connection.initiate_connection()
        self._flush()

    def data_received(self, data: bytes) -> None:
        for event in self._connection.receive_data(data):
            if isinstance(event, h2.events.DataReceived):
                self._connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, h2.events.RequestReceived):
                headers = {_text(name): _text(value) for name, value in event.headers or ()}
                self._answer(event.stream_id or 0, headers[":path"])
        self._flush()

    def _answer(self, stream: int, path: str) -> None:
        last = path.rpartition("/")[2]
        if last == Broken.HANG:
            return
        if last == Broken.RESET:
            self._connection.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
            return
        named = _STATUS.search(path)
        status = named[1] if named else str(self._status)
        head = [(":status", "200"), ("content-type", "application/grpc")]
        if named and named[2]:
            self._connection.send_headers(stream, [*head, ("grpc-status", status)], end_stream=True)
            return
        self._connection.send_headers(stream, head)
        self._connection.send_data(stream, _EMPTY_MESSAGE)
        if last == Broken.RESET_IN_BODY:
            asyncio.get_running_loop().call_later(0.05, self._reset, stream)
        else:
            self._connection.send_headers(stream, [("grpc-status", status)], end_stream=True)

    def _reset(self, stream: int) -> None:
        self._connection.reset_stream(stream, h2.errors.ErrorCodes.INTERNAL_ERROR)
        self._flush()

    def _flush(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._connection.data_to_send())

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


def _text(value: bytes | str) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


@asynccontextmanager
async def grpc_model(host: str = "127.0.0.1", port: int = 0, status: int = 0) -> AsyncIterator[int]:
    """Serve until the block ends, and return the port; ``status`` ends the calls whose path names none."""
    connections: list[GrpcModel] = []

    def connection() -> GrpcModel:
        connections.append(GrpcModel(status))
        return connections[-1]

    server = await asyncio.get_running_loop().create_server(connection, host, port)
    async with server:
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()
            for one in connections:
                one.close()
