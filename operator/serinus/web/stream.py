"""Server-sent events: a fragment of a page is sent whenever it has changed, for a bounded time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import msgspec
from markupsafe import Markup

from serinus.errors import SerinusError
from serinus.ports.services import Clock

INTERVAL: Final = 2.0
"""Seconds between two looks at what is shown."""

LONGEST: Final = 600.0
"""Seconds after which a stream ends; the browser opens another one."""

MOST_STREAMS: Final = 100
_RETRY: Final = 3000
_COMMENT_EVERY: Final = 7
"""After so many looks without a change a comment is sent, so that a connection that has gone is noticed."""

Sleep = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Fragment:
    """The changing part of a page; ``headline`` is its most important sentence, for a screen reader."""

    html: Markup
    headline: str


@dataclass(slots=True)
class Streams:
    """Counts the open streams, of which there is a limit; ``sleep`` is called between two looks."""

    clock: Clock
    sleep: Sleep = asyncio.sleep
    running: int = field(default=0, init=False)
    _closing: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    def close(self) -> None:
        """End all streams, for the server to stop without waiting for them."""
        self._closing.set()

    @property
    def full(self) -> bool:
        """Whether no further stream is admitted."""
        return self.running >= MOST_STREAMS

    async def events(self, render: Callable[[], Awaitable[Fragment]]) -> AsyncIterator[str]:
        """Yield server-sent events until the time is over; a failed read is an event, and the next look follows."""
        self.running += 1
        try:
            yield f"retry: {_RETRY}\n\n"
            async for event in self._looks(render):
                yield event
        finally:
            self.running -= 1

    async def _looks(self, render: Callable[[], Awaitable[Fragment]]) -> AsyncIterator[str]:
        end, shown, quiet = self.clock.monotonic() + LONGEST, Markup(), 0
        while self.clock.monotonic() < end and not self._closing.is_set():
            try:
                fragment = await render()
            except SerinusError as problem:
                yield _event("problem", {"message": f"The cluster cannot be read: {problem}"})
                shown = Markup()
            else:
                quiet += 1
                if fragment.html != shown:
                    yield _event("fragment", {"html": str(fragment.html), "headline": fragment.headline})
                    shown, quiet = fragment.html, 0
                elif quiet % _COMMENT_EVERY == 0:
                    yield ": unchanged\n\n"
            await self._pause()

    async def _pause(self) -> None:
        waits = [asyncio.ensure_future(self.sleep(INTERVAL)), asyncio.ensure_future(self._closing.wait())]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def _event(name: str, value: dict[str, str]) -> str:
    # JSON has no line breaks, which would end the event.
    return f"event: {name}\ndata: {msgspec.json.encode(value).decode()}\n\n"
