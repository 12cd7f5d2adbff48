"""The routes: the list, one Rollout, a comparison of two versions, and the live fragments of the first two."""

import re
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from serinus.api.names import ObjectKey
from serinus.api.schema import NAME, SUBDOMAIN, in_python
from serinus.errors import NotFoundError, RefusedError, SerinusError
from serinus.ports.services import Clock
from serinus.web.listing import FilterError, Filters, list_view
from serinus.web.reader import ClusterReader, Facts
from serinus.web.render import LIVE, render, rollout_path
from serinus.web.rollout_view import rollout_view
from serinus.web.security import SecurityGate
from serinus.web.stream import Fragment, Streams
from serinus.web.traffic import traffic_chart
from serinus.web.users import NoTokenError
from serinus.web.versions import ComparisonError, compare, version_rows

_ICON: Final = (
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 16 16"><circle cx="8" cy="8" r="7" fill="#1f5f8b"/></svg>'
)
_LONGEST_SEQUENCE: Final = 12
_LONGEST_VERSION: Final = 65


@dataclass(frozen=True, slots=True)
class _RefusedRequestError(Exception):
    """The request is answered with this status and message."""

    status: HTTPStatus
    message: str


ReaderOf = Callable[[Request], ClusterReader]
"""Returns the reader for a request: with the rights of whoever sent it."""


def build_app(reader: ClusterReader | ReaderOf, clock: Clock, hosts: Collection[str], streams: Streams) -> ASGIApp:
    """Return the application behind its security gate.

    Args:
        reader: reads the cluster for everyone, or returns who reads it for a request.
        clock: the system's.
        hosts: the admitted values of the Host header.
        streams: the live pages.
    """
    site = Site(_always(reader) if isinstance(reader, ClusterReader) else reader, clock, streams)
    pages = {
        "/": site.rollouts,
        "/rollouts/{namespace}/{name}": site.rollout,
        "/rollouts/{namespace}/{name}/diff": site.comparison,
        LIVE: site.live_rollouts,
        f"{LIVE}/rollouts/{{namespace}}/{{name}}": site.live_rollout,
        "/favicon.svg": _icon,
    }
    routes = [Route(path, _answering(page), methods=["GET"]) for path, page in pages.items()]
    app = Starlette(routes=routes, exception_handlers={HTTPStatus.NOT_FOUND: _no_such_page})
    return SecurityGate(app, hosts)


def _always(reader: ClusterReader) -> ReaderOf:
    return lambda _: reader


Page = Callable[[Request], Awaitable[Response]]


def _answering(page: Page) -> Page:
    """Return the page with every failure of ours as a page that says so."""

    async def answer(request: Request) -> Response:
        try:
            return await page(request)
        except _RefusedRequestError as refused:
            return _problem(refused.status, refused.message)
        except NoTokenError:
            return _without_token()
        except FilterError as problem:
            return _problem(HTTPStatus.BAD_REQUEST, str(problem))
        except NotFoundError as problem:
            return _problem(HTTPStatus.NOT_FOUND, f"There is no such object: {problem}")
        except RefusedError as problem:
            return _problem(HTTPStatus.FORBIDDEN, f"The API server refuses it: {problem}")
        except SerinusError as problem:
            return _problem(HTTPStatus.BAD_GATEWAY, f"The cluster cannot be read: {problem}")

    return answer


def _problem(status: HTTPStatus, message: str) -> Response:
    return HTMLResponse(render("problem.html.j2", title=status.phrase, message=message), status)


def _without_token() -> Response:
    message = "Reach this page through a proxy that logs you in and sends your token for the API server along."
    answer = _problem(HTTPStatus.UNAUTHORIZED, message)
    answer.headers["WWW-Authenticate"] = "Bearer"
    return answer


async def _no_such_page(_: Request, __: Exception) -> Response:
    return _problem(HTTPStatus.NOT_FOUND, "There is no such page.")


async def _icon(_: Request) -> Response:
    return Response(_ICON, media_type="image/svg+xml")


class Site:
    """The pages over the readers of those who ask."""

    def __init__(self, reader_of: ReaderOf, clock: Clock, streams: Streams) -> None:
        """Show what these readers read."""
        self._reader_of = reader_of
        self._clock = clock
        self._streams = streams

    async def rollouts(self, request: Request) -> Response:
        """Return the list of all Rollouts."""
        filters = _filters(request)
        fragment, values = await self._list(self._reader_of(request), filters)
        live = f"{LIVE}{filters.query(filters.page)}"
        return HTMLResponse(render("list.html.j2", fragment=fragment.html, live=live, **values))

    async def live_rollouts(self, request: Request) -> Response:
        """Return the stream of the list's fragments."""
        filters = _filters(request)

        async def fragment() -> Fragment:
            return (await self._list(self._reader_of(request), filters))[0]

        self._reader_of(request)
        return self._stream(fragment)

    async def _list(self, reader: ClusterReader, filters: Filters) -> tuple[Fragment, dict[str, object]]:
        read = await reader.rollouts()
        view = list_view(read.value.rows, read.value.namespaces, filters)
        values: dict[str, object] = {"view": view, "read": read}
        headline = ", ".join(f"{label}: {count}" for label, count in view.counts) or "no Rollouts"
        return Fragment(render("list_live.html.j2", **values), headline), values

    async def rollout(self, request: Request) -> Response:
        """Return the page of one Rollout."""
        key, before = self._key(request), _before(request)
        fragment = await self._one(self._reader_of(request), key, before)
        live = f"{LIVE}{rollout_path(key)}" + (f"?before={before}" if before is not None else "")
        return HTMLResponse(render("rollout.html.j2", fragment=fragment.html, live=live, key=key))

    async def live_rollout(self, request: Request) -> Response:
        """Return the stream of one Rollout's fragments; 404 before it where there is no such Rollout."""
        key, before = self._key(request), _before(request)

        async def fragment() -> Fragment:
            return await self._one(self._reader_of(request), key, before)

        await fragment()
        return self._stream(fragment)

    async def _one(self, reader: ClusterReader, key: ObjectKey, before: int | None) -> Fragment:
        facts = await reader.facts(key, before)
        return _fragment(key, facts, self._clock.now())

    async def comparison(self, request: Request) -> Response:
        """Return the comparison of two versions of a Rollout's model."""
        key, reader = self._key(request), self._reader_of(request)
        old, new = (_version(request, name) for name in ("old", "new"))
        facts = await reader.facts(key, None)
        model = facts.record.model
        if facts.versions.value is None:
            raise _RefusedRequestError(HTTPStatus.BAD_GATEWAY, f"The versions cannot be read: {facts.versions.problem}")
        policy = await reader.policy(model)
        try:
            found = compare(facts.versions.value, model.name, old, new, policy.policy if policy is not None else None)
        except ComparisonError as problem:
            raise _RefusedRequestError(HTTPStatus.NOT_FOUND, str(problem)) from problem
        return HTMLResponse(render("diff.html.j2", key=key, model=model, comparison=found))

    def _key(self, request: Request) -> ObjectKey:
        key = ObjectKey(request.path_params["namespace"], request.path_params["name"])
        # Only such names may become part of a path of the API server.
        named = re.fullmatch(in_python(NAME), key.namespace) and re.fullmatch(in_python(SUBDOMAIN), key.name)
        if not named or not self._reader_of(request).covers(key):
            raise _RefusedRequestError(HTTPStatus.NOT_FOUND, "There is no such Rollout on this page.")
        return key

    def _stream(self, fragment: Callable[[], Awaitable[Fragment]]) -> Response:
        if self._streams.full:
            raise _RefusedRequestError(HTTPStatus.SERVICE_UNAVAILABLE, "Too many live pages are open: reload by hand.")
        return StreamingResponse(self._streams.events(fragment), media_type="text/event-stream")


def _fragment(key: ObjectKey, facts: Facts, now: datetime) -> Fragment:
    view = rollout_view(facts.record, facts.route.value, now)
    model = facts.record.model.name
    versions = version_rows(facts.versions.value, model) if facts.versions.value is not None else ()
    traffic = traffic_chart(view.status, now)
    html = render("rollout_live.html.j2", key=key, view=view, facts=facts, versions=versions, traffic=traffic)
    return Fragment(html, f"{view.status.phase}: {view.status.summary}")


def _filters(request: Request) -> Filters:
    return Filters.parse(dict(request.query_params))


def _before(request: Request) -> int | None:
    text = request.query_params.get("before")
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= _LONGEST_SEQUENCE):
        raise _RefusedRequestError(HTTPStatus.BAD_REQUEST, "before: not the number of a record")
    return int(text)


def _version(request: Request, name: str) -> str:
    text = request.query_params.get(name, "")
    if not 0 < len(text) <= _LONGEST_VERSION:
        raise _RefusedRequestError(HTTPStatus.BAD_REQUEST, f"{name}: give a version, such as 2.3.1")
    return text
