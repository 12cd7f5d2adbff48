"""All facts of one simulation, to be judged again after somebody has changed them."""

import asyncio
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from support.soak.facts import Fact
from support.soak.oracle.case import Finding
from support.soak.oracle.oracle import Oracle
from support.soak.simulation import Settings, Simulation
from support.virtual_loop import VirtualLoop

F = TypeVar("F", bound=Fact)


@dataclass(frozen=True, slots=True)
class Recording:
    """A simulation that has ended.

    Attributes:
        facts: everything that happened, in order.
        oracle: what it has said of it.
    """

    simulation: Simulation
    oracle: Oracle
    facts: tuple[Fact, ...]


def record(settings: Settings) -> Recording:
    """Simulate, judge, and keep the facts."""
    oracle = Oracle()
    facts: list[Fact] = []

    def tell(fact: Fact) -> None:
        facts.append(fact)
        oracle.take(fact)

    async def simulate() -> Simulation:
        simulation = Simulation(settings, tell)
        await simulation.run()
        return simulation

    log = logging.getLogger("serinus")
    level = log.level
    log.setLevel(logging.CRITICAL)  # thousands of faults would be told
    try:
        with asyncio.Runner(loop_factory=VirtualLoop) as runner:
            simulation = runner.run(simulate())
    finally:
        log.setLevel(level)
    oracle.finish()
    return Recording(simulation, oracle, tuple(facts))


def judged(facts: Iterable[Fact]) -> list[Finding]:
    """Return what the oracle finds in these facts."""
    oracle = Oracle()
    for fact in facts:
        oracle.take(fact)
    oracle.finish()
    return oracle.findings


def every(
    facts: Sequence[Fact], kind: type[F], holds: Callable[[F], object] = lambda _: True
) -> Iterator[tuple[int, F]]:
    return ((place, fact) for place, fact in enumerate(facts) if isinstance(fact, kind) and holds(fact))


def first(facts: Sequence[Fact], kind: type[F], holds: Callable[[F], object] = lambda _: True) -> tuple[int, F]:
    """Return the first such fact and its place; LookupError where there is none."""
    for place, fact in every(facts, kind, holds):
        return place, fact
    raise LookupError(f"no {kind.__name__} of that kind was recorded")
