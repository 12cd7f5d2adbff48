"""A minimal HTTP/1.1 client for sending one fixed kind of request at a high rate.

A general client costs 0.7 ms of CPU time a request, which at 500 a second is a third of a core that the programs under
test need; this one costs a fifth of that. It understands responses with a Content-Length, as Envoy sends them here;
anything else counts as no response.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_MAX_BYTES: Final = 65_536
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2})\b")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})", re.IGNORECASE)
_END_OF_HEADERS: Final = b"\r\n\r\n"


class Answer(NamedTuple):
    """A response: its status and the value of the target's header (empty if missing)."""

    status: int
    header: str


class NoAnswerError(Exception):
    """The connection failed, closed or timed out, or the response was malformed."""


@dataclass(frozen=True, slots=True)
class Target:
    """The address to connect to, and the response header to extract."""

    host: str
    port: int
    header: str


def request_of(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the bytes of a POST request."""
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("ascii") + body


def answer_in(received: bytes, header: re.Pattern[bytes]) -> Answer | None:
    """Return the parsed response, or None while it is incomplete.

    Raises:
        NoAnswerError: it is longer than 64 KiB or malformed.
    """
    end = received.find(_END_OF_HEADERS)
    if end < 0 and len(received) <= _MAX_BYTES:
        return None
    head = received[:end]
    status, length = _STATUS.match(head), _LENGTH.search(head)
    if status is None or length is None or int(length[1]) > _MAX_BYTES:
        raise NoAnswerError("malformed response")
    if len(received) < end + len(_END_OF_HEADERS) + int(length[1]):
        return None
    value = header.search(head)
    return Answer(int(status[1]), value[1].decode("ascii", "replace").strip() if value else "")


def header_pattern(name: str) -> re.Pattern[bytes]:
    """Return a pattern that matches a header's value in the head of a response."""
    return re.compile(rb"\r\n" + re.escape(name.encode("ascii")) + rb":[ \t]*([^\r\n]*)", re.IGNORECASE)


class _Connection(asyncio.Protocol):
    def __init__(self, header: re.Pattern[bytes]) -> None:
        self._header = header
        self._received = b""
        self._waiting: asyncio.Future[Answer] | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def usable(self) -> bool:
        return self._transport is not None and not self._transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection returns no other type
        self._transport = transport

    def send(self, request: bytes) -> asyncio.Future[Answer]:
        if self._transport is None:
            raise NoAnswerError("not connected")
        self._received = b""
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return self._waiting

    def data_received(self, data: bytes) -> None:
        self._received += data
        if self._waiting is None or self._waiting.done():
            self.close()
            return
        try:
            answer = answer_in(self._received, self._header)
        except NoAnswerError as problem:
            self._waiting.set_exception(problem)
            self.close()
            return
        if answer is not None:
            self._waiting.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(NoAnswerError(f"the connection closed: {exc}"))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


@dataclass(slots=True)
class Connections:
    """A connection pool; each connection carries one request at a time."""

    target: Target
    _idle: list[_Connection] = field(default_factory=list)
    _closed: bool = False

    async def ask(self, request: bytes, within: float) -> Answer:
        """Send a request and return its response.

        Args:
            request: the complete bytes.
            within: time-out in seconds.

        Raises:
            NoAnswerError: there was no valid response in time.
        """
        connection = self._take()
        answer: Answer | None = None
        try:
            async with asyncio.timeout(within):
                if connection is None:
                    connection = await self._open()
                answer = await connection.send(request)
        except (OSError, TimeoutError) as problem:
            raise NoAnswerError(f"{self.target.host}:{self.target.port} did not answer: {problem!r}") from problem
        finally:
            # A cancelled request must not leave its connection open: the response may still come.
            if answer is None and connection is not None:
                connection.close()
        self._keep(connection)
        return answer

    def _keep(self, connection: _Connection) -> None:
        if self._closed:
            connection.close()
        else:
            self._idle.append(connection)

    def close(self) -> None:
        """Close all idle connections, and each other one as soon as its request is over."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> _Connection | None:
        # The most recently used connection is the least likely to have been closed by the peer.
        while self._idle:
            connection = self._idle.pop()
            if connection.usable:
                return connection
        return None

    async def _open(self) -> _Connection:
        pattern = header_pattern(self.target.header)
        _, connection = await asyncio.get_running_loop().create_connection(
            lambda: _Connection(pattern), self.target.host, self.target.port
        )
        return connection
