"""kopf in its thread: it watches, writes nothing, is restarted when it gives up, and stops in time."""

import asyncio
import pwd
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Final

import kopf
import pytest

from serinus.api.names import ObjectKey
from serinus.handlers import kopf_session
from serinus.handlers import watcher as watcher_module
from serinus.handlers.watcher import Watcher
from serinus.kube.kinds import HTTP_ROUTES, sources_with
from serinus.ports.cluster_state import EndpointsRecord, NamespaceRecord, Record
from serinus.reconcile.cache import ClusterCache
from support.kube.client import eventually
from support.kube.objects import endpoint_slice, metadata
from support.kube.sink import RememberingSink
from support.kube.watch import WatchServer, watch_server

PATIENCE: Final = 90.0
_KINDS = ClusterCache().kinds
_SOURCE_OF = {source.record: source for source in sources_with([HTTP_ROUTES])}


@asynccontextmanager
async def watching(server: WatchServer) -> AsyncIterator[tuple[Watcher, RememberingSink]]:
    sink = RememberingSink()
    watcher = Watcher(sink, server.log_in)
    watcher.start()
    try:
        yield watcher, sink
    finally:
        started = monotonic()
        await watcher.stop()
        assert not watcher.alive
        assert monotonic() - started < 5


async def sees(sink: RememberingSink, name: str) -> bool:
    return name in sink.latest(EndpointsRecord, "ml")


async def test_watched_objects_reach_the_sink_and_nothing_is_written() -> None:
    async with watch_server(endpointslices=[endpoint_slice(name="a")]) as server, watching(server) as (_, sink):
        await eventually(lambda: _watched(server), why="the watch")
        server.send("endpointslices", "ADDED", endpoint_slice(name="b"))
        await eventually(lambda: sees(sink, "b"), why="the watched slice")
        # What was there before is the operator's to list: kopf is told of none of it.
        assert not await sees(sink, "a")
        server.send("endpointslices", "DELETED", endpoint_slice(name="a"))
        await eventually(lambda: _deleted(sink, "a"), why="the deletion")
        assert server.writes == []


async def test_every_kind_is_to_be_listed_once_kopf_has_listed_it_even_where_there_is_none_of_it() -> None:
    async with watch_server() as server, watching(server) as (watcher, sink):
        await asyncio.wait_for(watcher.begun.wait(), PATIENCE)
        assert await _relisted(sink, *_KINDS)
        assert server.lists == {_SOURCE_OF[kind].kind.plural: 1 for kind in _KINDS}


async def test_it_works_where_the_user_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pod: the image's user is a number that its base does not know."""

    def nobody(uid: int) -> object:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", nobody)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    async with watch_server() as server, watching(server) as (watcher, _):
        await asyncio.wait_for(watcher.begun.wait(), PATIENCE)
        assert watcher.restarts == 0


async def test_it_is_not_said_to_work_while_it_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    async with watch_server() as server, watching(server) as (watcher, _):
        assert not watcher.working
        await eventually(lambda: _works(watcher), why="a watch that works")
        with monkeypatch.context() as patch:
            patch.setattr(kopf, "operator", _failing)
            server.fail("endpointslices")
            await eventually(lambda: _works(watcher, working=False), why="a watch that fails")
            await eventually(lambda: _restarted(watcher, 3), why="three attempts")
            assert not watcher.working
        await eventually(lambda: _works(watcher), why="a watch that works again")


async def test_a_kind_is_to_be_listed_even_while_the_api_server_does_not_answer_its_watch() -> None:
    """What was made before kopf's list is in no watch: only the operator's own list can find it."""
    async with watch_server() as server:
        server.answering.clear()
        async with watching(server) as (_, sink):
            await eventually(lambda: _relisted(sink, *_KINDS), why="every kind")
            await eventually(lambda: _watched(server), why="the watch")
            server.answering.set()


async def test_a_watch_that_kopf_has_silently_given_up_is_begun_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kopf_session, "_ASKED_AGAIN_WITHIN", 1.0)
    monkeypatch.setattr(watcher_module, "_CHECK_EVERY", 0.1)
    async with watch_server() as server, watching(server) as (watcher, sink):
        await asyncio.wait_for(watcher.begun.wait(), PATIENCE)
        # The server leaves the watches open, and kopf asks for nothing any more.
        await eventually(lambda: _listed_again(server), why="kopf to be started again")
        await eventually(lambda: _relisted_again(sink), why="the operator to list every kind again")
        assert watcher.restarts >= 1


async def test_a_watch_that_the_api_server_has_forgotten_is_followed_by_a_list_of_this_kind_alone() -> None:
    async with watch_server(endpointslices=[endpoint_slice(name="a")]) as server, watching(server) as (watcher, sink):
        await eventually(lambda: _relisted(sink, *_KINDS), why="every kind")
        await eventually(lambda: _watched(server), why="the watch")
        server.fail("endpointslices", 410)
        await eventually(lambda: _relisted(sink, *_KINDS, EndpointsRecord), why="the endpoints again")
        assert (watcher.restarts, server.lists["endpointslices"]) == (0, 2)


async def test_a_watch_that_ends_and_goes_on_where_it_was_needs_no_list() -> None:
    async with watch_server() as server, watching(server) as (_, sink):
        await eventually(lambda: _relisted(sink, *_KINDS), why="every kind")
        await eventually(lambda: _watched(server), why="the watch")
        for stream in server.streams["endpointslices"]:
            stream.put_nowait(None)
        await eventually(lambda: _watched(server, times=2), why="the second watch")
        assert server.lists["endpointslices"] == 1
        assert len(sink.relisted) == len(_KINDS)


async def test_a_watch_that_gives_up_is_restarted_and_the_sink_asked_to_relist() -> None:
    async with watch_server(endpointslices=[endpoint_slice(name="a")]) as server, watching(server) as (watcher, sink):
        await eventually(lambda: _watched(server), why="the watch")
        bystander = asyncio.create_task(asyncio.Event().wait())

        server.fail("endpointslices")

        await eventually(lambda: _relisted(sink, *_KINDS, *_KINDS), why="all kinds to be listed again")
        assert watcher.restarts == 1
        await eventually(lambda: _watched(server, times=2), why="the new watch")
        server.send("endpointslices", "ADDED", endpoint_slice(name="later"))
        await eventually(lambda: sees(sink, "later"), why="an object after the restart")
        assert not bystander.done()  # kopf cancels the tasks of its own loop only
        bystander.cancel()


async def test_an_odd_object_hides_no_other() -> None:
    odd = {"metadata": metadata("odd", resourceVersion="x")}
    items = [odd, {"metadata": metadata("good")}]
    async with watch_server() as server, watching(server) as (_, sink):
        await eventually(lambda: _watched(server, "namespaces"), why="the watch")
        for item in items:
            server.send("namespaces", "ADDED", item)

        async def good() -> bool:
            return any(
                isinstance(record, NamespaceRecord) and record.meta.key.name == "good" for record in sink.records
            )

        await eventually(good, why="the other namespace")


async def test_a_watcher_stops_while_its_api_server_cannot_be_reached() -> None:
    nowhere = WatchServer(url="http://127.0.0.1:9")
    async with watching(nowhere) as (watcher, sink):
        assert watcher.alive
        assert sink.records == []


async def test_a_watcher_that_is_stopped_at_once_stops() -> None:
    async with watch_server() as server:
        watcher = Watcher(RememberingSink(), server.log_in)
        watcher.start()
        await watcher.stop()
        assert not watcher.alive


async def _failing(**_: object) -> None:
    raise RuntimeError("as it failed in a pod")


async def _works(watcher: Watcher, *, working: bool = True) -> bool:
    return watcher.working is working


async def _restarted(watcher: Watcher, times: int) -> bool:
    return watcher.restarts >= times


async def _watched(server: WatchServer, plural: str = "endpointslices", times: int = 1) -> bool:
    return server.watches.get(plural, 0) >= times


async def _listed_again(server: WatchServer) -> bool:
    return all(server.lists[_SOURCE_OF[kind].kind.plural] >= 2 for kind in _KINDS)


async def _relisted_again(sink: RememberingSink) -> bool:
    return all(sink.relisted.count(kind) >= 2 for kind in _KINDS)


async def _relisted(sink: RememberingSink, *kinds: type[Record]) -> bool:
    return sorted(kind.__name__ for kind in sink.relisted) == sorted(kind.__name__ for kind in kinds)


async def _deleted(sink: RememberingSink, name: str) -> bool:
    return any(key == ObjectKey("ml", name) for _, key, _ in sink.deletions)
