"""metav1.Condition: one observable fact about an object, with its reason and its last transition."""

from collections.abc import Iterable
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta

from serinus.api.schema import Model, text
from serinus.api.texts import sentence


class ConditionStatus(StrEnum):
    """Whether the condition holds; Unknown is a finding of its own, not an absence."""

    TRUE = "True"
    FALSE = "False"
    UNKNOWN = "Unknown"


class ConditionType(StrEnum):
    """The conditions of our kinds. Ready, Reconciling and Stalled follow kstatus (cli-utils, pkg/kstatus)."""

    READY = "Ready"
    RECONCILING = "Reconciling"
    STALLED = "Stalled"
    TRAFFIC_CONFIRMED = "TrafficConfirmed"
    METRICS_AVAILABLE = "MetricsAvailable"
    ROLLBACK_READY = "RollbackReady"
    THRESHOLD_COARSE = "ThresholdCoarse"
    AUDIT_LAG = "AuditLag"
    BACKENDS_READY = "BackendsReady"
    CONDITIONS_MERGED = "ConditionsMerged"
    # Of a ModelVersion.
    ACCEPTED = "Accepted"
    ARTIFACT_VERIFIED = "ArtifactVerified"
    SCHEMA_ACCEPTED = "SchemaAccepted"
    METRICS_ACCEPTED = "MetricsAccepted"
    SERVING_READY = "ServingReady"
    RECORDED = "Recorded"


LONGEST_MESSAGE: Final = 32768
"""As in metav1.Condition."""


class Condition(Model, frozen=True, kw_only=True):
    """One condition, with all fields of metav1.Condition."""

    type: Annotated[str, text("What is observed, CamelCase.", most=316)]
    status: Annotated[ConditionStatus, Meta(description="True, False or Unknown.")]
    reason: Annotated[
        str, text("Why, one stable CamelCase word.", most=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ]
    message: Annotated[str, text("Why, for a person.", least=0, most=LONGEST_MESSAGE)]
    observed_generation: Annotated[int, Meta(description="The generation that this was said of.", ge=0)]
    last_transition_time: Annotated[datetime, Meta(description="When the status last changed (UTC).")]


def condition_of(  # noqa: PLR0913 - the fields of metav1.Condition
    before: Condition | None,
    kind: ConditionType,
    status: ConditionStatus,
    *,
    reason: str,
    message: str,
    generation: int,
    now: datetime,
) -> Condition:
    """Return the updated condition; ``before`` itself where nothing changed.

    ``lastTransitionTime`` changes only with the status, as the API conventions require.
    """
    message = sentence(message, LONGEST_MESSAGE)
    if before is not None and before.status is status:
        if (before.reason, before.message, before.observed_generation) == (reason, message, generation):
            return before
        since = before.last_transition_time
    else:
        since = now.replace(microsecond=0)
    return Condition(
        type=kind.value,
        status=status,
        reason=reason,
        message=message,
        observed_generation=generation,
        last_transition_time=since,
    )


def with_condition(conditions: Iterable[Condition], updated: Condition) -> tuple[Condition, ...]:
    """Return the conditions with this one replacing the one of its type, sorted by type."""
    by_type = {condition.type: condition for condition in conditions} | {updated.type: updated}
    return tuple(by_type[name] for name in sorted(by_type))


def find_condition(conditions: Iterable[Condition], kind: ConditionType) -> Condition | None:
    """Return the condition of this type; None where it is not set."""
    return next((condition for condition in conditions if condition.type == kind), None)
