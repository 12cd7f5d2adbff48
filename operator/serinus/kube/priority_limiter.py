"""Limits the calls in flight; urgent ones, which move traffic to safety, take precedence."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PriorityLimiter:
    """A semaphore of ``limit`` slots, ``reserved`` of which only urgent callers may use.

    As long as there are no more urgent callers than reserved slots, neither kind ever waits for the other.
    """

    def __init__(self, limit: int, reserved: int) -> None:
        """Start with all slots free.

        Raises:
            ValueError: ``reserved`` is negative or leaves no slot for other callers.
        """
        if not 0 <= reserved < limit:
            raise ValueError(f"{reserved} of {limit} slots cannot be reserved: leave at least one to the others")
        self._limit = limit
        self._ordinary_limit = limit - reserved
        self._in_use = {True: 0, False: 0}
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._ordinary: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def slot(self, *, urgent: bool) -> AsyncIterator[None]:
        """Occupy one slot; urgent callers overtake all others and may use the reserved slots."""
        await self._acquire(urgent=urgent)
        try:
            yield
        finally:
            self._release(urgent=urgent)

    async def _acquire(self, *, urgent: bool) -> None:
        waiter = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._ordinary).append(waiter)
        self._admit()
        try:
            await waiter
        except asyncio.CancelledError:
            # The slot may have been granted just before the cancellation: pass it on.
            if waiter.done() and not waiter.cancelled():
                self._release(urgent=urgent)
            raise

    def _release(self, *, urgent: bool) -> None:
        self._in_use[urgent] -= 1
        self._admit()

    def _admit(self) -> None:
        for queue, urgent in ((self._urgent, True), (self._ordinary, False)):
            while queue and self._has_slot(urgent=urgent):
                waiter = queue.popleft()
                if not waiter.done():
                    self._in_use[urgent] += 1
                    waiter.set_result(None)

    def _has_slot(self, *, urgent: bool) -> bool:
        if sum(self._in_use.values()) >= self._limit:
            return False
        return urgent or self._in_use[False] < self._ordinary_limit
