"""A queue of keys to reconcile: each at most once in it, with one worker at a time, the urgent ones first."""

import asyncio
from collections import deque

from serinus.api.names import ObjectKey


class WorkQueue:
    """A deduplicating queue with an express lane.

    A key that is added while a worker has it is given out again once that worker is done.
    """

    def __init__(self) -> None:
        """Begin empty."""
        self._lanes: tuple[deque[ObjectKey], deque[ObjectKey]] = (deque(), deque())
        self._waiting: dict[ObjectKey, bool] = {}
        self._busy: set[ObjectKey] = set()
        self._arrived = asyncio.Condition()

    def __len__(self) -> int:
        """How many keys wait."""
        return len(self._waiting)

    async def add(self, key: ObjectKey, *, urgent: bool = False) -> None:
        """Add a key; ``urgent`` moves it before all that are not."""
        queued_as = self._waiting.get(key)
        if queued_as is not None and (queued_as or not urgent):
            return
        self._waiting[key] = urgent
        if key in self._busy:
            return
        async with self._arrived:
            self._lanes[0 if urgent else 1].append(key)
            self._arrived.notify_all()

    async def take(self, *, only_urgent: bool = False) -> ObjectKey:
        """Wait for a key and take it; ``done`` must follow."""
        async with self._arrived:
            while True:
                key = self._next(only_urgent=only_urgent)
                if key is not None:
                    self._busy.add(key)
                    del self._waiting[key]
                    return key
                await self._arrived.wait()

    def _next(self, *, only_urgent: bool) -> ObjectKey | None:
        for urgent, lane in zip((True, False), self._lanes, strict=True):
            if only_urgent and not urgent:
                return None
            while lane:
                key = lane.popleft()
                # A key that was moved to the express lane, or taken from it, has left its old place behind.
                if self._waiting.get(key) is urgent and key not in self._busy:
                    return key
        return None

    async def done(self, key: ObjectKey) -> None:
        """Release a key; one that was added meanwhile is queued again."""
        self._busy.discard(key)
        urgent = self._waiting.pop(key, None)
        if urgent is not None:
            await self.add(key, urgent=urgent)
