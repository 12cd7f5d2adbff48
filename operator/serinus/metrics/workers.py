"""Runs queries in two small thread pools, each with a hard deadline; failures are returned as values."""

import asyncio
import time
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

OnQuery = Callable[[str, float], None]

_THREADS: Final = 4
_RANGE_THREADS: Final = 2
"""The past of stages has threads of its own: however long its queries take, no tick waits for them."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a query gave no usable result."""

    cause: Cause
    message: str

    def as_answer(self, at: datetime) -> CouldNotAsk:
        """Return the answer to every question that needed the query."""
        return CouldNotAsk(at=at, cause=self.cause, message=self.message)


class Workers:
    """The threads of one source: those of the ticks, and those of the range queries.

    The transport's time-outs bound a hanging call. While all threads hang, new queries fail at their deadline without
    being sent, so nothing piles up.

    Attributes:
        range_queries: number of range queries sent so far.
    """

    def __init__(
        self, transport: Transport, timeout: float, name: str, on_query: OnQuery = lambda _outcome, _seconds: None
    ) -> None:
        """Create the pools; no thread starts before the first query.

        Args:
            transport: the client that the threads call.
            timeout: seconds that a query may take, including the wait for a thread.
            name: the source's name, used in thread names.
            on_query: told what came of each query, in a word of the metrics, and how many seconds it took.
        """
        self._transport, self._timeout = transport, timeout
        self._on_query = on_query
        self.range_queries = 0
        self._ticks = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"prometheus-{name}")
        self._ranges = ThreadPoolExecutor(_RANGE_THREADS, thread_name_prefix=f"prometheus-{name}-range")

    def close(self) -> None:
        """Wait for running queries and accept no more."""
        for pool in (self._ticks, self._ranges):
            pool.shutdown(wait=True, cancel_futures=True)
        self._transport.close()

    async def instant(self, query: str, at: int, max_wait: float | None = None) -> Vector | Failure:
        """Evaluate at one time, in milliseconds since 1970; ``max_wait``: a shorter time-out, in seconds."""
        return await self._run(self._ticks, lambda: self._transport.instant(query, seconds_text(at)), max_wait)

    async def range(self, query: str, start: int, end: int, step: int) -> Matrix | Failure:
        """Evaluate at every step from start to end, all in milliseconds."""
        self.range_queries += 1
        times = (seconds_text(start), seconds_text(end), seconds_text(step))
        return await self._run(self._ranges, lambda: self._transport.range(query, *times))

    async def _run(
        self, pool: ThreadPoolExecutor, call: Callable[[], Table], max_wait: float | None = None
    ) -> Table | Failure:
        wait = self._timeout if max_wait is None else min(max_wait, self._timeout)
        started, outcome = time.monotonic(), "unavailable"
        try:
            table = await asyncio.wait_for(asyncio.get_running_loop().run_in_executor(pool, call), wait)
            outcome = "partial" if table.partial else "ok"
        except RefusedError as problem:
            outcome = "refused"
            return Failure(Cause.QUERY_INVALID, str(problem))
        except TransientError as problem:
            return Failure(Cause.PROVIDER_DOWN, str(problem))
        except TimeoutError:
            outcome = "timeout"
            return Failure(
                Cause.PROVIDER_DOWN,
                f"Prometheus at {self._transport.place} did not answer within {wait:g}s: check its load",
            )
        finally:
            self._on_query(outcome, time.monotonic() - started)
        if table.partial:
            # Part of the store did not answer. That part is down, and the whole time must be asked for again.
            return Failure(
                Cause.PROVIDER_DOWN,
                f"Prometheus at {self._transport.place} warns that its answer may be incomplete: check its stores",
            )
        return table
