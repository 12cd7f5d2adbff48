"""Status conditions: the desired content of each, and its conversion to `metav1.Condition` entries."""

from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from typing import Final

from serinus.api.conditions import Condition, ConditionStatus, ConditionType, condition_of

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class ConditionUpdate:
    """Desired content of one status condition."""

    kind: ConditionType
    status: ConditionStatus
    reason: str
    message: str


_type_of: Final = attrgetter("kind")


def apply_updates(
    before: tuple[Condition, ...], updates: tuple[ConditionUpdate, ...], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Return the updates as conditions, sorted by type; an unchanged condition is the same object as before."""
    current = {condition.type: condition for condition in before}
    return tuple(
        condition_of(
            current.get(update.kind),
            update.kind,
            update.status,
            reason=update.reason,
            message=update.message,
            generation=generation,
            now=now,
        )
        for update in sorted(updates, key=_type_of)
    )
