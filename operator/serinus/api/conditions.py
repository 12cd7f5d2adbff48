"""metav1.Condition: one observable fact about an object, with since when and why."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated

from msgspec import Meta
from msgspec.structs import replace

from serinus.api.schema import Model, text


class ConditionStatus(StrEnum):
    """Whether the condition holds; Unknown is a finding of its own, not an absence."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """The conditions of a Rollout. Ready, Reconciling and Stalled follow kstatus (cli-utils, pkg/kstatus)."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    TRAFFIC_CONFIRMED = "TrafficConfirmed"
    METRICS_AVAILABLE = "MetricsAvailable"
    ROLLBACK_READY = "RollbackReady"
    THRESHOLD_COARSE = "ThresholdCoarse"


class Condition(Model, frozen=True, kw_only=True):
    """One condition, with all fields of metav1.Condition."""

    type: Annotated[str, text("What is observed, CamelCase.", most=316)]
    status: Annotated[ConditionStatus, Meta(description="True, False or Unknown.")]
    reason: Annotated[
        str, text("Why, one stable CamelCase word.", most=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ]
    message: Annotated[str, text("Why, for a person.", least=0, most=32768)]
    observed_generation: Annotated[int, Meta(description="The generation that this was said of.", ge=0)]
    last_transition_time: Annotated[datetime, Meta(description="When the status last changed (UTC).")]


def with_condition(  # noqa: PLR0913 - the fields of metav1.Condition
    conditions: Iterable[Condition],
    kind: ConditionType,
    status: ConditionStatus,
    *,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> tuple[Condition, ...]:
    """Return the conditions with this one set, sorted by type.

    ``lastTransitionTime`` moves only when the status changes, as the API conventions ask.
    """
    held = {condition.type: condition for condition in conditions}
    before = held.get(kind.value)
    moved = now.replace(microsecond=0)
    since = before.last_transition_time if before is not None and before.status is status else moved
    held[kind.value] = Condition(
        type=kind.value,
        status=status,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=since,
    )
    return tuple(held[name] for name in sorted(held))


def without_condition(conditions: Iterable[Condition], kind: ConditionType) -> tuple[Condition, ...]:
    """Return the conditions without the one of this type."""
    return tuple(condition for condition in conditions if condition.type != kind.value)


def find_condition(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """Return the condition of this type, if it has been set."""
    return next((condition for condition in conditions if condition.type == kind.value), None)


def at_generation(conditions: Iterable[Condition], generation: int) -> tuple[Condition, ...]:
    """Return the conditions restated for a newer generation of the spec."""
    return tuple(replace(condition, observed_generation=generation) for condition in conditions)
