"""Many runs of one plan against synthetic traffic, tick by tick: their conditions are judged together."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from serinus.api.rollout_status import Phase
from serinus.engine.analysis.assessment import update_all
from serinus.engine.simulation.cluster import begun
from serinus.engine.simulation.outcomes import Ended, Outcome
from serinus.engine.simulation.plan import SimulatedPlan
from serinus.engine.simulation.run import Run
from serinus.engine.simulation.traffic import Arrivals, Floats, Places

REACTION: Final = timedelta(seconds=2)
"""From a breach to weight 0 at the gateway; docs/performance.md has what was measured."""


def simulate(
    plan: SimulatedPlan,
    arrivals: Arrivals,
    start: datetime,
    most: timedelta,
    progressed: Callable[[int], None] = lambda _: None,
) -> list[Outcome]:
    """Return how each run ends, in order.

    Args:
        plan: what is run.
        arrivals: draws the requests of as many runs as shall be simulated.
        start: when the first stage begins.
        most: how long is simulated at most; what is open then stays undecided.
        progressed: is called with the number of runs that have ended, at each tick.

    Raises:
        ValueError: no run of the plan begins, or a condition cannot be simulated.
    """
    first, requests, harmed = begun(plan.spec, start), np.zeros(arrivals.runs), np.zeros(arrivals.runs)
    runs = [Run.at_first_stage(plan, first) for _ in range(arrivals.runs)]
    ends: dict[int, Ended] = {}
    last = most // plan.scrape_interval
    for tick in range(1, last + 1):
        now = start + tick * plan.scrape_interval
        under_way = [number for number in range(len(runs)) if number not in ends]
        if not under_way:
            break
        for numbers in _asked_the_same(runs, under_way):
            counted, bad = _count([runs[number] for number in numbers], np.array(numbers), arrivals, now)
            requests[numbers] += counted
            harmed[numbers] += bad
        found = {number: runs[number].decide(now) for number in under_way if tick == last or runs[number].is_due(now)}
        ends |= {number: end for number, end in found.items() if end is not None}
        progressed(len(ends))
    served = zip(requests.tolist(), harmed.tolist(), strict=True)
    return [
        _outcome(run, ends.get(number), start, arrivals.traffic.per_second, figures)
        for number, (run, figures) in enumerate(zip(runs, served, strict=True))
    ]


def _asked_the_same(runs: Sequence[Run], numbers: Sequence[int]) -> list[list[int]]:
    """Return the runs in groups that are in one stage and have the same conditions, in a fixed order."""
    groups: dict[tuple[object, ...], list[int]] = defaultdict(list)
    for number in numbers:
        run = runs[number]
        groups[(run.weight, *(one.condition.text for one in run.progress))].append(number)
    return list(groups.values())


def _count(runs: Sequence[Run], numbers: Places, arrivals: Arrivals, now: datetime) -> tuple[Floats, Floats]:
    """Draw one tick's requests of these runs and fold them in; return how many they were, and how many were bad."""
    plan, conditions = runs[0].plan, [one.condition for one in runs[0].progress]
    seconds = plan.scrape_interval.total_seconds()
    drawn = arrivals.draw(numbers, conditions, now, share=runs[0].weight / 100, seconds=seconds)
    pairs = [[answers[place] for answers in drawn.answers] for place in range(len(runs))]
    updated = update_all(
        (one, *pair)
        for run, mine in zip(runs, pairs, strict=True)
        for one, pair in zip(run.progress, mine, strict=True)
    )
    size = len(conditions)
    for place, (run, mine) in enumerate(zip(runs, pairs, strict=True)):
        run.take(tuple(updated[place * size : (place + 1) * size]), mine)
    return drawn.requests, drawn.harmed


def _outcome(run: Run, end: Ended | None, start: datetime, per_second: float, served: tuple[float, float]) -> Outcome:
    requests, harmed = served
    if end is None:
        return Outcome.undecided(run.cluster.status, requests=requests, harmed=harmed)
    if end.status.phase is Phase.ROLLED_BACK and requests > 0:
        # What is still served until the gateway has the weights, as bad as before on average.
        harmed += per_second * REACTION.total_seconds() * end.at_weight / 100 * harmed / requests
    return Outcome.of(end, start, requests=requests, harmed=harmed)
