"""Keeps kopf running in a thread and event loop of its own.

kopf returns on some watch errors and then cancels every task of its loop, so it must not share the main loop, where an
abort may be on its way to the API server (measured: docs/architecture.md).
"""

import asyncio
import logging
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final

import kopf

from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.handlers.dispatch import Sink
from serinus.handlers.kopf_session import Sessions
from serinus.handlers.kopf_settings import limit_logging, watch_settings
from serinus.handlers.registration import build_kopf_registry
from serinus.kube.connection import Connection
from serinus.kube.kinds import HTTP_ROUTES, Source, sources_with
from serinus.ports.cluster_state import Record

_BACKOFF: Final = Backoff(first=0.5, longest=10.0)
_STEADY_AFTER: Final = 60.0
"""Seconds after which a watch counts as stable: the next restart begins with the shortest pause."""
_STOP_WITHIN: Final = 5.0
_TLS_SHUTDOWN: Final = 0.25
_CANCEL_AFTER: Final = 0.2
_CANCEL_EVERY: Final = 1.0
"""Seconds between two attempts to end a watch of a kopf that is ending."""
_CHECK_EVERY: Final = 5.0
"""Seconds between two looks whether kopf still asks for every kind."""
_IDENTITY: Final[Any] = "serinus"
"""For kopf's peering, which is off. Without one kopf looks up the name of the user, who has none in a pod."""

logger = logging.getLogger(__name__)


class _ThreadsafeSink:
    """A sink for kopf's thread that forwards everything to the sink in the main loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        self._loop = loop
        self._sink = sink

    def on_change(self, record: Record) -> None:
        self._loop.call_soon_threadsafe(self._sink.on_change, record)

    def on_delete(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        self._loop.call_soon_threadsafe(self._sink.on_delete, kind, key, uid)

    def on_relist(self, kind: type[Record]) -> None:
        self._loop.call_soon_threadsafe(self._sink.on_relist, kind)

    def on_begun(self, begun: asyncio.Event) -> None:
        self._loop.call_soon_threadsafe(begun.set)


class Watcher:
    """Watches the cluster until it is stopped, and restarts the watch whenever it ends by itself.

    The kinds must be served before ``start``: kopf discovers them once. In a namespaced installation Namespaces are not
    watched, because a Role cannot allow it: each resync reads their freezes.

    Attributes:
        begun: set once kopf has listed every kind, so that it watches from there on whatever changes; the sink was told
            of each list before.
        restarts: how often the watch has ended by itself.
        working: whether kopf watches every kind since the last restart.
    """

    def __init__(
        self,
        sink: Sink,
        log_in: Callable[[], Awaitable[Connection]],
        namespaces: Sequence[str] = (),
        routes: Sequence[Source] = (HTTP_ROUTES,),
    ) -> None:
        """Watch these namespaces, the whole cluster where none is given; ``log_in`` runs in kopf's own loop.

        ``routes`` are the kinds of routes that are switched on.
        """
        self._sink = sink
        self._log_in = log_in
        self._namespaces = tuple(namespaces)
        self._sources: tuple[Source, ...] = tuple(
            source for source in sources_with(routes) if source.namespaced or not self._namespaces
        )
        self._stopping = threading.Event()
        self._end: Callable[[], object] | None = None
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self.begun = asyncio.Event()
        self.restarts = 0
        self.working = False

    def start(self) -> None:
        """Start watching; the sink is called in the event loop that runs now."""
        if self._thread is not None:
            raise RuntimeError("the watcher runs already")
        limit_logging()
        sink = _ThreadsafeSink(asyncio.get_running_loop(), self._sink)
        self._thread = threading.Thread(target=self._supervise, args=(sink,), name="kopf", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the watch; after 5 s return without it: a daemon thread does not keep the process alive."""
        self._stopping.set()
        with self._guard:
            if self._end is not None:
                self._end()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _STOP_WITHIN)
            if self._thread.is_alive():
                logger.warning("the watch did not stop within %g s; it ends with the process", _STOP_WITHIN)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _supervise(self, sink: _ThreadsafeSink) -> None:
        pause = _BACKOFF.first
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                asyncio.run(self._watch(sink))
            except Exception as problem:  # noqa: BLE001 - whatever kopf raises, the watch must continue; kopf logs the trace
                logger.error("the watch failed: %s: %s", type(problem).__name__, problem)  # noqa: TRY400 - likewise
            self.working = False
            if self._stopping.is_set():
                return
            if time.monotonic() - started > _STEADY_AFTER:
                pause = _BACKOFF.first
            self.restarts += 1
            logger.warning("the watch ended by itself (restart %d); restarting in %g s", self.restarts, pause)
            self._stopping.wait(pause)
            pause = _BACKOFF.after(pause)

    async def _watch(self, sink: _ThreadsafeSink) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(_log_loop_error)

        def work() -> None:
            self.working = True
            sink.on_begun(self.begun)

        sessions = Sessions(self._sources, self._namespaces, sink, work)
        registry = build_kopf_registry(self._sources, sink, self._log_in, sessions)

        own: set[asyncio.Task[Any]] = set()

        @kopf.on.startup(registry=registry)
        async def remember_tasks(**_: object) -> None:
            own.update(asyncio.all_tasks())

        @kopf.on.cleanup(registry=registry)
        async def cancel_soon(**_: object) -> None:
            # When kopf ends by itself, it waits 5 s for the watches that still work: cancelled, it ends at once.
            loop.call_later(_CANCEL_AFTER, watching.cancel)
            loop.call_later(_CANCEL_AFTER + _CANCEL_EVERY, cancel_watches)

        def cancel_watches() -> None:
            # kopf cancels each watch only once, and waits for ever for one that missed it because its response was
            # closed at that moment (kopf 1.45). A watch that is closing its session gets the time to do so.
            if not watching.done():
                for task in asyncio.all_tasks(loop) - own:
                    task.cancel()
                loop.call_later(_CANCEL_EVERY, cancel_watches)

        watching = asyncio.create_task(
            kopf.operator(
                registry=registry,
                settings=watch_settings(self._sources),
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                standalone=True,
                identity=_IDENTITY,
            )
        )
        with self._guard:
            self._end = lambda: loop.call_soon_threadsafe(watching.cancel)
            if self._stopping.is_set():
                watching.cancel()
        try:
            await _until_ended(watching, sessions)
        finally:
            with self._guard:
                self._end = None
            await sessions.close()
            # TLS connections shut down after their session is closed (aiohttp, "Graceful Shutdown").
            await asyncio.sleep(_TLS_SHUTDOWN)
        if not watching.cancelled() and (problem := watching.exception()) is not None:
            raise problem


async def _until_ended(watching: asyncio.Task[None], sessions: Sessions) -> None:
    """Wait until kopf has ended, and end it where it has stopped to ask for a kind.

    A watch whose task was cancelled is not missed by kopf, which goes on with the others and logs nothing (kopf 1.45,
    aiotasks.reraise).
    """
    while not (await asyncio.wait({watching}, timeout=_CHECK_EVERY))[0]:
        neglected = sessions.neglected()
        if neglected:
            logger.error("kopf does not watch any more: %s", ", ".join(neglected))
            watching.cancel()
            await asyncio.wait({watching})


def _log_loop_error(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # kopf's callbacks fail an assertion where it is cancelled during a request (kopf 1.45, api.stream): harmless.
    logger.info("in the watch's loop: %s: %r", context.get("message"), context.get("exception"))
