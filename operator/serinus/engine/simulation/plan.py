"""The part of a plan that a simulation runs: its stages with traffic, from one of them on."""

from dataclasses import dataclass
from datetime import timedelta

from msgspec import structs

from serinus.api.abort_condition import AbortCondition, Latency, Metric
from serinus.api.quantities import NONE_OF_IT
from serinus.api.rollout import Approval, RolloutSpec, Stage
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.analysis.assessment import Progress, begin
from serinus.engine.analysis.false_aborts import conditions_in_run
from serinus.engine.analysis.guards import is_warming, judged_in
from serinus.engine.rollout.modes import Running, mode_of

Key = tuple[Metric, float]
"""A metric, and the limit in seconds above which a latency is counted; 0 for the whole histogram and other metrics."""


def key_of(condition: AbortCondition) -> Key:
    """Return what a condition asks for."""
    limited = isinstance(condition.metric, Latency) and not condition.compared
    return condition.metric, condition.threshold if limited else 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class SimulatedPlan:
    """What a simulation runs.

    Attributes:
        spec: the plan without tests and approvals, which are taken to pass and to be given at once, and without the
            stages before the first simulated one.
        conditions: number of conditions of the whole plan, which share the bound on false aborts.
        scrape_interval: how often new counts arrive.
        guards: whether the guards of each stage are judged; without any bad request they never fail.
        answered: what there are answers for; None where there are for everything. A guard without is not judged.
    """

    spec: RolloutSpec
    conditions: int
    scrape_interval: timedelta
    guards: bool = True
    answered: frozenset[Key] | None = None

    @property
    def length(self) -> timedelta:
        """How long the plan takes if no stage waits for anything."""
        return sum((stage.watch.value + _warm_up(stage) for stage in self.spec.stages), timedelta(0))

    def stage(self, status: RolloutStatus) -> Stage | None:
        """Return the stage that a status is in; None where no run is under way."""
        mode = mode_of(status, self.spec)
        return mode.planned if isinstance(mode, Running) else None

    def initial(self, status: RolloutStatus) -> tuple[Progress, ...]:
        """Return the progress of each condition of the stage that a status is in, before its first answer.

        Raises:
            ValueError: there are no answers for a condition that somebody wrote.
        """
        current, stage = status.stage, self.stage(status)
        if stage is None or current is None:
            return ()
        written, guards = judged_in(self.spec, current, status.baselines)
        for condition in written:
            if not self._is_answered(condition):
                raise ValueError(f"stage {stage.name}: there are no figures for {condition.text}")
        warming = is_warming(stage, current)
        if warming and not any(self._is_answered(guard) for guard in guards):
            raise ValueError(f"stage {stage.name}: there are no figures for {guards[0].text}, by which it warms up")
        guards = guards if self.guards or warming else ()
        judged = (*written, *(guard for guard in guards if self._is_answered(guard)))
        return tuple(
            begin(
                condition,
                stage,
                self.spec.metrics,
                conditions_in_run=self.conditions,
                scrape_interval=self.scrape_interval,
                guard=number >= len(written),
                since=current.since,
            )
            for number, condition in enumerate(judged)
        )

    def _is_answered(self, condition: AbortCondition) -> bool:
        return self.answered is None or key_of(condition) in self.answered


def _warm_up(stage: Stage) -> timedelta:
    """Return how long a warm-up takes, where that is written."""
    time = stage.warmup.ready_for if stage.warmup is not None else None
    return time.value if time is not None else timedelta(0)


def simulated_plan(
    spec: RolloutSpec,
    *,
    scrape_interval: timedelta,
    first: str = "",
    guards: bool = True,
    answered: frozenset[Key] | None = None,
) -> SimulatedPlan:
    """Return what a simulation of this plan runs.

    Args:
        spec: the whole plan.
        scrape_interval: how often new counts arrive.
        first: the stage to begin with; the first one with traffic where it is empty.
        guards: whether guards are judged.
        answered: what there are answers for; None where there are for everything.

    Raises:
        ValueError: the plan has no such stage, or the stage has no traffic.
    """
    with_traffic = [index for index, stage in enumerate(spec.stages) if stage.traffic > NONE_OF_IT]
    names = {spec.stages[index].name: index for index in with_traffic}
    if first and first not in names:
        raise ValueError(f"no stage with traffic is called {first}: the plan has {', '.join(names)}")
    begins = names[first] if first else with_traffic[0]
    stages = tuple(structs.replace(stage, tests=(), approval=Approval.NOT_REQUIRED) for stage in spec.stages[begins:])
    return SimulatedPlan(
        spec=structs.replace(spec, stages=stages),
        conditions=conditions_in_run(spec),
        scrape_interval=scrape_interval,
        guards=guards,
        answered=answered,
    )
