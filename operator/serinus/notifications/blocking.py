"""Blocking calls in a daemon thread: the system's resolver and files, which nothing can interrupt.

Not in the event loop's common threads: they are few, and what else uses them would wait for a name server that is down.
Daemon threads, because the process must be able to exit while a look-up hangs.
"""

import asyncio
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import TypeVar

from aiohttp.abc import AbstractResolver, ResolveResult

from serinus.errors import TransientError

T = TypeVar("T")


class OneAtATime:
    """Runs blocking calls, each in a thread of its own, and never two: those that hang do not pile up."""

    def __init__(self, name: str) -> None:
        """Start nothing; ``name`` is that of the threads."""
        self._name = name
        self._running = threading.Lock()

    async def run(self, call: Callable[[], T]) -> T:
        """Return what the call returns, and raise what it raises.

        Raises:
            TransientError: an earlier call still hangs, whose caller has given up; or no thread can be started.
        """
        if not self._running.acquire(blocking=False):
            raise TransientError("an earlier look-up of its name or read of its files has not ended yet")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(outcome: Callable[[], None]) -> None:
            if not answer.done():  # else the caller has given up
                outcome()

        def work() -> None:
            try:
                outcome = partial(answer.set_result, call())
            except Exception as problem:  # noqa: BLE001 - it is raised where the result is awaited
                outcome = partial(answer.set_exception, problem)
            finally:
                self._running.release()
            with suppress(RuntimeError):  # the loop is closed: the process ends
                loop.call_soon_threadsafe(settle, outcome)

        try:
            threading.Thread(target=work, name=self._name, daemon=True).start()
        except RuntimeError as problem:
            self._running.release()
            raise TransientError("no thread can be started for it") from problem
        return await answer


class OwnResolver(AbstractResolver):
    """Resolves names by the system's resolver, outside the event loop's common threads."""

    def __init__(self, threads: OneAtATime) -> None:
        """Resolve in these threads."""
        self._threads = threads

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses; OSError where there are none."""
        found = await self._threads.run(lambda: socket.getaddrinfo(host, port, family, socket.SOCK_STREAM))
        return [
            ResolveResult(
                hostname=host,
                host=str(address[0]),
                port=port,
                family=of,
                proto=protocol,
                flags=socket.AI_NUMERICHOST,
            )
            for of, _, protocol, _, address in found
        ]

    async def close(self) -> None:
        """Nothing is kept open."""
