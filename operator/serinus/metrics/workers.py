"""Queries in a few dedicated threads, each with a hard deadline; a failure comes back as a value."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Final, TypeVar

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import CouldNotAsk, NoData
from serinus.errors import RefusedError, TransientError
from serinus.metrics.promql import seconds_text
from serinus.metrics.transport import Matrix, Transport, Vector

Table = TypeVar("Table", Vector, Matrix)

_THREADS: Final = 4


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a query gave nothing usable. ``answered``: the source did answer."""

    cause: Cause
    message: str
    answered: bool = False

    def as_answer(self, at: datetime) -> NoData | CouldNotAsk:
        """Return the answer to every question that needed the query."""
        kind = NoData if self.answered else CouldNotAsk
        return kind(at=at, cause=self.cause, message=self.message)


class Workers:
    """The threads of one source.

    A thread that hangs in a call is bounded by the transport's time-outs; while all hang, new queries fail at their
    deadline without having been sent, and nothing piles up.

    Attributes:
        ranged: how many range queries have been sent.
    """

    def __init__(self, transport: Transport, timeout: float, name: str) -> None:
        """Make the pool; no thread is started before the first query.

        Args:
            transport: what the threads call.
            timeout: seconds that a query may take, waiting for a thread included.
            name: the source's, for its threads.
        """
        self._transport, self._timeout = transport, timeout
        self.ranged = 0
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix=f"prometheus-{name}")

    def close(self) -> None:
        """Let running queries end and take no more."""
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._transport.close()

    async def instant(self, query: str, at: int, patience: float | None = None) -> Vector | Failure:
        """Evaluate at one time, in milliseconds since 1970; ``patience``: seconds to wait, where less than usual."""
        return await self._run(lambda: self._transport.instant(query, seconds_text(at)), patience)

    async def range(self, query: str, start: int, end: int, step: int) -> Matrix | Failure:
        """Evaluate at every step from start to end, all in milliseconds."""
        self.ranged += 1
        times = (seconds_text(start), seconds_text(end), seconds_text(step))
        return await self._run(lambda: self._transport.range(query, *times))

    async def _run(self, call: Callable[[], Table], patience: float | None = None) -> Table | Failure:
        wait = self._timeout if patience is None else min(patience, self._timeout)
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
            # Thanos and Mimir say so when a part of the store did not answer. That part is down, not the data old.
            return Failure(
                Cause.PROVIDER_DOWN,
                f"Prometheus at {self._transport.place} warns that its answer may be incomplete: check its stores",
                answered=True,
            )
        return table
