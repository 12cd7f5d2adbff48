"""Watches objects of the API server without gaps, so that a test observes every write, unlike with polling."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from localcluster.api import Api

Raw = dict[str, Any]


@dataclass(slots=True)
class Seen:
    """Every state of the watched objects, in order.

    Attributes:
        states: the states with their times of arrival (seconds since 1970).
    """

    states: list[tuple[float, Raw]] = field(default_factory=list)
    _grown: asyncio.Event = field(default_factory=asyncio.Event)

    def add(self, raw: Raw) -> None:
        self.states.append((time.time(), raw))
        self._grown.set()

    async def until(
        self, fits: Callable[[Raw], bool], *, within: float, what: str, after: int = 0
    ) -> tuple[float, Raw]:
        """Return the first matching state from number ``after`` on; AssertionError after the deadline."""
        checked = after
        try:
            async with asyncio.timeout(within):
                while True:
                    self._grown.clear()
                    for state in self.states[checked:]:
                        checked += 1
                        if fits(state[1]):
                            return state
                    await self._grown.wait()
        except TimeoutError:
            last = self.states[-1][1] if self.states else None
            raise AssertionError(f"{what} was not observed within {within:g} s; last state: {last}") from None


@asynccontextmanager
async def watching(api: Api, path: str, **query: str) -> AsyncIterator[Seen]:
    """Collect every state of the collection's objects until the block ends."""
    listed = await api.request("GET", path, **query)
    seen = Seen()
    for item in listed.get("items", []):
        seen.add(item)
    task = asyncio.create_task(_follow(api, path, listed["metadata"]["resourceVersion"], seen, query))
    try:
        yield seen
        assert not task.done() or task.exception() is None, f"the watch of {path} failed: {task.exception()!r}"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError, Exception):
            await task


async def _follow(api: Api, path: str, version: str, seen: Seen, query: dict[str, str]) -> None:
    while True:
        async for event in api.watch(path, version, **query):
            version = event["object"]["metadata"]["resourceVersion"]
            if event["type"] in {"ADDED", "MODIFIED"}:
                seen.add(event["object"])
