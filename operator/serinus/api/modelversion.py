"""ModelVersion: an immutable version of a model with its lineage and its backend."""

import re
from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, field
from msgspec.structs import force_setattr

from serinus.api.conditions import Condition
from serinus.api.schema import (
    DATE_RULE,
    DIGEST,
    NAME,
    SEMVER,
    SEMVER_RULE,
    SUBDOMAIN,
    TIME,
    FieldError,
    Model,
    generation_seen,
    integer,
    items,
    rule,
    rules,
    text,
)
from serinus.api.signature import Decimal, Signature

Digest = Annotated[str, text("SHA-256 of the content, sha256: and 64 hexadecimal digits.", pattern=DIGEST, most=71)]
ModelName = Annotated[str, text("The model's name, a DNS label.", pattern=NAME, most=63)]
SemVer = Annotated[
    str,
    text(
        "A SemVer 2.0 version without build metadata; a leading v is accepted and dropped.",
        pattern=SEMVER,
        most=64,
        **rules(SEMVER_RULE),
    ),
]


_YEARS: Final = range(1900, 3000)


class Artifact(Model, frozen=True, kw_only=True):
    """The bytes that were built."""

    uri: Annotated[str, text("Where they are, such as s3://models/fraud/2.3.1.onnx.", most=2048)]
    digest: Digest | None = None
    size_bytes: Annotated[int, integer("Their length in bytes.", least=0)] | None = None
    format: Annotated[str, text("Their format, such as onnx.", most=63)] | None = None


class Framework(Model, frozen=True, kw_only=True):
    """What the model was trained with."""

    name: Annotated[str, text("Such as pytorch.", most=63)]
    version: Annotated[str, text("Such as 2.1.0.", most=63)] | None = None


class Dataset(Model, frozen=True, kw_only=True):
    """One data set that went in."""

    uri: Annotated[str, text("Where it is.", most=2048)]
    version: Annotated[str, text("Its own version.", most=63)] | None = None
    digest: Digest | None = None
    range: Annotated[str, text("Which part of it, such as 2026-09-01/2026-09-30.", most=128)] | None = None
    rows: Annotated[int, integer("How many rows.", least=0)] | None = None


class Training(Model, frozen=True, kw_only=True):
    """How the training went."""

    duration: Annotated[str, text("How long it took, such as 3h24m.", most=63)] | None = None
    started_at: (
        Annotated[
            datetime,
            Meta(
                description="When it began (UTC).",
                extra_json_schema={"pattern": TIME, "maxLength": 64, **rules(DATE_RULE)},
            ),
        ]
        | None
    ) = None
    by: Annotated[str, text("Who or what trained it.")] | None = None

    def __post_init__(self) -> None:
        """Take a time without an offset for UTC; refuse one of another age, which is a mistake."""
        if self.started_at is None:
            return
        if self.started_at.year not in _YEARS:
            raise FieldError(".startedAt", f"the year {self.started_at.year} is not from {_YEARS[0]} to {_YEARS[-1]}")
        if self.started_at.tzinfo is None:
            force_setattr(self, "started_at", self.started_at.replace(tzinfo=UTC))


class SourceCode(Model, frozen=True, kw_only=True):
    """The code that trained it."""

    repository: Annotated[str, text("The repository.", most=2048)]
    commit: Annotated[str, text("The commit.", pattern=r"^[0-9a-f]{7,64}$", most=64)] | None = None


class RunReference(Model, frozen=True, kw_only=True):
    """The experiment run that made it."""

    system: Annotated[str, text("Such as mlflow.", most=63)]
    id: Annotated[str, text("The run's id there.")]
    url: Annotated[str, text("A page that shows it.", most=2048)] | None = None


class Lineage(Model, frozen=True, kw_only=True):
    """What it was built from."""

    code: SourceCode | None = None
    feature_commit: Annotated[str, text("The commit of the feature definitions.", most=64)] | None = None
    hyperparameters: Annotated[
        dict[str, Annotated[str, text("Its value.", least=0, most=1024)]], Meta(description="By name.", max_length=128)
    ] = field(default_factory=dict)
    run: RunReference | None = None
    parents: Annotated[
        tuple[Annotated[str, text("A ModelVersion's name or a digest.")], ...],
        items("What it was fine-tuned from.", most=16),
    ] = ()


class Measure(Model, frozen=True, kw_only=True):
    """One figure of merit measured before release."""

    name: Annotated[str, text("Such as f1.", most=63)]
    value: Decimal
    dataset: Annotated[str, text("On which data, such as test.", most=63)] | None = None
    segment: Annotated[str, text("On which part of it, such as country=NL.", most=128)] | None = None


class BackendRef(Model, frozen=True, kw_only=True):
    """Where a version serves: an object that a route can point at, in the ModelVersion's namespace."""

    name: Annotated[str, text("The object's name.", pattern=SUBDOMAIN)]
    port: Annotated[int, Meta(description="The port that takes requests.", ge=1, le=65535)] | None = None
    group: Annotated[str, text("Its API group; empty for the core group.", least=0)] = ""
    kind: Annotated[str, text("Its kind.", most=63)] = "Service"
    subset: Annotated[
        str, text("The subset of an Istio DestinationRule, where several versions share one Service.", least=0, most=63)
    ] = ""

    def __post_init__(self) -> None:
        """Refuse a Service without a port: a Service may have many."""
        if (self.group, self.kind) == ("", "Service") and self.port is None:
            raise FieldError(".port", "a Service backend needs a port")


class Serving(Model, frozen=True, kw_only=True):
    """How a version is reached."""

    backend_ref: Annotated[
        BackendRef,
        Meta(
            extra_json_schema=rules(
                rule(
                    "(has(self.group) && self.group != '') || (has(self.kind) && self.kind != 'Service')"
                    " || has(self.port)",
                    "a Service backend needs a port",
                    field=".port",
                )
            )
        ),
    ]


class Governance(Model, frozen=True, kw_only=True):
    """Who answers for it."""

    owner: Annotated[str, text("The team.", most=253)] | None = None
    purpose: Annotated[str, text("What it is for.", most=2048)] | None = None
    intended_use: Annotated[str, text("Who may use it for what.", most=2048)] | None = None
    limitations: Annotated[str, text("What it is not for.", most=2048)] | None = None
    risk_tier: Annotated[int, Meta(description="1 (highest) to 4.", ge=1, le=4)] | None = None
    model_card: Annotated[str, text("Where the model card is.", most=2048)] | None = None
    validated_by: Annotated[str, text("Who validated it.")] | None = None
    validation_report: Annotated[str, text("Where the report is.", most=2048)] | None = None
    review_by: (
        Annotated[str, text("The day by which it must be reviewed.", pattern=r"^\d{4}-\d{2}-\d{2}$", most=10)] | None
    ) = None
    license: Annotated[str, text("An SPDX expression.", most=128)] | None = None


# An object's name is a DNS subdomain: no part between dots begins or ends with a hyphen.
_UNNAMEABLE: Final = re.compile(r"-\.|\.-|-\Z")


class ModelVersionSpec(Model, frozen=True, kw_only=True):
    """One version of a model. It never changes: a new build is a new version."""

    model: ModelName
    version: SemVer
    artifact: Artifact | None = None
    framework: Framework | None = None
    training_data: Annotated[tuple[Dataset, ...], items("The data that went in.", most=64)] = ()
    training: Training | None = None
    lineage: Lineage | None = None
    metrics: Annotated[tuple[Measure, ...], items("What was measured before release.", most=128)] = ()
    signature: Signature | None = None
    serving: Serving | None = None
    governance: Governance | None = None
    changes: Annotated[str, text("What is new, for people.", most=4096)] | None = None

    def __post_init__(self) -> None:
        """Drop the leading ``v`` that SemVer does not know; refuse a version that no object can be named after."""
        force_setattr(self, "version", self.version.removeprefix("v"))
        if _UNNAMEABLE.search(self.version):
            raise FieldError(".version", f"{self.version!r} cannot end the name of an object: leave the hyphens out")


class Bump(StrEnum):
    """How much a version number must grow."""

    NONE = "none"
    PATCH = "patch"
    MINOR = "minor"
    MAJOR = "major"


class SchemaChange(Model, frozen=True, kw_only=True):
    """One difference between two signatures."""

    path: Annotated[str, text("The field, such as inputs.amount.dtype.", most=512)]
    rule: Annotated[str, text("The rule, such as I6 (docs/reference/compatibility.md).", most=16)]
    bump: Annotated[Bump, Meta(description="The least growth of the version number that it asks for.")]
    rollback_safe: Annotated[bool, Meta(description="Whether clients of the new version can go back to the old one.")]
    reason: Annotated[str, text("Why, for people.", most=1024)]


MAX_CHANGES: Final = 64


class Compatibility(Model, frozen=True, kw_only=True, omit_defaults=False):
    """How the version relates to the one that it follows."""

    against: Annotated[str, text("The version that asked for the greatest growth; empty for a first one.", least=0)]
    declared: Annotated[Bump, Meta(description="How much the version number grew.")]
    required: Annotated[Bump, Meta(description="How much it had to grow.")]
    rollback_safe: Annotated[
        bool, Meta(description="Whether clients of this version can go back to the one in production.")
    ]
    changes: Annotated[tuple[SchemaChange, ...], items("What changed, the gravest first.", most=MAX_CHANGES)] = ()


class VersionStage(StrEnum):
    """Where a version stands; always derived, never stored twice."""

    REGISTERED = "Registered"
    STAGING = "Staging"
    CANARY = "Canary"
    PRODUCTION = "Production"
    SUPERSEDED = "Superseded"
    ROLLED_BACK = "RolledBack"
    QUARANTINED = "Quarantined"


class ModelVersionStatus(Model, frozen=True, kw_only=True):
    """What the operator knows about the version."""

    observed_generation: Annotated[int, generation_seen("The generation that this was said of.")] = 0
    stage: Annotated[str, text("Where it stands.", least=0, most=32)] = ""
    traffic: Annotated[str, text("Its share of the model's traffic.", least=0, most=16)] = ""
    spec_hash: Annotated[str, text("SHA-256 of the spec in canonical JSON.", least=0, most=71)] = ""
    promoted_at: (
        Annotated[datetime, Meta(description="When it became the production version, the last time (UTC).")] | None
    ) = None
    promoted_by: Annotated[str, text("Who asked for that.", least=0, most=512)] = ""
    promoted_because: Annotated[str, text("Why.", least=0, most=4096)] = ""
    compatibility: Compatibility | None = None
    recorded: Annotated[
        tuple[Annotated[str, text("An event.", most=64)], ...],
        items("What the registry's audit trail has of it.", most=16),
    ] = ()
    yanked: Annotated[
        str,
        text(
            "The reason of the yank that the audit trail has of it; empty where none is in force.", least=0, most=4096
        ),
    ] = ""
    conditions: Annotated[tuple[Condition, ...], items("What is observed of it.", most=16, key="type")] = ()


IMMUTABLE: Final = rule("self == oldSelf", "a ModelVersion's spec is immutable: create another ModelVersion")

OBJECT_RULES: Final = (
    rule(
        "self.metadata.name == self.spec.model + '-v' + (self.spec.version.startsWith('v')"
        " ? self.spec.version.substring(1) : self.spec.version).lowerAscii()",
        "metadata.name must be <model>-v<version>, in small letters",
        computed="'metadata.name must be ' + self.spec.model + '-v' + (self.spec.version.startsWith('v')"
        " ? self.spec.version.substring(1) : self.spec.version).lowerAscii()",
    ),
)
