"""Tries many points: several in one run, and each by itself where that run has failed."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

from support.faultpoints.faults import Point
from support.faultpoints.plans import bundles
from support.faultpoints.run import Outcome, World, run_points
from support.faultpoints.stories import STORIES

TOGETHER: Final = "several in one run"
"""The class of the runs themselves: one that fails although each of its points passes by itself is a failure of it."""

_TELL_EVERY: Final = 10


async def undisturbed(world: World, stories: Sequence[str]) -> dict[str, Outcome]:
    """Run each story without a fault; AssertionError where it is not right by itself."""
    outcomes = await asyncio.gather(*(run_points(world, [Point(story)], None) for story in stories))
    for outcome in outcomes:
        assert not outcome.problems, (outcome.points[0].story, outcome.problems)
    return {outcome.points[0].story: outcome for outcome in outcomes}


@dataclass(slots=True)
class Campaign:
    """Many points, and what they have shown.

    Attributes:
        save: called after each group, so that an end by force leaves what was found.
        passed: points that happened, in a run in which nothing was wrong.
        failed: what was wrong, by point; by all points of a run where each passes by itself.
        unreached: points that never happened: the run ended before their call. They count neither way.
        left: points that were not tried, because the time was over.
        safe_after: seconds to safety of all runs in which a version had to lose its weight.
    """

    world: World
    expected: Mapping[str, Outcome]
    parallel: int
    tell: Callable[[str], None]
    save: Callable[["Campaign"], None]
    passed: set[Point] = field(default_factory=set)
    failed: dict[tuple[Point, ...], list[str]] = field(default_factory=dict)
    unreached: set[Point] = field(default_factory=set)
    left: set[Point] = field(default_factory=set)
    runs: int = 0
    together: int = 0
    safe_after: list[float] = field(default_factory=list)

    async def run(self, points: Sequence[Point], size: int, seed: int, *, seconds: float = inf) -> None:
        """Try them, so many in one run; begin no other run after so many seconds."""
        groups = bundles(points, size, seed)
        begun, waiting = time.monotonic(), asyncio.Semaphore(self.parallel)

        async def one(number: int, group: tuple[Point, ...]) -> None:
            async with waiting:
                if time.monotonic() - begun > seconds:
                    self.left |= set(group)
                    return
                await self._try(group)
            self.save(self)
            if number % _TELL_EVERY == 0:
                told = f"{len(self.passed)} of {len(points)} points passed, {len(self.failed)} failed"
                self.tell(f"{told}, {self.runs} runs after {time.monotonic() - begun:.0f} s")

        async with asyncio.TaskGroup() as tasks:
            for number, group in enumerate(groups, 1):
                tasks.create_task(one(number, group))

    async def _try(self, group: tuple[Point, ...]) -> None:
        outcome = await self._run(group)
        self.together += len(group) > 1
        if len(group) == 1:
            self._note(group[0], outcome)
            return
        if not outcome.problems:
            self.passed |= outcome.struck
            self.unreached |= set(group) - outcome.struck
            return
        self.tell(f"failed together: {'; '.join(map(str, group))}: {'; '.join(outcome.problems)}")
        before = len(self.failed)
        for point in group:
            self._note(point, await self._run((point,)))
        if len(self.failed) == before:
            self.failed[group] = outcome.problems

    async def _run(self, group: tuple[Point, ...]) -> Outcome:
        outcome = await run_points(self.world, group, self.expected[group[0].story].end)
        self.runs += 1
        if outcome.safe_after is not None:
            self.safe_after.append(outcome.safe_after)
        return outcome

    def _note(self, point: Point, outcome: Outcome) -> None:
        if outcome.problems:
            self.failed[point,] = outcome.problems
            self.tell(f"FAILED {point} ({outcome.seconds:.1f} s): {'; '.join(outcome.problems)}")
        elif outcome.struck:
            self.passed.add(point)
        else:
            self.unreached.add(point)

    # ---- the result ----------------------------------------------------------------------------

    def result(self) -> dict[str, dict[str, int]]:
        """Return the cases and failures of each class."""
        cases = Counter(point.fault.value for point in self.passed)
        failures = Counter(group[0].fault.value if len(group) == 1 else TOGETHER for group in self.failed)
        cases += Counter({name: count for name, count in failures.items() if name != TOGETHER})
        cases[TOGETHER] = self.together
        return {name: {"cases": cases[name], "failures": failures[name]} for name in sorted(cases) if cases[name]}

    def details(self) -> dict[str, Any]:
        """Return what else the page of the results says."""
        safe = sorted(self.safe_after)
        parts = {
            f"p{part}": round(safe[min(len(safe) - 1, len(safe) * part // 100)], 2) for part in (50, 99, 100) if safe
        }
        return {
            "points": len(self.passed) + sum(len(group) == 1 for group in self.failed),
            "runs": self.runs,
            "unreached": len(self.unreached),
            "left": len(self.left),
            "stories": dict(Counter(point.story for point in self.passed)),
            "seconds_to_safety": {"cases": len(safe), **parts},
            "failed": {"; ".join(map(str, group)): problems for group, problems in self.failed.items()},
        }


async def all_undisturbed(world: World) -> dict[str, Outcome]:
    """Run every story without a fault."""
    return await undisturbed(world, list(STORIES))
