"""What every stage with traffic watches although nobody wrote it, in comparison with the stable version."""

from typing import Final

from serinus.api.abort_condition import AbortCondition, parse_abort_condition
from serinus.api.quantities import ALL_OF_IT, NONE_OF_IT
from serinus.api.rollout import Guards, RolloutSpec

GUARDS: Final = (
    parse_abort_condition("unanswered_rate > stable + 1%"),
    parse_abort_condition("client_error_rate > stable + 2%"),
)
"""A version that hangs or breaks its answers off, and one that refuses what the stable version accepts."""


def guards_of(plan: RolloutSpec, index: int) -> tuple[AbortCondition, ...]:
    """Return the guards of a stage; a metric that its ``abortOn`` names is left to the team's own words.

    At 100 % the stable version has no requests to compare with, and at 0 % nothing has traffic.
    """
    if plan.guards is Guards.OFF or not NONE_OF_IT < plan.stages[index].traffic < ALL_OF_IT:
        return ()
    written = {condition.metric for condition in plan.conditions[index]}
    return tuple(guard for guard in GUARDS if guard.metric not in written)
