"""What decide() answers: the next status, what must be done to get there, and what to tell people."""

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import Action


class EventReason(StrEnum):
    """Reasons of Kubernetes Events; they are API: documented, stable, greppable."""

    ROLLOUT_STARTED = "RolloutStarted"
    STABLE_ADOPTED = "StableAdopted"
    WEIGHT_DRIFT_CORRECTED = "WeightDriftCorrected"
    TEST_PASSED = "TestPassed"
    TEST_FAILED = "TestFailed"
    TEST_NOT_RUN = "TestNotRun"
    TEST_JOB_GONE = "TestJobGone"
    WARMED_UP = "WarmedUp"
    ANALYSIS_PASSED = "AnalysisPassed"
    AWAITING_APPROVAL = "AwaitingApproval"
    APPROVED = "Approved"
    ROLLOUT_PAUSED = "RolloutPaused"
    ROLLOUT_RESUMED = "RolloutResumed"
    PLAN_CHANGED = "PlanChanged"
    ROLLOUT_PROMOTED = "RolloutPromoted"
    ROLLOUT_SUPERSEDED = "RolloutSuperseded"
    ROLLOUT_CANCELLED = "RolloutCancelled"
    ROLLBACK_STARTED = "RollbackStarted"
    ROLLBACK_COMPLETED = "RollbackCompleted"
    NO_ROLLBACK_TARGET = "NoRollbackTarget"
    STAGE_TIMED_OUT = "StageTimedOut"
    COMMAND_IGNORED = "CommandIgnored"
    SPEC_INVALID = "SpecInvalid"
    METRICS_UNAVAILABLE = "MetricsUnavailable"
    TRAFFIC_SHIFTED = "TrafficShifted"
    QUARANTINE_LIFTED = "QuarantineLifted"
    APPROVAL_REFUSED = "ApprovalRefused"
    APPROVAL_EXPIRED = "ApprovalExpired"
    ROUTE_CONTESTED = "RouteContested"
    ROUTE_CREATED = "RouteCreated"
    ROUTE_CORRECTED = "RouteCorrected"
    BACKEND_NOT_READY = "BackendNotReady"
    STATUS_UNREADABLE = "StatusUnreadable"
    ROLLBACK_TARGET_CHANGED = "RollbackTargetChanged"
    CLOCK_STEPPED = "ClockStepped"
    NOTIFICATION_FAILED = "NotificationFailed"


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, for ``kubectl describe`` and, where it matters to an auditor, the audit trail.

    Attributes:
        by: who made it happen; empty where the operator did by its own rules.
        why: the reason that this person gave.
        details: further facts for the audit trail, by name.
    """

    reason: EventReason
    message: str
    warning: bool = False
    by: str = ""
    why: str = ""
    details: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """The outcome of one look at one Rollout.

    Attributes:
        status: what shall be said once all actions are done; if one fails, the old status stands.
        actions: what must be done, in order.
        events: what to tell people once the status is written.
        requeue_after: when to look again if nothing happens before; None where only an event can change anything.
    """

    status: RolloutStatus
    actions: tuple[Action, ...] = ()
    events: tuple[Event, ...] = ()
    requeue_after: timedelta | None = None
