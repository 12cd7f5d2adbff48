"""Limits the calls in flight; urgent ones, which move traffic to safety, take precedence."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

BESIDE: Final = 4
"""Ordinary calls in flight beside urgent ones. The server that answers both has a bounded number of cores: where 1,000
routes must be written at once, the statuses, events and records of the first would delay the last by a minute."""

GIVE_WAY: Final = 2.0
"""Seconds for which an urgent call in flight holds the others back; one that hangs must not do so for longer."""


class PriorityLimiter:
    """A semaphore of ``limit`` slots, ``reserved`` of which only urgent callers may use.

    While urgent callers wait, or have been in flight for less than ``GIVE_WAY``, at most ``BESIDE`` others are let in.
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
        self._yields_until = 0.0
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
                    if urgent:
                        self._give_way()

    def _has_slot(self, *, urgent: bool) -> bool:
        if sum(self._in_use.values()) >= self._limit:
            return False
        return urgent or self._in_use[False] < self._most_ordinary()

    def _most_ordinary(self) -> int:
        if not self._urgent and (not self._in_use[True] or self._yields_until <= _now()):
            return self._ordinary_limit
        return min(BESIDE, self._ordinary_limit)

    def _give_way(self) -> None:
        """Hold ordinary callers back for a while; when it has passed, those that wait are looked at again."""
        loop = asyncio.get_running_loop()
        self._yields_until = loop.time() + GIVE_WAY
        loop.call_at(self._yields_until, self._admit)


def _now() -> float:
    return asyncio.get_running_loop().time()
