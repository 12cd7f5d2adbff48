"""kopf's connections: its lists are asked for without objects, and each of them has the operator list the kind.

kopf lists a kind before it watches it, at its start and whenever the API server has forgotten where the watch was
(410 Gone). The watch begins at the resource version of that list. So the list that the operator reads after it and the
watch together contain everything: what happened before is in the list, whatever happens later is in the watch. The
objects of kopf's own list are not needed, and would cost a task of kopf each; nor would they report what was deleted
while nobody watched.

The operator is told as soon as the list was answered, not once the watch has begun: until an API server that is busy
answers the watch, nobody would know of an object that was made before kopf's list and after the operator's.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

import aiohttp
import kopf
from yarl import URL

from serinus.handlers.dispatch import Sink
from serinus.kube.connection import Connection
from serinus.kube.kinds import Source, collection_path

_NO_OBJECT: Final = {"fieldSelector": "metadata.name=-"}
"""No object can have this name; the API server takes this selector for every kind."""

_LISTED_WITHIN: Final = 60.0
_ASKED_AGAIN_WITHIN: Final = 300.0
"""Seconds: kopf opens a watch anew after 250 s at the latest, and tries again 8 s after a failure."""


@dataclass(frozen=True, kw_only=True)
class _Session(kopf.AiohttpSession):
    """A session for kopf; it equals one with the same credentials, which kopf does not try again after a 401."""

    aiohttp_session: aiohttp.ClientSession = field(compare=False, repr=False)
    connection: Connection = field(repr=False)


@dataclass(slots=True)
class _Watched:
    """A collection that kopf is to list and watch: when it asked last, and whether a list was answered."""

    source: Source
    asked: float
    listed: bool = False


class Sessions:
    """The sessions of one run of kopf, in whose event loop they are opened; ``close`` them when it has ended."""

    def __init__(
        self,
        sources: Iterable[Source],
        namespaces: Sequence[str],
        sink: Sink,
        on_begun: Callable[[], object] = lambda: None,
    ) -> None:
        """Tell this sink of each list of these kinds, and call ``on_begun`` once when every collection was listed."""
        self._sink = sink
        self._on_begun = on_begun
        now = time.monotonic()
        self._watched = {
            collection_path(source.kind, namespace): _Watched(source, now)
            for source in sources
            for namespace in (namespaces if source.namespaced and namespaces else ("",))
        }
        self._opened: list[aiohttp.ClientSession] = []

    def open(self, connection: Connection) -> kopf.AiohttpSession:
        """Return a session with these credentials."""
        credentials = kopf.ConnectionInfo(
            server=connection.server,
            ca_path=connection.ca_path,
            insecure=connection.insecure,
            certificate_path=connection.certificate_path,
            private_key_path=connection.private_key_path,
            scheme=connection.scheme,
            token=connection.token,
        )
        trace = aiohttp.TraceConfig()
        trace.on_request_start.append(self._on_request_start)
        trace.on_request_end.append(self._on_request_end)
        session = aiohttp.ClientSession(
            # Every watch keeps its connection: a limit would let the later ones wait for ever.
            connector=aiohttp.TCPConnector(limit=0, ssl=credentials.as_ssl_context()),
            headers=credentials.as_http_headers(),
            trust_env=True,
            trace_configs=[trace],
            middlewares=(self._ask_for_no_object,),
        )
        self._opened.append(session)
        return _Session(server=connection.server, aiohttp_session=session, connection=connection)

    async def close(self) -> None:
        """Close every session; kopf closes only those that it has used."""
        for session in self._opened:
            await session.close()

    def neglected(self) -> list[str]:
        """Return the collections that kopf should have asked for long ago, and has not."""
        now = time.monotonic()
        return [
            path
            for path, watched in self._watched.items()
            if now - watched.asked > (_ASKED_AGAIN_WITHIN if watched.listed else _LISTED_WITHIN)
        ]

    async def _on_request_start(
        self, _session: aiohttp.ClientSession, _context: object, request: aiohttp.TraceRequestStartParams
    ) -> None:
        watched = self._of(request.url)
        if watched is not None:
            watched.asked = time.monotonic()

    async def _on_request_end(
        self, _session: aiohttp.ClientSession, _context: object, request: aiohttp.TraceRequestEndParams
    ) -> None:
        watched = self._of(request.url)
        if watched is None or _is_watch(request.url) or request.response.status != HTTPStatus.OK:
            return
        self._sink.on_relist(watched.source.record)
        if not watched.listed:
            watched.listed = True
            if all(each.listed for each in self._watched.values()):
                self._on_begun()

    async def _ask_for_no_object(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self._of(request.url) is not None and not _is_watch(request.url):
            request.url = request.url.update_query(_NO_OBJECT)
        return await handler(request)

    def _of(self, url: URL) -> _Watched | None:
        """Return the collection that a URL names; None for any other URL. kopf only ever reads them."""
        # The address of the API server may have a path of its own.
        return next((watched for path, watched in self._watched.items() if url.path.endswith(path)), None)


def _is_watch(url: URL) -> bool:
    return "watch" in url.query
