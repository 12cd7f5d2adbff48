"""An event loop whose time passes only when everybody waits: hours take milliseconds, and no test sleeps."""

import asyncio
import functools
import selectors
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any

START = datetime(2026, 11, 23, 12, tzinfo=UTC)
LONGEST = 100_000.0
"""Virtual seconds that a test may take: more than a day."""


class _Selector(selectors.SelectSelector):
    """Never waits: what it is asked to wait for is how far the time jumps."""

    passed = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise AssertionError("every task waits for something that nobody will ever do")
        if not ready and timeout is not None and timeout > 0:
            self.passed += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's loop on virtual time."""

    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.passed


class LoopClock:
    """The port ``Clock`` over the time of the running loop; ``set_by`` is what somebody has set the wall clock by."""

    def __init__(self) -> None:
        self.set_by = timedelta()

    def now(self) -> datetime:
        return START + self.set_by + timedelta(milliseconds=round(asyncio.get_running_loop().time() * 1000))

    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()


def in_virtual_time(story: Callable[..., Coroutine[Any, Any, None]]) -> Callable[..., None]:
    """Run an async test on a virtual loop of its own."""

    @functools.wraps(story)
    def test(*args: object, **kwargs: object) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(LONGEST):
                await story(*args, **kwargs)

        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            runner.run(bounded())

    return test


async def until(holds: Callable[[], object], *, why: str, within: float = 60.0) -> None:
    """Let virtual time pass until it holds; fail after the deadline, in virtual seconds."""
    deadline = asyncio.get_running_loop().time() + within
    while not holds():
        assert asyncio.get_running_loop().time() < deadline, f"not within {within:g} s: {why}"
        await asyncio.sleep(0.05)  # virtual: it costs nothing and lets everybody else go on
