"""Keeps kopf running in a thread and loop of its own.

kopf returns on some watch errors and then cancels every task of its loop, so it must not share ours, in which an abort
may be on its way to the API server (design, section 4).
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
from serinus.handlers.kopf_settings import intake_settings, quieten
from serinus.handlers.registration import build_kopf_registry
from serinus.kube.connection import Connection
from serinus.kube.kinds import SOURCES, Source
from serinus.ports.cluster_state import Record

_BACKOFF: Final = Backoff(first=0.5, longest=10.0)
_STEADY_AFTER: Final = 60.0
_STOP_WITHIN: Final = 5.0
_GOODBYE: Final = 0.25
_HURRY: Final = 0.2

logger = logging.getLogger(__name__)


class _ThreadsafeSink:
    """A sink for kopf's thread that hands everything to the sink in the main loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop, sink: Sink) -> None:
        self._loop = loop
        self._sink = sink

    def on_change(self, record: Record) -> None:
        self._loop.call_soon_threadsafe(self._sink.on_change, record)

    def on_delete(self, kind: type[Record], key: ObjectKey, uid: str) -> None:
        self._loop.call_soon_threadsafe(self._sink.on_delete, kind, key, uid)

    def on_relist(self) -> None:
        self._loop.call_soon_threadsafe(self._sink.on_relist)


class Watcher:
    """Watches the cluster until it is stopped, and starts the watch again whenever it ends by itself.

    The kinds must be served before ``start``: kopf looks for them once. In a namespaced installation Namespaces are not
    watched, for a Role cannot allow it: their freezes come in with each resync.

    Attributes:
        restarts: how often the watch has ended by itself.
    """

    def __init__(
        self,
        sink: Sink,
        log_in: Callable[[], Awaitable[Connection]],
        namespaces: Sequence[str] = (),
    ) -> None:
        """Watch these namespaces, the whole cluster where none is given; ``log_in`` runs in kopf's own loop."""
        self._sink = sink
        self._log_in = log_in
        self._namespaces = tuple(namespaces)
        self._sources: tuple[Source, ...] = tuple(one for one in SOURCES if one.namespaced or not self._namespaces)
        self._stopping = threading.Event()
        self._end: Callable[[], object] | None = None
        self._guard = threading.Lock()
        self._thread: threading.Thread | None = None
        self.restarts = 0

    def start(self) -> None:
        """Start watching; the sink is called in the event loop that runs now."""
        if self._thread is not None:
            raise RuntimeError("the intake runs already")
        quieten()
        crossing = _ThreadsafeSink(asyncio.get_running_loop(), self._sink)
        self._thread = threading.Thread(target=self._supervise, args=(crossing,), name="kopf", daemon=True)
        self._thread.start()

    async def stop(self) -> None:
        """End the watch; after 5 s go on without it, for the thread cannot keep the process alive."""
        self._stopping.set()
        with self._guard:
            if self._end is not None:
                self._end()
        if self._thread is not None:
            await asyncio.to_thread(self._thread.join, _STOP_WITHIN)
            if self._thread.is_alive():
                logger.warning("the watch did not end within %g s; it ends with the process", _STOP_WITHIN)

    @property
    def alive(self) -> bool:
        """Whether the thread runs."""
        return self._thread is not None and self._thread.is_alive()

    def _supervise(self, crossing: _ThreadsafeSink) -> None:
        pause = _BACKOFF.first
        while not self._stopping.is_set():
            started = time.monotonic()
            try:
                asyncio.run(self._watch(crossing))
            except Exception as problem:  # noqa: BLE001 - whatever kopf raises, the watch must go on; it logs the trace
                logger.error("the watch failed: %s: %s", type(problem).__name__, problem)  # noqa: TRY400 - likewise
            if self._stopping.is_set():
                return
            if time.monotonic() - started > _STEADY_AFTER:
                pause = _BACKOFF.first
            self.restarts += 1
            logger.warning("the watch ended by itself (%d times by now); it starts again in %g s", self.restarts, pause)
            self._stopping.wait(pause)
            pause = _BACKOFF.after(pause)

    async def _watch(self, crossing: _ThreadsafeSink) -> None:
        loop, ready = asyncio.get_running_loop(), asyncio.Event()
        loop.set_exception_handler(_noted)
        registry = build_kopf_registry(self._sources, crossing, self._log_in)

        @kopf.on.cleanup(registry=registry)
        async def hurry(**_: object) -> None:
            # kopf ends by itself: then it waits 5 s for the watches that still work, while one does not.
            loop.call_later(_HURRY, watching.cancel)

        # Before kopf starts: it cancels the tasks that were created after it, none that was there.
        telling = asyncio.create_task(self._tell(ready, crossing))
        watching = asyncio.create_task(
            kopf.operator(
                registry=registry,
                settings=intake_settings(self._sources),
                clusterwide=not self._namespaces,
                namespaces=self._namespaces,
                standalone=True,
                ready_flag=ready,
            )
        )
        with self._guard:
            self._end = lambda: loop.call_soon_threadsafe(watching.cancel)
            if self._stopping.is_set():
                watching.cancel()
        try:
            await asyncio.wait({watching})
        finally:
            with self._guard:
                self._end = None
            telling.cancel()
            # TLS connections say goodbye after their session is closed (aiohttp, "Graceful Shutdown").
            await asyncio.sleep(_GOODBYE)
        if not watching.cancelled() and (problem := watching.exception()) is not None:
            raise problem

    async def _tell(self, ready: asyncio.Event, crossing: _ThreadsafeSink) -> None:
        await ready.wait()
        if self.restarts:
            crossing.on_relist()


def _noted(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    # kopf's callbacks fail an assertion where it is cancelled during a request (kopf 1.45, api.stream): no news.
    logger.info("in the watch's loop: %s: %r", context.get("message"), context.get("exception"))
