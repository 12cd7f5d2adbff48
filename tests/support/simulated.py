"""Simulated runs of small plans."""

from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from serinus.engine.simulation.outcomes import Summary
from serinus.engine.simulation.plan import SimulatedPlan, simulated_plan
from serinus.engine.simulation.runs import simulate
from serinus.engine.simulation.traffic import Arrivals, Quality, Traffic
from support.builders import a_spec, a_stage

BEGAN: Final = datetime(2026, 11, 29, 14, 0, tzinfo=UTC)
SCRAPE: Final = timedelta(seconds=15)


def a_plan(
    line: str = "error_rate > 0.5%", *, duration: str = "20m", guards: bool = False, spec_guards: str = "On"
) -> SimulatedPlan:
    """A canary at 5 % and production, both with one condition."""
    canary = a_stage("canary", "5%", duration=duration, abortOn=[line])
    production = a_stage("production", "100%", bake="5m")
    return simulated_plan(
        a_spec("2.0.0", canary, production, guards=spec_guards), scrape_interval=SCRAPE, guards=guards
    )


def some_traffic(per_second: float = 100.0, *, burst: int = 1, **candidate: float) -> Traffic:
    good = Quality(errors=0.001, p95=0.1)
    return Traffic(per_second=per_second, candidate=Quality(**candidate), stable=good, burst=burst)


def simulated(
    plan: SimulatedPlan, traffic: Traffic, *, runs: int = 20, seed: int = 1, most: timedelta = timedelta(hours=1)
) -> Summary:
    arrivals = Arrivals(traffic, np.random.default_rng(seed), runs)
    return Summary(tuple(simulate(plan, arrivals, BEGAN, most)))
