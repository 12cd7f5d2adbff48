"""Virtual time for code that waits: a clock and a ``sleep`` that a test advances."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count


class VirtualTime:
    """Implements the port ``Clock`` and a matching ``sleep``; ``pass_time`` advances both in order."""

    def __init__(self) -> None:
        self._start = datetime(2026, 11, 1, 12, tzinfo=UTC)
        self._passed = 0.0
        self._order = count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._passed)

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        sleeper = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._order), sleeper))
        await sleeper

    async def pass_time(self, seconds: float) -> None:
        """Advance the time and wake every sleeper that falls due."""
        end = self._passed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, sleeper = heapq.heappop(self._sleepers)
            self._passed = max(self._passed, due)
            if not sleeper.done():
                sleeper.set_result(None)
            await settle()
        self._passed = end
        await settle()

    def freeze(self, seconds: float) -> None:
        """Advance the time without running any task, as when the process is stopped."""
        self._passed += seconds


async def settle() -> None:
    """Let every task run until it waits for something external."""
    for _ in range(30):
        await asyncio.sleep(0)
