"""Why a Rollout does not advance: one reason of a closed set, and the sentence that says who must act."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from serinus.api.verdict import Cause


class WaitReason(StrEnum):
    """The reasons that ``kubectl get`` shows; they are API: documented, stable, greppable."""

    # The spec, or the world around the Rollout, must change.
    SPEC_INVALID = "SpecInvalid"
    CONFLICT = "Conflict"
    METRICS_INVALID = "MetricsInvalid"
    JOB_TESTS_DISABLED = "JobTestsDisabled"
    # The wanted version.
    QUARANTINED = "Quarantined"
    MODEL_VERSION_MISSING = "ModelVersionMissing"
    MODEL_VERSION_UNUSABLE = "ModelVersionUnusable"
    VERSION_YANKED = "VersionYanked"
    VERSION_TAKEN = "VersionTaken"
    REGISTRATION_PENDING = "RegistrationPending"
    FACTS_MISSING = "FactsMissing"
    SCHEMA_PENDING = "SchemaPending"
    SCHEMA_REJECTED = "SchemaRejected"
    METRICS_WORSE = "MetricsWorse"
    ARTIFACT_PENDING = "ArtifactPending"
    ARTIFACT_REJECTED = "ArtifactRejected"
    ARTIFACT_UNVERIFIED = "ArtifactUnverified"
    MAJOR_VERSION_IN_PLACE = "MajorVersionInPlace"
    ROLLBACK_UNSAFE = "RollbackUnsafe"
    SAME_BACKEND = "SameBackend"
    FOREIGN_BACKENDS = "ForeignBackends"
    ROLLBACK_TARGET_UNFIT = "RollbackTargetUnfit"
    # The backends and the route.
    BACKEND_NOT_READY = "BackendNotReady"
    ROLLBACK_TARGET_NOT_READY = "RollbackTargetNotReady"
    ROUTE_MISSING = "RouteMissing"
    ROUTER_NOT_ENABLED = "RouterNotEnabled"
    BEYOND_ROUTER = "BeyondRouter"
    BACKEND_NOT_IN_ROUTE = "BackendNotInRoute"
    NO_SUCH_RULE = "NoSuchRule"
    ROUTE_OWNED_BY_OTHER = "RouteOwnedByOther"
    ROUTE_NOT_MANAGED = "RouteNotManaged"
    ROUTE_NOT_ACCEPTED = "RouteNotAccepted"
    ROUTE_REFUSED = "RouteRefused"
    WEIGHT_PENDING = "WeightPending"
    WEIGHTS_TOO_COARSE = "WeightsTooCoarse"
    TRAFFIC_SHARE_MISMATCH = "TrafficShareMismatch"
    UNKNOWN_BACKEND = "UnknownBackend"
    DUPLICATE_BACKEND = "DuplicateBackend"
    FILTERS_DIFFER = "FiltersDiffer"
    ROUTE_CONTESTED = "RouteContested"
    # The stage.
    TESTING = "Testing"
    TEST_NOT_RUN = "TestNotRun"
    WARMING_UP = "WarmingUp"
    ANALYZING = "Analyzing"
    AWAITING_APPROVAL = "AwaitingApproval"
    STAGE_TIMED_OUT = "StageTimedOut"
    EVIDENCE_PENDING = "EvidencePending"
    # The evidence: as in Cause, and a breach that is not answered yet.
    NO_TRAFFIC = "NoTraffic"
    TOO_FEW_REQUESTS = "TooFewRequests"
    UNDECIDED = "Undecided"
    NO_SERIES = "NoSeries"
    STALE = "Stale"
    SCRAPE_INTERVAL_WRONG = "ScrapeIntervalWrong"
    NAN = "NaN"
    AMBIGUOUS = "Ambiguous"
    PROVIDER_DOWN = "ProviderDown"
    QUERY_INVALID = "QueryInvalid"
    BREACH = "Breach"
    # People, and the registry.
    PAUSED = "Paused"
    FROZEN = "Frozen"
    AUDIT_BACKLOG = "AuditBacklog"

    @property
    def stalled(self) -> bool:
        """Whether it does not end by itself: a person must act (kstatus: Stalled)."""
        return self in _STALLED

    @property
    def means_invalid(self) -> bool:
        """Whether the spec itself cannot be followed: the phase is Invalid."""
        return self in _INVALID

    @property
    def transient(self) -> bool:
        """Whether the route is written and only the gateway's answer is missing."""
        return self in _TRANSIENT

    @property
    def is_hold(self) -> bool:
        """Whether it waits for a person: the time does not count as the stage's."""
        return self in _HOLDS

    @classmethod
    def of_cause(cls, cause: Cause) -> "WaitReason":
        """Return the reason of the same name as the cause of an Unknown verdict."""
        return cls(cause.value)


_INVALID: Final = frozenset({WaitReason.SPEC_INVALID, WaitReason.CONFLICT, WaitReason.METRICS_INVALID})
_TRANSIENT: Final = frozenset({WaitReason.WEIGHT_PENDING, WaitReason.ROUTE_NOT_ACCEPTED})
_HOLDS: Final = frozenset(
    {
        WaitReason.PAUSED,
        WaitReason.FROZEN,
        WaitReason.AWAITING_APPROVAL,
        WaitReason.SPEC_INVALID,
        WaitReason.CONFLICT,
        WaitReason.AUDIT_BACKLOG,
    }
)
_STALLED: Final = _INVALID | {
    WaitReason.QUARANTINED,
    WaitReason.VERSION_YANKED,
    WaitReason.FACTS_MISSING,
    WaitReason.SCHEMA_REJECTED,
    WaitReason.METRICS_WORSE,
    WaitReason.ARTIFACT_REJECTED,
    WaitReason.ARTIFACT_UNVERIFIED,
    WaitReason.MAJOR_VERSION_IN_PLACE,
    WaitReason.ROLLBACK_UNSAFE,
    WaitReason.SAME_BACKEND,
    WaitReason.WEIGHTS_TOO_COARSE,
    WaitReason.ROUTER_NOT_ENABLED,
    WaitReason.BEYOND_ROUTER,
    WaitReason.ROLLBACK_TARGET_UNFIT,
    WaitReason.UNKNOWN_BACKEND,
    WaitReason.DUPLICATE_BACKEND,
    WaitReason.FILTERS_DIFFER,
    WaitReason.ROUTE_CONTESTED,
    WaitReason.ROUTE_NOT_MANAGED,
    WaitReason.TEST_NOT_RUN,
    WaitReason.JOB_TESTS_DISABLED,
    WaitReason.STAGE_TIMED_OUT,
}


@dataclass(frozen=True, slots=True)
class Waiting:
    """Why the Rollout does not advance right now.

    Attributes:
        reason: shown by ``kubectl get``.
        message: a full sentence: what is awaited, and who must act.
        until: when it ends by itself, where that is known.
        temporary: it ends by itself although its reason usually does not.
    """

    reason: WaitReason
    message: str
    until: datetime | None = None
    temporary: bool = False

    @property
    def stalled(self) -> bool:
        """Whether a person must act."""
        return self.reason.stalled and not self.temporary
