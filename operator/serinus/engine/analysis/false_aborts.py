"""The bound on false aborts, and the conditions of a plan that share it."""

from typing import Final

from serinus.api.abort_condition import AbortCondition, parse_abort_condition
from serinus.api.rollout import Guards, RolloutSpec

FALSE_ABORTS_PER_RUN: Final = 0.01
"""Alpha: probability that a run of a tolerable version is aborted, over all its conditions together."""

GUARDS: Final = (
    parse_abort_condition("unanswered_rate > stable + 1%"),
    parse_abort_condition("client_error_rate > stable + 2%"),
)
"""A version that hangs or breaks its answers off, and one that refuses what the stable version accepts."""


WARMUP_GUARDS: Final = (parse_abort_condition("error_rate > 50%"), parse_abort_condition("unanswered_rate > 50%"))
"""A version that warms up is rolled back for failing outright, and not for being slow."""


def possible_guards(plan: RolloutSpec, index: int) -> tuple[AbortCondition, ...]:
    """Return the guards that a stage may have: all those that share the bound on false aborts with what is written."""
    if plan.guards is Guards.OFF or not plan.conditions[index]:
        return ()
    written = {condition.metric for condition in plan.conditions[index]}
    return tuple(guard for guard in GUARDS if guard.metric not in written)


def conditions_in_run(plan: RolloutSpec) -> int:
    """Return how many conditions share the bound, over all stages; guards included."""
    warmups = sum(len(WARMUP_GUARDS) for stage in plan.stages if stage.warmup is not None)
    stages = enumerate(plan.conditions)
    return warmups + sum(len(written) + len(possible_guards(plan, index)) for index, written in stages)
