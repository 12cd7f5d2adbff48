"""Runs queries in a small thread pool, each with a hard deadline; failures are returned as values."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import CouldNotAsk
from serinus.errors import RefusedError, TransientError
from serinus.metrics.promql import seconds_text
from serinus.metrics.transport import Matrix, Transport, Vector

Table = TypeVar("Table", Vector, Matrix)

_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a query gave no usable result."""

    cause: Cause
    message: str

    def as_answer(self, at: datetime) -> CouldNotAsk:
        """Return the answer to every question that needed the query."""
        return CouldNotAsk(at=at, cause=self.cause, message=self.message)


class Workers:
    """The thread pool of one source.

    The transport's time-outs bound a hanging call. While all threads hang, new queries fail at their deadline without
    being sent, so nothing piles up.

    Attributes:
        range_queries: number of range queries sent so far.
    """

    def __init__(self, transport: Transport, timeout: float, name: str) -> None:
        """Create the pool; no thread starts before the first query.

        Args:
            transport: the client that the threads call.
            timeout: seconds that a query may take, including the wait for a thread.
            name: the source's name, used in thread names.
        """
        self._transport, self._timeout = transport, timeout
        self.range_queries = 0
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"prometheus-{name}")

    def close(self) -> None:
        """Wait for running queries and accept no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._transport.close()

    async def instant(self, query: str, at: int, max_wait: float | None = None) -> Vector | Failure:
        """Evaluate at one time, in milliseconds since 1970; ``max_wait``: a shorter time-out, in seconds."""
        return await self._run(lambda: self._transport.instant(query, seconds_text(at)), max_wait)

    async def range(self, query: str, start: int, end: int, step: int) -> Matrix | Failure:
        """Evaluate at every step from start to end, all in milliseconds."""
        self.range_queries += 1
        times = (seconds_text(start), seconds_text(end), seconds_text(step))
        return await self._run(lambda: self._transport.range(query, *times))

    async def _run(self, call: Callable[[], Table], max_wait: float | None = None) -> Table | Failure:
        wait = self._timeout if max_wait is None else min(max_wait, self._timeout)
        try:
            table = await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(self._pool, call), wait)
        except RefusedError as problem:
            return Failure(Cause.QUERY_INVALID, str(problem))
        except TransientError as problem:
            return Failure(Cause.PROVIDER_DOWN, str(problem))
        except TimeoutError:
            return Failure(
                Cause.PROVIDER_DOWN,
                f"Prometheus at {self._transport.place} did not answer within {wait:g}s: check its load",
            )
        if table.partial:
            # Part of the store did not answer. That part is down, and the whole time must be asked for again.
            return Failure(
                Cause.PROVIDER_DOWN,
                f"Prometheus at {self._transport.place} warns that its answer may be incomplete: check its stores",
            )
        return table
