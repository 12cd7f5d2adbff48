"""Just enough HTTP/1.1 to send one fixed kind of request very often.

A general client costs 0.7 ms of processor time a request, which at 500 a second is a third of a core that the programs
under test need; this one costs a fifth of that. It understands answers with a Content-Length, as Envoy sends them here;
anything else counts as no answer.
"""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

_LARGEST_ANSWER: Final = 65_536
_STATUS: Final = re.compile(rb"HTTP/1\.1 ([1-5][0-9]{2})\b")
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*([0-9]{1,9})", re.IGNORECASE)
_HEADER_ENDS: Final = b"\r\n\r\n"


class Answer(NamedTuple):
    """What came back: the status, and the value of the one header that was asked for (empty where it is missing)."""

    status: int
    header: str


class NoAnswerError(Exception):
    """The connection failed, closed, took too long, or spoke in another form."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where to connect, and which header of an answer is wanted."""

    host: str
    port: int
    header: str


def request_of(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """Return the bytes of a POST."""
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("ascii") + body


def answer_in(received: bytes, header: re.Pattern[bytes]) -> Answer | None:
    """Return the answer that the bytes hold, or None while it is not all there.

    Raises:
        NoAnswerError: it is longer than 64 KiB or has another form.
    """
    end = received.find(_HEADER_ENDS)
    if end < 0 and len(received) <= _LARGEST_ANSWER:
        return None
    head = received[:end]
    status, length = _STATUS.match(head), _LENGTH.search(head)
    if status is None or length is None or int(length[1]) > _LARGEST_ANSWER:
        raise NoAnswerError("an answer in an unknown form")
    if len(received) < end + len(_HEADER_ENDS) + int(length[1]):
        return None
    found = header.search(head)
    return Answer(int(status[1]), found[1].decode("ascii", "replace").strip() if found else "")


def header_pattern(name: str) -> re.Pattern[bytes]:
    """Return what finds a header's value in the head of an answer."""
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
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - create_connection makes no other
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
    """Keeps connections open and lends each to one request at a time."""

    target: Target
    _idle: list[_Connection] = field(default_factory=list)

    async def ask(self, request: bytes, within: float) -> Answer:
        """Send a request and return its answer.

        Args:
            request: all of its bytes.
            within: seconds until it counts as unanswered.

        Raises:
            NoAnswerError: there was none.
        """
        connection = self._take()
        try:
            async with asyncio.timeout(within):
                if connection is None:
                    connection = await self._open()
                answer = await connection.send(request)
        except (OSError, TimeoutError) as problem:
            if connection is not None:
                connection.close()
            raise NoAnswerError(f"{self.target.host}:{self.target.port} did not answer: {problem!r}") from problem
        self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close all connections that are not lent."""
        while self._idle:
            self._idle.pop().close()

    def _take(self) -> _Connection | None:
        # The one used last is the one that the other side has least reason to have closed.
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
