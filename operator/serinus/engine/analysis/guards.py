"""What every stage with traffic watches although nobody wrote it.

Below 100 % the version is compared with the stable one. At 100 % that has no requests any more: then what was counted
of it in the stage before says what is usual.
"""

import math
from collections.abc import Collection, Iterable
from typing import Final

from serinus.api.abort_condition import AbortCondition, parse_abort_condition
from serinus.api.quantities import ALL_OF_IT
from serinus.api.rollout import RolloutSpec, Stage
from serinus.api.rollout_status import Baseline, CurrentStage, StageState
from serinus.engine.analysis.false_aborts import WARMUP_GUARDS, possible_guards
from serinus.engine.analysis.progress import Progress

_TIMES: Final = 2.0
"""By how much more than in the stage before may be bad at 100 %, beside the guard's margin: traffic changes."""

_RULE_OF_THREE: Final = 3.0
_HIGHEST: Final = 0.9
"""Where more than this is usual, nothing can be told by it."""


_WARMING: Final = frozenset({StageState.PREPARING, StageState.SHIFTING, StageState.TESTING, StageState.WARMING_UP})


def is_warming(stage: Stage, current: CurrentStage) -> bool:
    """Return whether the warm-up of a stage is still to come or under way."""
    return stage.warmup is not None and current.state in _WARMING


def judged_in(
    plan: RolloutSpec, current: CurrentStage, baselines: Iterable[Baseline] = ()
) -> tuple[tuple[AbortCondition, ...], tuple[AbortCondition, ...]]:
    """Return what is judged at present: the conditions that somebody wrote for the stage, and the guards."""
    if is_warming(plan.stages[current.index], current):
        return (), WARMUP_GUARDS
    return plan.conditions[current.index], guards_of(plan, current.index, baselines)


def guards_of(plan: RolloutSpec, index: int, baselines: Iterable[Baseline] = ()) -> tuple[AbortCondition, ...]:
    """Return the guards of a stage; a metric that its ``abortOn`` names is left to the team's own words.

    Args:
        plan: the Rollout's.
        index: of the stage.
        baselines: what was counted of the stable version; without one a guard cannot watch a stage at 100 %.
    """
    traffic, guards = plan.stages[index].traffic, possible_guards(plan, index)
    if traffic < ALL_OF_IT:
        return guards
    usual = {baseline.metric: baseline for baseline in baselines}
    limits = (_limited(guard, usual[guard.name]) for guard in guards if guard.name in usual)
    return tuple(limit for limit in limits if limit is not None)


def baselines_of(readings: Collection[Progress]) -> tuple[Baseline, ...]:
    """Return what the guards have counted of the stable version in a stage that passes."""
    return tuple(
        Baseline(
            metric=reading.condition.name, requests=round(reading.stable.requests), bad=math.ceil(reading.stable.bad)
        )
        for reading in readings
        if reading.guard and reading.condition.compared and reading.stable.requests > 0
    )


def _limited(guard: AbortCondition, usual: Baseline) -> AbortCondition | None:
    """Return the guard with a limit of its own: twice the share that is usual, and the margin."""
    if usual.requests <= 0:
        return None
    share = (usual.bad + _RULE_OF_THREE) / usual.requests
    limit = _TIMES * share + guard.threshold
    if limit >= _HIGHEST:
        return None
    # One decimal of a percent, so that the same baseline gives the same line after a restart.
    return parse_abort_condition(f"{guard.name} > {math.ceil(1000 * limit) / 10:g}%")
