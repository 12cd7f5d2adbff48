"""AuditRecord: one immutable, hash-chained entry of a model's audit trail: who, what, when, why, on what evidence."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, field

from serinus.api.modelversion import ModelName
from serinus.api.schema import Model, items, rule, text
from serinus.api.verdict import Verdict

FORMAT: Final = 1
"""The version of the record format. A later format gets another number: old records are never rewritten."""

MAX_SPEC: Final = 1024 * 1024
"""The most characters of a registered spec: no store has larger objects."""

MAX_EVIDENCE: Final = 10
"""The conditions that are judged in a stage at most: eight lines of ``abortOn``, and the guards."""

_VERSION = text("A version, without a leading v.", least=0, most=64)
_HASH = text("SHA-256, sha256: and 64 hexadecimal digits; empty where there is none.", least=0, most=71)
_SENTENCE = text("For people.", least=0, most=4096)
_SHARE = text("A share of the traffic, such as 5%.", least=0, most=16)


class AuditEvent(StrEnum):
    """What happened; stable words, for auditors and their queries."""

    VERSION_REGISTERED = "VersionRegistered"
    VERSION_REJECTED = "VersionRejected"
    VERSION_YANKED = "VersionYanked"
    VERSION_UNYANKED = "VersionUnyanked"
    VERSION_DELETED = "VersionDeleted"
    SCHEMA_WAIVED = "SchemaWaived"
    UNSAFE_ROLLBACK_ACCEPTED = "UnsafeRollbackAccepted"
    WORSE_METRICS_ACCEPTED = "WorseMetricsAccepted"
    ARTIFACT_VERIFIED = "ArtifactVerified"
    ARTIFACT_FAILED = "ArtifactFailed"
    STABLE_ADOPTED = "StableAdopted"
    ROLLOUT_STARTED = "RolloutStarted"
    TRAFFIC_SHIFTED = "TrafficShifted"
    TRAFFIC_DRIFT_CORRECTED = "TrafficDriftCorrected"
    TEST_PASSED = "TestPassed"
    TEST_FAILED = "TestFailed"
    ANALYSIS_PASSED = "AnalysisPassed"
    STAGE_TIMED_OUT = "StageTimedOut"
    APPROVED = "Approved"
    APPROVAL_REFUSED = "ApprovalRefused"
    APPROVAL_EXPIRED = "ApprovalExpired"
    PAUSED = "Paused"
    RESUMED = "Resumed"
    PLAN_CHANGED = "PlanChanged"
    PROMOTED = "Promoted"
    ROLLBACK_STARTED = "RollbackStarted"
    ROLLED_BACK = "RolledBack"
    ROLLBACK_IMPOSSIBLE = "RollbackImpossible"
    RUN_SUPERSEDED = "RunSuperseded"
    RUN_CANCELLED = "RunCancelled"
    QUARANTINE_LIFTED = "QuarantineLifted"
    COMMAND_IGNORED = "CommandIgnored"
    POLICY_CHANGED = "PolicyChanged"
    MODEL_DELETED = "ModelDeleted"
    RECORDS_PRUNED = "RecordsPruned"
    HEAD_RESTORED = "HeadRestored"


class ActorKind(StrEnum):
    """What acted."""

    PERSON = "Person"
    SERVICE_ACCOUNT = "ServiceAccount"
    OPERATOR = "Operator"
    UNKNOWN = "Unknown"


class Authentication(StrEnum):
    """Who vouches for the actor's name."""

    ADMISSION = "Admission"
    """The API server stamped it at admission."""
    CLOUD = "Cloud"
    """The cloud's identity service named it."""
    OPERATOR = "Operator"
    """The operator acted by its own rules."""
    NONE = "None"
    """Nobody: the name is what the client said, or unverified."""


class Actor(Model, frozen=True, kw_only=True, omit_defaults=False):
    """Who acted."""

    name: Annotated[str, text("The user name, or unverified.", most=512)]
    kind: Annotated[ActorKind, Meta(description="What kind of actor it is.")]
    authentication: Annotated[Authentication, Meta(description="Who vouches for the name.")]


class OnBehalfOf(Model, frozen=True, kw_only=True):
    """For whom a pipeline acted, as it says itself; nobody has checked it."""

    name: Annotated[str, text("The author.", least=0, most=512)] = ""
    commit: Annotated[str, text("The commit.", least=0, most=64)] = ""
    url: Annotated[str, text("The change or pull request.", least=0, most=2048)] = ""


class HeadSummary(Model, frozen=True, kw_only=True):
    """Where the model stood."""

    production: Annotated[str, _VERSION] = ""
    candidate: Annotated[str, _VERSION] = ""
    traffic: Annotated[str, _SHARE] = ""
    stage: Annotated[str, text("The candidate's stage.", least=0, most=40)] = ""
    generation: Annotated[int, Meta(description="How often the production version has changed.", ge=0)] = 0


class RolloutReference(Model, frozen=True, kw_only=True):
    """Which step of which run of which Rollout."""

    name: Annotated[str, text("metadata.name.", most=253)]
    uid: Annotated[str, text("metadata.uid.", least=0, most=64)] = ""
    generation: Annotated[int, Meta(description="metadata.generation.", ge=0)] = 0
    run: Annotated[int, Meta(description="The run's number.", ge=0)] = 0
    stage: Annotated[str, text("The stage.", least=0, most=40)] = ""
    spec_hash: Annotated[str, _HASH] = ""


class ApprovalEvidence(Model, frozen=True, kw_only=True):
    """A person's approval and what exactly it was given for."""

    by: Annotated[str, text("Who.", least=0, most=512)]
    at: Annotated[datetime, Meta(description="When (UTC).")]
    stage: Annotated[str, text("The stage that was left.", most=40)]
    reason: Annotated[str, _SENTENCE] = ""
    digest: Annotated[str, _HASH] = ""
    spec_hash: Annotated[str, _HASH] = ""


class Evidence(Model, frozen=True, kw_only=True):
    """One measured condition."""

    metric: Annotated[str, text("Such as latency_p95.", most=64)]
    condition: Annotated[str, text("The line of abortOn.", most=128)]
    verdict: Annotated[Verdict, Meta(description="Pass, Breach or Unknown.")]
    cause: Annotated[str, text("Why it is Unknown.", least=0, most=64)] = ""
    value: Annotated[str, text("The value with its unit.", least=0, most=64)] = ""
    threshold: Annotated[str, text("The limit as written.", least=0, most=64)] = ""
    requests: Annotated[int, Meta(description="Requests that it rests on.", ge=0)] = 0
    at: Annotated[datetime, Meta(description="When it was judged (UTC).")]
    source: Annotated[str, text("The metric source.", least=0, most=63)] = ""
    query: Annotated[str, text("The preset or the named query that was asked.", least=0, most=256)] = ""
    window: Annotated[str, text("The window, such as 1m.", least=0, most=32)] = ""


class Registration(Model, frozen=True, kw_only=True):
    """What a version is, for ever: every fact of its ModelVersion when it was registered."""

    spec: Annotated[
        str, text("The ModelVersion's spec as canonical JSON (RFC 8785); specHash is its SHA-256.", most=MAX_SPEC)
    ]
    labels: Annotated[
        dict[str, Annotated[str, text("Its value.", least=0, most=63)]],
        Meta(description="Its labels when it was registered.", max_length=256),
    ] = field(default_factory=dict)
    registered_at: Annotated[datetime, Meta(description="When the ModelVersion was made (UTC).")]


class StandingVersion(Model, frozen=True, kw_only=True):
    """What removed records say of one version, so that it stays immutable after retention has removed them."""

    version: Annotated[str, _VERSION]
    spec_hash: Annotated[str, _HASH] = ""
    digest: Annotated[str, _HASH] = ""
    yanked: Annotated[str, text("Why it must never serve; empty where it may.", least=0, most=256)] = ""
    yank_changes: Annotated[int, Meta(description="How often it was yanked or the yank taken back.", ge=0)] = 0


class AuditEntry(Model, frozen=True, kw_only=True):
    """What is to be recorded: everything of a record but its place in the chain.

    Attributes:
        id: unique to the event, however often it is delivered: committing it twice is committing it once.
        at: when it happened, which may be long before it could be recorded.
        version: the version that it is about.
        to: where the traffic went, for a rollback.
    """

    id: Annotated[str, text("A UUID; the same event delivered again has the same.", most=36)]
    event: Annotated[AuditEvent, Meta(description="What happened.")]
    at: Annotated[datetime, Meta(description="When it happened (UTC, to the millisecond).")]
    version: Annotated[str, _VERSION] = ""
    to: Annotated[str, _VERSION] = ""
    digest: Annotated[str, _HASH] = ""
    spec_hash: Annotated[str, _HASH] = ""
    traffic: Annotated[str, _SHARE] = ""
    actor: Actor
    on_behalf_of: OnBehalfOf | None = None
    reason: Annotated[str, _SENTENCE] = ""
    message: Annotated[str, _SENTENCE] = ""
    rollout: RolloutReference | None = None
    approvals: Annotated[tuple[ApprovalEvidence, ...], items("The approvals that it rests on.", most=32)] = ()
    evidence: Annotated[tuple[Evidence, ...], items("What was measured.", most=MAX_EVIDENCE)] = ()
    details: Annotated[
        dict[str, Annotated[str, text("Its value.", least=0, most=4096)]],
        Meta(description="Further facts by name, such as each schema change by its path.", max_length=128),
    ] = field(default_factory=dict)


class RegistryEntry(AuditEntry, frozen=True, kw_only=True):
    """What the registry adds to an entry; no Rollout's outbox holds it.

    Attributes:
        registration: the version's facts, of VersionRegistered; absent in the records of earlier releases.
        standing: what the removed records say of versions, of RecordsPruned; likewise.
    """

    registration: Registration | None = None
    standing: Annotated[
        tuple[StandingVersion, ...], items("Of RecordsPruned: the versions of the removed records.", most=4096)
    ] = ()


PROMOTED_BY: Final = "promotedBy"
"""The detail of a record that makes a version the production version: who asked for that."""

PROMOTED_BECAUSE: Final = "promotedBecause"
"""The detail beside it: why. The records of earlier releases have neither."""


class OperatorIdentity(Model, frozen=True, kw_only=True, omit_defaults=False):
    """What wrote the record."""

    version: Annotated[str, text("The version of Serinus.", most=64)]
    instance: Annotated[str, text("The process: the pod's name, or the host's.", least=0)]


class AuditRecordSpec(RegistryEntry, frozen=True, kw_only=True):
    """The record as it is stored. Its hash is SHA-256 over the canonical JSON (RFC 8785) of all fields but ``hash``."""

    format: Annotated[int, Meta(description="The form of the record: 1.", ge=1, le=1)]
    sequence: Annotated[int, Meta(description="Its place in the model's chain, from 1.", ge=1, le=999_999_999_999)]
    namespace: Annotated[str, text("The model's namespace.", least=0, most=63)]
    model: ModelName
    cluster: Annotated[
        str,
        text(
            "The cluster whose chain it is, where several share the store; empty where none is named.", least=0, most=63
        ),
    ] = ""
    recorded_at: Annotated[datetime, Meta(description="When it was recorded (UTC).")]
    recorded_by: OperatorIdentity
    before: Annotated[HeadSummary, Meta(description="Where the model stood before.")]
    after: Annotated[HeadSummary, Meta(description="Where it stands now.")]
    previous_hash: Annotated[str, _HASH]
    hash: Annotated[str, text("SHA-256 of this record.", most=71)]


IMMUTABLE: Final = rule("self == oldSelf", "an AuditRecord never changes")

OBJECT_RULES: Final = (
    rule(
        "self.metadata.name.startsWith(self.spec.model + '-')"
        " && self.metadata.name.size() == self.spec.model.size() + 13"
        " && int(self.metadata.name.substring(self.spec.model.size() + 1)) == self.spec.sequence",
        "metadata.name must be <model>-<sequence in twelve digits>: whoever creates it first has the number",
    ),
)
