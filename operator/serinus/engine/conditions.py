"""Status conditions: what each one is about to say, and how that becomes `metav1.Condition` entries."""

from dataclasses import dataclass
from datetime import datetime

from serinus.api.conditions import Condition, ConditionStatus, ConditionType, condition_of

TRUE, FALSE, UNKNOWN = ConditionStatus.TRUE, ConditionStatus.FALSE, ConditionStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class ConditionUpdate:
    """What one condition shall say."""

    kind: ConditionType
    status: ConditionStatus
    reason: str
    message: str


def apply_updates(
    before: tuple[Condition, ...], findings: tuple[ConditionUpdate, ...], generation: int, now: datetime
) -> tuple[Condition, ...]:
    """Return these findings as conditions, sorted by type; one that says what it said before is the same object."""
    held = {condition.type: condition for condition in before}
    return tuple(
        condition_of(
            held.get(finding.kind.value),
            finding.kind,
            finding.status,
            reason=finding.reason,
            message=finding.message,
            generation=generation,
            now=now,
        )
        for finding in sorted(findings, key=lambda one: one.kind.value)
    )
