"""HTTP/1.1 messages on asyncio's streams: just what the operator, kubectl proxy and Prometheus' clients send."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

Headers = dict[str, str]
"""By lower-case name."""


@dataclass(frozen=True, slots=True)
class Request:
    """One request."""

    method: str
    target: str
    headers: Headers
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        return {name: values[-1] for name, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass(frozen=True, slots=True)
class Response:
    """One response that is complete."""

    status: int
    headers: Headers
    body: bytes

    def encoded(self) -> bytes:
        """Return it as it is sent, with its length."""
        left_out = ("content-length", "transfer-encoding")
        headers = "".join(f"{name}: {value}\r\n" for name, value in self.headers.items() if name not in left_out)
        head = f"HTTP/1.1 {self.status} Status\r\n{headers}content-length: {len(self.body)}\r\n\r\n"
        return head.encode() + self.body


async def read_request(reader: asyncio.StreamReader) -> Request | None:
    """Return the next request; None where the client has gone."""
    try:
        first, headers = await read_head(reader)
        body = await reader.readexactly(int(headers.get("content-length", "0")))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    method, target, _ = first.split(" ", 2)
    return Request(method, target, headers, body)


async def read_head(reader: asyncio.StreamReader) -> tuple[str, Headers]:
    """Return the first line and the headers of a message."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head[:-4].split("\r\n")
    pairs = (line.partition(":") for line in lines)
    return first, {name.strip().lower(): value.strip() for name, _, value in pairs}


async def read_chunk(reader: asyncio.StreamReader) -> bytes:
    """Return the next chunk of a chunked body; empty at its end."""
    size = int((await reader.readuntil(b"\r\n")).split(b";")[0], 16)
    chunk = await reader.readexactly(size)
    await reader.readexactly(2)
    return chunk


async def read_body(reader: asyncio.StreamReader, headers: Headers) -> bytes:
    """Return the body of a response."""
    if headers.get("transfer-encoding") != "chunked":
        return await reader.readexactly(int(headers.get("content-length", "0")))
    parts: list[bytes] = []
    while chunk := await read_chunk(reader):
        parts.append(chunk)
    return b"".join(parts)


def reset(writer: asyncio.StreamWriter) -> None:
    """End a connection by a reset instead of a regular end."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
