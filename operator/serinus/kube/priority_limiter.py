"""A bound on the calls in flight at which those that move traffic to safety always go first."""

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class PriorityLimiter:
    """At most ``limit`` holders at once, of whom ordinary ones never take the last ``reserved``."""

    def __init__(self, limit: int, reserved: int) -> None:
        """Start empty; ``reserved`` slots stay free for urgent holders."""
        if not 0 <= reserved < limit:
            raise ValueError(f"{reserved} of {limit} slots cannot be reserved: leave at least one to the others")
        self._limit = limit
        self._ordinary_limit = limit - reserved
        self._held = 0
        self._urgent: deque[asyncio.Future[None]] = deque()
        self._ordinary: deque[asyncio.Future[None]] = deque()

    @asynccontextmanager
    async def hold(self, *, urgent: bool) -> AsyncIterator[None]:
        """Hold one slot; urgent callers overtake all others and may use the reserved slots."""
        await self._take(urgent=urgent)
        try:
            yield
        finally:
            self._held -= 1
            self._admit()

    async def _take(self, *, urgent: bool) -> None:
        turn = asyncio.get_running_loop().create_future()
        (self._urgent if urgent else self._ordinary).append(turn)
        self._admit()
        try:
            await turn
        except asyncio.CancelledError:
            # The slot may have been given in the moment of the cancellation: hand it on.
            if turn.done() and not turn.cancelled():
                self._held -= 1
                self._admit()
            raise

    def _admit(self) -> None:
        for queue, limit in ((self._urgent, self._limit), (self._ordinary, self._ordinary_limit)):
            while queue and self._held < limit:
                turn = queue.popleft()
                if not turn.done():
                    self._held += 1
                    turn.set_result(None)
