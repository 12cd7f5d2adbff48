"""Simulates many runs in blocks of their own seeds, on all processors: the result does not depend on their number."""

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from multiprocessing import get_context
from typing import Final

import numpy as np

from serinus.engine.simulation.outcomes import Outcome, Summary
from serinus.engine.simulation.plan import SimulatedPlan
from serinus.engine.simulation.runs import simulate
from serinus.engine.simulation.traffic import Arrivals, Traffic

BLOCK: Final = 125
"""Runs that share a seed, and are judged together."""

_INLINE: Final = 1
"""So many blocks are simulated in this process: another one takes half a second to start."""

_MOST_PROCESSES: Final = 8
_START: Final = datetime(2000, 1, 1, tzinfo=UTC)

Told = Callable[[int], None]
"""Is told how many more runs are done."""


@dataclass(frozen=True, slots=True)
class Job:
    """One block of runs.

    Attributes:
        plan: what is run.
        traffic: what it is run against.
        runs: how many.
        seed: of the whole simulation, then the number of the block.
        most: how long is simulated at most.
    """

    plan: SimulatedPlan
    traffic: Traffic
    runs: int
    seed: tuple[int, int]
    most: timedelta


def run_job(job: Job) -> list[Outcome]:
    """Return the outcomes of a block."""
    arrivals = Arrivals(job.traffic, np.random.default_rng(job.seed), job.runs)
    return simulate(job.plan, arrivals, _START, job.most)


class Simulator:
    """Runs blocks, in this process or in others."""

    def __init__(self, seed: int, told: Told, pool: ProcessPoolExecutor | None) -> None:
        """Use a pool of processes, or none."""
        self._seed, self._told, self._pool = seed, told, pool

    def summary(self, plan: SimulatedPlan, traffic: Traffic, runs: int, most: timedelta) -> Summary:
        """Return how this many runs end."""
        sizes = [min(BLOCK, runs - first) for first in range(0, runs, BLOCK)]
        jobs = [Job(plan, traffic, size, (self._seed, number), most) for number, size in enumerate(sizes)]
        found = self._here(jobs) if self._pool is None else self._there(jobs, self._pool)
        return Summary(tuple(outcome for block in found for outcome in block))

    def _here(self, jobs: Sequence[Job]) -> list[list[Outcome]]:
        found = []
        for job in jobs:
            found.append(run_job(job))
            self._told(job.runs)
        return found

    def _there(self, jobs: Sequence[Job], pool: ProcessPoolExecutor) -> list[list[Outcome]]:
        futures: dict[Future[list[Outcome]], int] = {pool.submit(run_job, job): job.runs for job in jobs}
        try:
            for future in as_completed(futures):
                future.result()
                self._told(futures[future])
        except BaseException:
            for future in futures:
                future.cancel()
            raise
        return [future.result() for future in futures]


@contextmanager
def simulator(seed: int, runs: int, told: Told) -> Iterator[Simulator]:
    """Hand out a simulator, with processes where there is enough to do for them."""
    processes = min(_MOST_PROCESSES, os.cpu_count() or 1)
    if processes == 1 or runs <= _INLINE * BLOCK:
        yield Simulator(seed, told, None)
        return
    # A forked process would share the threads' locks of this one; a new one is clean.
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        try:
            yield Simulator(seed, told, pool)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
