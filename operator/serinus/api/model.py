"""Model: a model's policy, written by its team, and the registry's head, written by the operator only."""

from datetime import datetime
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, field
from msgspec.structs import force_setattr

from serinus.api.conditions import Condition
from serinus.api.schema import UNSIGNED_DECIMAL, items, refuse_twins, rule, text
from serinus.api.schema import Model as Base

MAX_GOOD: Final = 100
MAX_QUARANTINED: Final = 100
MAX_RECENT: Final = 64

_VERSION = text("A version, without a leading v.", most=64)
_HASH = text("SHA-256, sha256: and 64 hexadecimal digits; empty where there is none.", least=0, most=71)


class Enforcement(StrEnum):
    """What happens to a version whose number promises more than its schema keeps."""

    ENFORCE = "Enforce"
    WARN = "Warn"
    OFF = "Off"


class Verification(StrEnum):
    """How an artifact is checked before a version's first stage.

    ``Full``: its bytes are read and hashed. ``Checksum``: the store's own SHA-256 of it is compared; where it keeps
    none, the bytes are read. ``Off``: it is not looked at.
    """

    FULL = "Full"
    CHECKSUM = "Checksum"
    OFF = "Off"


class VersioningPolicy(Base, frozen=True, kw_only=True):
    """What version numbers must promise."""

    enforcement: Annotated[
        Enforcement, Meta(description="What happens where the number is too small for the change.")
    ] = Enforcement.ENFORCE
    retraining: Annotated[
        Enforcement,
        Meta(
            description="What happens where a version was retrained (other data, hyperparameters, features, framework,"
            " or metrics beyond their tolerance) and its number has not grown by a minor step."
        ),
    ] = Enforcement.WARN
    allow_major_in_place: Annotated[
        bool,
        Meta(description="Whether a new major version may take over the route of the old one, with the same clients."),
    ] = False


class Better(StrEnum):
    """Which values of a metric are the better ones."""

    HIGHER = "Higher"
    LOWER = "Lower"


class MetricTolerance(Base, frozen=True, kw_only=True):
    """How far a metric may move from that of the version in production."""

    name: Annotated[str, text("The metric, as in spec.metrics of the ModelVersions.", most=63)]
    better: Annotated[Better, Meta(description="Whether Higher or Lower values are better.")]
    worse_by: Annotated[
        str, text("The difference that is still tolerated, such as 0.01.", pattern=UNSIGNED_DECIMAL, most=80)
    ]


class MetricsPolicy(Base, frozen=True, kw_only=True):
    """How the metrics that were measured before release are compared with those of the version in production."""

    enforcement: Annotated[
        Enforcement,
        Meta(
            description="What happens where a metric is worse by more than its tolerance, or is missing: Enforce asks"
            " for the annotation serinus.dev/accept-worse-metrics with a reason."
        ),
    ] = Enforcement.ENFORCE
    tolerances: Annotated[
        tuple[MetricTolerance, ...], items("The metrics that are compared.", most=32, key="name")
    ] = ()

    def __post_init__(self) -> None:
        """Refuse a metric that is there twice."""
        refuse_twins(".tolerances", (tolerance.name for tolerance in self.tolerances))


class RequiredFacts(Base, frozen=True, kw_only=True):
    """What a ModelVersion must say to be accepted."""

    lineage: Annotated[
        bool, Meta(description="The code's repository and commit, and every data set with its digest.")
    ] = False
    signature: Annotated[bool, Meta(description="The signature.")] = False
    digest: Annotated[bool, Meta(description="The artifact's digest.")] = False
    reason: Annotated[
        bool, Meta(description="A reason for promote, resume and retry. An abort or rollback never waits for one.")
    ] = False


class ApprovalPolicy(Base, frozen=True, kw_only=True):
    """Who may approve a stage; that they may at all is RBAC's word: the verb approve on rollouts."""

    four_eyes: Annotated[
        bool, Meta(description="Whoever asked for the version may not approve it; an unverified person may not either.")
    ] = False


class ModelSpec(Base, frozen=True, kw_only=True):
    """The team's policy for all versions of the model."""

    versioning: VersioningPolicy = field(default_factory=VersioningPolicy)
    metrics: MetricsPolicy = field(default_factory=MetricsPolicy)
    require: RequiredFacts = field(default_factory=RequiredFacts)
    approvals: ApprovalPolicy = field(default_factory=ApprovalPolicy)
    verification: (
        Annotated[
            Verification,
            Meta(description="How artifacts are checked; the administrator's default where it is not given."),
        ]
        | None
    ) = None
    retention_days: (
        Annotated[
            int,
            Meta(
                description="How long audit records are kept at least; for ever where it is not given.", ge=1, le=36_500
            ),
        ]
        | None
    ) = None
    owner: Annotated[str, text("The team that answers for the model.")] | None = None
    description: Annotated[str, text("What it is for.", most=2048)] | None = None


class ProductionVersion(Base, frozen=True, kw_only=True, omit_defaults=False):
    """The version that serves."""

    version: Annotated[str, _VERSION]
    digest: Annotated[str, _HASH] = ""
    since: Annotated[datetime, Meta(description="Since when (UTC).")]
    promoted_at: (
        Annotated[datetime, Meta(description="When it was promoted, or gone back to: the same time (UTC).")] | None
    ) = None
    promoted_by: Annotated[
        str, text("Who asked for it; empty where an earlier release recorded it.", least=0, most=512)
    ] = ""
    promoted_because: Annotated[str, text("Why; empty likewise.", least=0, most=4096)] = ""

    def __post_init__(self) -> None:
        """Complete the head of an earlier release, which knows the time under its other name only."""
        if self.promoted_at is None:
            force_setattr(self, "promoted_at", self.since)


class CandidateVersion(Base, frozen=True, kw_only=True, omit_defaults=False):
    """The version on trial."""

    version: Annotated[str, _VERSION]
    stage: Annotated[str, text("The Rollout's stage.", least=0, most=40)] = ""
    traffic: Annotated[str, text("Its share of the traffic.", least=0, most=16)] = ""
    since: Annotated[datetime, Meta(description="Since when (UTC).")]


class ChainHead(Base, frozen=True, kw_only=True, omit_defaults=False):
    """The end of the audit chain.

    Attributes:
        pruned_through: the last record that retention has removed; its hash and where the removed ones are kept stand
            beside it, so that the rest of the chain can still be verified.
    """

    sequence: Annotated[int, Meta(description="The number of the last record.", ge=0)] = 0
    hash: Annotated[str, _HASH] = ""
    pruned_through: Annotated[int, Meta(description="The last record that retention has removed.", ge=0)] = 0
    pruned_hash: Annotated[str, _HASH] = ""
    archive: Annotated[str, text("Where the removed records are kept.", least=0, most=2048)] = ""


class Recent(Base, frozen=True, kw_only=True, omit_defaults=False):
    """A record committed lately, by which a repeated commit is found."""

    id: Annotated[str, text("The record's id.", most=36)]
    sequence: Annotated[int, Meta(description="Its number.", ge=1)]
    at: Annotated[datetime, Meta(description="When it was recorded (UTC).")]


class Head(Base, frozen=True, kw_only=True):
    """The one truth about a model: every version's stage is derived from it. It is the fold of the audit chain.

    Attributes:
        good: versions that served well before production, newest first; the first is where a rollback goes.
        quarantined: versions that were rolled back, newest first; none of them is ever a rollback's target.
        generation: grows whenever another version becomes production: a client's fencing token.
        managed_by: the Rollout that moves the traffic of this model, as namespace/name; empty where none does.
    """

    production: ProductionVersion | None = None
    candidate: CandidateVersion | None = None
    good: Annotated[
        tuple[Annotated[str, _VERSION], ...], items("Good versions before it, newest first.", most=MAX_GOOD)
    ] = ()
    quarantined: Annotated[
        tuple[Annotated[str, _VERSION], ...],
        items("Versions that were rolled back, newest first.", most=MAX_QUARANTINED),
    ] = ()
    generation: Annotated[int, Meta(description="How often the production version has changed.", ge=0)] = 0
    managed_by: Annotated[str, text("The Rollout that moves its traffic.", least=0, most=320)] = ""
    audit: ChainHead = field(default_factory=ChainHead)
    recent: Annotated[tuple[Recent, ...], items("The last records, newest first.", most=MAX_RECENT)] = ()


class ModelStatus(Head, frozen=True, kw_only=True):
    """The status subresource of a Model."""

    observed_generation: Annotated[int, Meta(description="The generation of the policy that was read last.", ge=0)] = 0
    conditions: Annotated[tuple[Condition, ...], items("What is observed of it.", most=16, key="type")] = ()


STATUS_RULES: Final = (
    rule(
        "!has(oldSelf.audit) || (has(self.audit) && self.audit.sequence >= oldSelf.audit.sequence)",
        "status.audit.sequence never falls: nothing that happened is forgotten",
    ),
    rule(
        "!has(oldSelf.generation) || (has(self.generation) && self.generation >= oldSelf.generation)",
        "status.generation never falls",
    ),
)
