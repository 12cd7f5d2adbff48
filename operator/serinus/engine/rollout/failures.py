"""What the status says when the outside will not do what was decided."""

from datetime import datetime

from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType, condition_of, find_condition, with_condition
from serinus.api.rollout_status import RolloutStatus


def write_refused(status: RolloutStatus, problem: str, generation: int, now: datetime) -> RolloutStatus:
    """Return the status with the news that the route will not be written, however often it is tried."""
    kind = ConditionType.TRAFFIC_CONFIRMED
    found = condition_of(
        find_condition(status.conditions, kind),
        kind,
        ConditionStatus.FALSE,
        reason="WriteRefused",
        message=problem,
        generation=generation,
        now=now,
    )
    conditions = with_condition(status.conditions, found)
    return structs.replace(status, conditions=conditions, next_action=f"A person must act: {problem}")
