"""An API server on loopback that kopf can list and watch, with watches under the control of a test."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from aiohttp import web

from serinus.kube.connection import Connection
from serinus.kube.kinds import HTTP_ROUTES, collection_path, sources_with

Raw = dict[str, Any]


@dataclass
class WatchServer:
    """The served objects and the open watches.

    Attributes:
        objects: the objects that a list returns, by plural.
        streams: the event queues of the open watches, by plural; None ends a watch.
        writes: every request other than GET; kopf must send none.
        lists: number of lists, by plural.
        watches: number of watches opened, by plural.
        answering: watches are answered while it is set; it is at first.
    """

    objects: dict[str, list[Raw]] = field(default_factory=dict)
    streams: dict[str, list[asyncio.Queue[Raw | None]]] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    lists: dict[str, int] = field(default_factory=dict)
    watches: dict[str, int] = field(default_factory=dict)
    answering: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    def send(self, plural: str, kind: str, raw: Raw) -> None:
        """Send an event to all open watches of this plural."""
        for stream in self.streams.get(plural, []):
            stream.put_nowait({"type": kind, "object": raw})

    def fail(self, plural: str, code: int = 500) -> None:
        """Send an ERROR event, on which kopf gives up, and end the watches."""
        self.send(plural, "ERROR", {"kind": "Status", "code": code, "message": "etcdserver: leader changed"})
        for stream in self.streams.get(plural, []):
            stream.put_nowait(None)

    async def log_in(self) -> Connection:
        return Connection(
            server=self.url,
            ca_path=None,
            insecure=False,
            certificate_path=None,
            private_key_path=None,
            scheme="Bearer",
            token="t",
        )


@asynccontextmanager
async def watch_server(**objects: list[Raw]) -> AsyncIterator[WatchServer]:
    """Serve these objects, by plural."""
    served = WatchServer(objects=dict(objects))
    served.answering.set()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", partial(_answer, served))
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    served.url = f"http://{host}:{port}"
    try:
        yield served
    finally:
        for streams in served.streams.values():
            for stream in streams:
                stream.put_nowait(None)
        await runner.cleanup()


async def _answer(served: WatchServer, request: web.Request) -> web.StreamResponse:
    if request.method != "GET":
        served.writes.append(f"{request.method} {request.path}")
        return web.json_response({})
    for source in sources_with((HTTP_ROUTES,)):
        if request.path == collection_path(source.kind):
            if request.query.get("watch"):
                return await _watch(served, source.kind.plural, request)
            served.lists[source.kind.plural] = served.lists.get(source.kind.plural, 0) + 1
            items = _selected(served.objects.get(source.kind.plural, []), request.query.get("fieldSelector", ""))
            head = {"apiVersion": source.kind.api_version, "kind": f"{source.kind.kind}List"}
            return web.json_response({**head, "metadata": {"resourceVersion": "1"}, "items": items})
    return web.json_response(_discovery(request.path))


def _selected(objects: list[Raw], selector: str) -> list[Raw]:
    """Return the objects that a field selector selects, of those that the operator uses."""
    if not selector:
        return objects
    field, _, name = selector.partition("=")
    assert field == "metadata.name"
    return [raw for raw in objects if raw["metadata"]["name"] == name]


def _discovery(path: str) -> Raw:
    if path == "/apis":
        groups = {
            source.kind.group: [{"groupVersion": source.kind.api_version, "version": source.kind.version}]
            for source in sources_with((HTTP_ROUTES,))
            if source.kind.group
        }
        return {
            "groups": [
                {"name": group, "versions": versions, "preferredVersion": versions[0]}
                for group, versions in groups.items()
            ]
        }
    if path == "/api":
        return {"versions": ["v1"]}
    resources = [
        {
            "name": source.kind.plural,
            "singularName": source.kind.kind.lower(),
            "kind": source.kind.kind,
            "namespaced": source.namespaced,
            "verbs": ["list", "watch", "patch", "get"],
        }
        for source in sources_with((HTTP_ROUTES,))
        if path.endswith(f"/{source.kind.api_version}")
    ]
    return {"resources": resources}


async def _watch(served: WatchServer, plural: str, request: web.Request) -> web.StreamResponse:
    stream: asyncio.Queue[Raw | None] = asyncio.Queue()
    served.streams.setdefault(plural, []).append(stream)
    served.watches[plural] = served.watches.get(plural, 0) + 1
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    try:
        await served.answering.wait()
        await response.prepare(request)
        while (event := await stream.get()) is not None:
            await response.write(json.dumps(event).encode() + b"\n")
    finally:
        served.streams[plural].remove(stream)
    return response
