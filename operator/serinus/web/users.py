"""Readers with the rights of whoever asks: each request bears its user's own token for the API server."""

import asyncio
import hashlib
import re
from collections import OrderedDict
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final, Protocol

from starlette.requests import Request

from serinus.api.schema import NAME, in_python
from serinus.kube.client import Requests
from serinus.ports.services import Clock
from serinus.web.reader import ClusterReader

MOST_USERS: Final = 64
"""So many users are remembered, the latest; another one costs no more than a new connection."""

_MOST_NAMESPACES: Final = 16
_LONGEST_TOKEN: Final = 8192
_TOKEN: Final = re.compile(r"Bearer ([A-Za-z0-9._~+/-]+=*)", re.IGNORECASE)
"""RFC 6750, section 2.1."""


class UserClient(Requests, Protocol):
    """A client of the API server, with a user's rights."""

    async def close(self) -> None:
        """Close all connections."""


class NoTokenError(Exception):
    """The request bears no token."""


@dataclass(slots=True)
class _User:
    """The client of one token, and its readers by namespace; the empty one reads all namespaces."""

    client: UserClient
    readers: OrderedDict[str, ClusterReader] = field(default_factory=OrderedDict)

    async def close(self) -> None:
        for reader in self.readers.values():
            await reader.close()
        await self.client.close()


class UserReaders:
    """One client for each token: what a user may not read, the API server refuses; the process has no rights."""

    def __init__(self, connect: Callable[[str], UserClient], clock: Clock) -> None:
        """``connect`` returns a client that sends this token."""
        self._connect = connect
        self._clock = clock
        self._users: OrderedDict[bytes, _User] = OrderedDict()
        self._closing: set[asyncio.Task[None]] = set()

    def of(self, request: Request) -> ClusterReader:
        """Return the reader of whoever asks, restricted to the namespace that the address names, if it names one.

        A list of one namespace needs no right on the others.

        Raises:
            NoTokenError: the request bears no token, or what cannot be one.
        """
        user, namespace = self._user(_token_of(request)), _namespace_of(request)
        reader = user.readers.get(namespace)
        if reader is None:
            reader = user.readers[namespace] = ClusterReader(user.client, self._clock, namespace)
        user.readers.move_to_end(namespace)
        if len(user.readers) > _MOST_NAMESPACES:
            self._end(user.readers.popitem(last=False)[1].close())
        return reader

    async def close(self) -> None:
        """Close all connections."""
        while self._users:
            await self._users.popitem()[1].close()
        await asyncio.gather(*self._closing)

    def _user(self, token: str) -> _User:
        # The token itself is only kept where it is sent from.
        digest = hashlib.sha256(token.encode()).digest()
        user = self._users.get(digest)
        if user is None:
            user = self._users[digest] = _User(self._connect(token))
        self._users.move_to_end(digest)
        if len(self._users) > MOST_USERS:
            self._end(self._users.popitem(last=False)[1].close())
        return user

    def _end(self, closing: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(closing)
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)


def _token_of(request: Request) -> str:
    header = request.headers.get("authorization", "")
    found = _TOKEN.fullmatch(header) if len(header) <= _LONGEST_TOKEN else None
    if found is None:
        raise NoTokenError
    return found[1]


def _namespace_of(request: Request) -> str:
    named = request.path_params.get("namespace") or request.query_params.get("namespace", "").strip()
    return named if re.fullmatch(in_python(NAME), named) else ""
