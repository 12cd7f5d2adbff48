"""A value that many readers share: it is read once at a time, and not more often than is worth its cost."""

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Generic, TypeVar

from serinus.errors import SerinusError
from serinus.ports.services import Clock

T = TypeVar("T")
_SHARE_OF_TIME: Final = 10.0
"""After a read that took so long, ten times as long passes before the next: at most a tenth of the time is spent."""


@dataclass(frozen=True, slots=True)
class Read(Generic[T]):
    """A value and when its reading began (UTC); ``failed`` says why there is no newer one, else it is empty."""

    value: T
    at: datetime
    failed: str = ""


class Shared(Generic[T]):
    """Reads a value on demand; whoever asks while it is fresh, or while it is being read anew, gets the last one."""

    def __init__(self, read: Callable[[], Awaitable[T]], clock: Clock, fresh_for: float) -> None:
        """Call ``read`` at most every ``fresh_for`` seconds, and less often where it takes long."""
        self._read = read
        self._clock = clock
        self._fresh_for = fresh_for
        self._last: Read[T] | None = None
        self._running: asyncio.Task[Read[T]] | None = None
        self._not_before = 0.0

    async def get(self) -> Read[T]:
        """Return the last value, and read the next one beside it where this is due; the first caller waits.

        Raises:
            SerinusError: there is no value yet, and it cannot be read.
        """
        if self._running is None and (self._last is None or self._clock.monotonic() >= self._not_before):
            self._running = asyncio.create_task(self._renew())
            self._running.add_done_callback(self._done)
        if self._last is not None:
            return self._last
        running = self._running
        if running is None:
            raise AssertionError("without a value one is being read")
        # A reader that leaves must not stop the read for the others.
        return await asyncio.shield(running)

    async def close(self) -> None:
        """Stop a read that is under way."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)

    async def _renew(self) -> Read[T]:
        at, began = self._clock.now(), self._clock.monotonic()
        try:
            value = await self._read()
        except SerinusError as problem:
            self._not_before = self._clock.monotonic() + self._fresh_for
            if self._last is None:
                raise
            self._last = Read(self._last.value, self._last.at, failed=str(problem))
            return self._last
        took = self._clock.monotonic() - began
        self._last = Read(value, at)
        self._not_before = began + took + max(self._fresh_for, _SHARE_OF_TIME * took)
        return self._last

    def _done(self, task: asyncio.Task[Read[T]]) -> None:
        self._running = None
        if not task.cancelled():
            # Whoever waits for it has the error; without a waiter asyncio must not report it a second time.
            task.exception()


class SharedByKey(Generic[T]):
    """A value for each key, read once at a time; those of the latest used keys are kept."""

    def __init__(self, clock: Clock, fresh_for: float, most: int) -> None:
        """Keep at most ``most`` keys."""
        self._clock = clock
        self._fresh_for = fresh_for
        self._most = most
        self._values: OrderedDict[Hashable, tuple[float, asyncio.Task[T]]] = OrderedDict()

    async def get(self, key: Hashable, read: Callable[[], Awaitable[T]]) -> T:
        """Return the value of a key, at most ``fresh_for`` seconds old; raises what ``read`` raises."""
        now = self._clock.monotonic()
        known = self._values.get(key)
        if known is None or now >= known[0]:
            known = (now + self._fresh_for, asyncio.create_task(_value_of(read)))
            known[1].add_done_callback(_seen)
            self._values[key] = known
        self._values.move_to_end(key)
        while len(self._values) > self._most:
            self._values.popitem(last=False)
        return await asyncio.shield(known[1])


async def _value_of(read: Callable[[], Awaitable[T]]) -> T:
    return await read()


def _seen(task: "asyncio.Task[T]") -> None:
    if not task.cancelled():
        task.exception()
