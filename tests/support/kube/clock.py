"""Time that passes only when somebody sleeps: a clock and its sleep, for code that waits."""

import asyncio
import heapq
from datetime import UTC, datetime, timedelta
from itertools import count


class VirtualTime:
    """The port ``Clock`` and a ``sleep`` to go with it; ``pass_time`` moves both on, in the right order."""

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
        turn = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._passed + seconds, next(self._order), turn))
        await turn

    async def pass_time(self, seconds: float) -> None:
        """Let this much time pass and everything happen that falls due in it."""
        end = self._passed + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, turn = heapq.heappop(self._sleepers)
            self._passed = max(self._passed, due)
            if not turn.done():
                turn.set_result(None)
            await settle()
        self._passed = end
        await settle()

    def freeze(self, seconds: float) -> None:
        """Let time pass while nobody runs, as when the process is stopped."""
        self._passed += seconds


async def settle() -> None:
    """Let every task run until it waits for something outside."""
    for _ in range(30):
        await asyncio.sleep(0)
