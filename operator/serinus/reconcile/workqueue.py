"""A queue of keys to reconcile: each at most once in it, with one worker at a time, the urgent ones first."""

import asyncio
import time
from collections import deque
from collections.abc import Callable

from serinus.api.names import ObjectKey


class WorkQueue:
    """A deduplicating queue with an express lane.

    A key that is added while a worker has it is given out again once that worker is done. Adding costs the same however
    many keys and workers wait.
    """

    def __init__(
        self, monotonic: Callable[[], float] = time.monotonic, on_taken: Callable[[float], object] = float
    ) -> None:
        """Begin empty; ``on_taken`` is told for how many seconds of ``monotonic`` a key has waited when it is taken."""
        self._monotonic, self._on_taken = monotonic, on_taken
        self._lanes: dict[bool, deque[ObjectKey]] = {True: deque(), False: deque()}
        self._waiting: dict[ObjectKey, bool] = {}
        self._since: dict[ObjectKey, float] = {}
        self._busy: set[ObjectKey] = set()
        self._workers: dict[bool, deque[asyncio.Future[None]]] = {True: deque(), False: deque()}
        self._urgent = 0

    def __len__(self) -> int:
        """How many keys wait."""
        return len(self._waiting)

    @property
    def has_urgent(self) -> bool:
        """Whether an urgent key waits."""
        return self._urgent > 0

    def add(self, key: ObjectKey, *, urgent: bool = False) -> None:
        """Add a key; ``urgent`` moves it before all that are not."""
        queued_as = self._waiting.get(key)
        if queued_as is not None and (queued_as or not urgent):
            return
        self._waiting[key] = urgent
        self._since.setdefault(key, self._monotonic())
        self._urgent += urgent
        if key not in self._busy:
            self._lanes[urgent].append(key)
            self._wake(urgent=urgent)

    async def take(self, *, only_urgent: bool = False) -> ObjectKey:
        """Wait for a key and take it; ``done`` must follow."""
        while True:
            key = self._next(only_urgent=only_urgent)
            if key is not None:
                self._busy.add(key)
                self._on_taken(self._monotonic() - self._since[key])
                self._remove(key)
                return key
            await self._wait(only_urgent=only_urgent)

    def done(self, key: ObjectKey) -> None:
        """Release a key; one that was added meanwhile is queued again."""
        self._busy.discard(key)
        urgent, since = self._waiting.get(key), self._since.get(key)
        self._remove(key)
        if urgent is not None and since is not None:
            self._since[key] = since
            self.add(key, urgent=urgent)

    def is_waiting(self, key: ObjectKey) -> bool:
        """Return whether a key waits, or waits to be given out again."""
        return key in self._waiting

    def withdraw(self, key: ObjectKey) -> None:
        """Take back the adding of a key."""
        self._remove(key)

    def _remove(self, key: ObjectKey) -> None:
        urgent = self._waiting.pop(key, None)
        self._since.pop(key, None)
        self._urgent -= bool(urgent)

    def _next(self, *, only_urgent: bool) -> ObjectKey | None:
        for urgent, lane in self._lanes.items():
            if only_urgent and not urgent:
                return None
            while lane:
                key = lane.popleft()
                # A key that was moved to the express lane, or taken from it, has left its old place behind.
                if self._waiting.get(key) is urgent and key not in self._busy:
                    return key
        return None

    async def _wait(self, *, only_urgent: bool) -> None:
        worker = asyncio.get_running_loop().create_future()
        self._workers[only_urgent].append(worker)
        try:
            await worker
        except asyncio.CancelledError:
            # It may have been woken for a key just before the cancellation: pass that on.
            if worker.done() and not worker.cancelled():
                for urgent, lane in self._lanes.items():
                    if lane:
                        self._wake(urgent=urgent)
            raise

    def _wake(self, *, urgent: bool) -> None:
        """Wake one worker that may take such a key: for an urgent one a worker that takes no others, if one waits."""
        for workers in (self._workers[True], self._workers[False]) if urgent else (self._workers[False],):
            while workers:
                worker = workers.popleft()
                if not worker.done():
                    worker.set_result(None)
                    return
