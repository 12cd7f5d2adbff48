"""kopf's connections, on which its lists and watches are seen.

kopf lists a kind before it watches it, at its start and whenever the API server has forgotten where the watch was
(410 Gone). Such a list reports what there is, and not what was deleted since somebody else listed the kind. So once a
watch has begun that follows a list, the kind is to be listed again: what is absent from that list is gone, and what is
deleted later is in the watch.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from http import HTTPStatus

import aiohttp
import kopf

from serinus.handlers.dispatch import Sink
from serinus.kube.connection import Connection
from serinus.kube.kinds import Source


@dataclass(frozen=True, kw_only=True)
class _Session(kopf.AiohttpSession):
    """A session for kopf; it equals one with the same credentials, which kopf does not try again after a 401."""

    aiohttp_session: aiohttp.ClientSession = field(compare=False, repr=False)
    connection: Connection = field(repr=False)


class Sessions:
    """The sessions of one run of kopf, in whose event loop they are opened; ``close`` them when it has ended."""

    def __init__(self, sources: Iterable[Source], sink: Sink) -> None:
        """Tell this sink which of these kinds must be listed again."""
        self._sources = tuple(sources)
        self._sink = sink
        self._listed: set[str] = set()
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
        trace.on_request_end.append(self._on_request_end)
        session = aiohttp.ClientSession(
            # Every watch keeps its connection: a limit would let the later ones wait for ever.
            connector=aiohttp.TCPConnector(limit=0, ssl=credentials.as_ssl_context()),
            headers=credentials.as_http_headers(),
            trust_env=True,
            trace_configs=[trace],
        )
        self._opened.append(session)
        return _Session(server=connection.server, aiohttp_session=session, connection=connection)

    async def close(self) -> None:
        """Close every session; kopf closes only those that it has used."""
        for session in self._opened:
            await session.close()

    async def _on_request_end(
        self, _session: aiohttp.ClientSession, _context: object, request: aiohttp.TraceRequestEndParams
    ) -> None:
        if request.method != "GET" or request.response.status != HTTPStatus.OK:
            return
        path, is_watch = request.url.path, "watch" in request.url.query
        source = next((source for source in self._sources if _is_collection(path, source)), None)
        if source is None:
            return
        if not is_watch:
            self._listed.add(path)
        elif path in self._listed:
            self._listed.discard(path)
            self._sink.on_relist(source.record)


def _is_collection(path: str, source: Source) -> bool:
    """Return whether a path names the objects of a kind, in one namespace or in all of them."""
    _, found, rest = path.partition(f"/{source.kind.api_version}/")
    parts = rest.split("/")
    return bool(found) and parts[-1] == source.kind.plural and (len(parts) == 1 or parts[0] == "namespaces")
