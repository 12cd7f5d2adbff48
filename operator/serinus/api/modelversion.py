"""ModelVersion: one immutable version of a model, what it was built from and where it serves."""

from typing import Annotated, Final

from msgspec import Meta, field
from msgspec.structs import force_setattr

from serinus.api.conditions import Condition
from serinus.api.schema import DECIMAL, DIGEST, NAME, SEMVER, SUBDOMAIN, Model, items, rule, rules, text

Digest = Annotated[str, text("SHA-256 of the content, sha256: and 64 hexadecimal digits.", pattern=DIGEST, most=71)]
Decimal = Annotated[str, text("A decimal number as text, so that no digit is lost.", pattern=DECIMAL, most=80)]
ModelName = Annotated[str, text("The model's name, a DNS label.", pattern=NAME, most=63)]
SemVer = Annotated[
    str,
    text("A SemVer 2.0 version without build metadata; a leading v is accepted and dropped.", pattern=SEMVER, most=64),
]


class Artifact(Model, frozen=True, kw_only=True):
    """The bytes that were built."""

    uri: Annotated[str, text("Where they are, such as s3://models/fraud/2.3.1.onnx.", most=2048)]
    digest: Digest | None = None
    size_bytes: Annotated[int, Meta(description="Their length in bytes.", ge=0)] | None = None
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


class Training(Model, frozen=True, kw_only=True):
    """How the training went."""

    duration: Annotated[str, text("How long it took, such as 3h24m.", most=63)] | None = None


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


class Measure(Model, frozen=True, kw_only=True):
    """One figure of merit measured before release."""

    name: Annotated[str, text("Such as f1.", most=63)]
    value: Decimal
    dataset: Annotated[str, text("On which data, such as test.", most=63)] | None = None


class Field(Model, frozen=True, kw_only=True):
    """One input or output of the model."""

    name: Annotated[str, text("Its name.")]
    dtype: Annotated[str, text("Its element type, such as float64.", most=63)]
    shape: Annotated[tuple[int, ...], items("Its dimensions; -1 where one varies.", most=16)] = ()
    optional: Annotated[bool, Meta(description="Whether a request may leave it out.")] = False
    min: Decimal | None = None
    max: Decimal | None = None
    categories: Annotated[
        tuple[Annotated[str, text("One allowed value.", least=0)], ...],
        items("The allowed values, where they are few.", most=256),
    ] = ()


class Signature(Model, frozen=True, kw_only=True):
    """What goes in and what comes out."""

    profile: Annotated[str, text("columnar (named fields) or tensor.", most=16, pattern=r"^(columnar|tensor)$")]
    inputs: Annotated[tuple[Field, ...], items("What a request holds.", most=1024, key="name")]
    outputs: Annotated[tuple[Field, ...], items("What an answer holds.", most=1024, key="name")]


class BackendRef(Model, frozen=True, kw_only=True):
    """Where a version serves: an object that a route can point at, in the ModelVersion's namespace."""

    name: Annotated[str, text("The object's name.", pattern=SUBDOMAIN)]
    port: Annotated[int, Meta(description="The port that takes requests.", ge=1, le=65535)] | None = None
    group: Annotated[str, text("Its API group; empty for the core group.", least=0)] = ""
    kind: Annotated[str, text("Its kind.", most=63)] = "Service"

    def __post_init__(self) -> None:
        """Refuse a Service without a port: a Service may have many."""
        if (self.group, self.kind) == ("", "Service") and self.port is None:
            raise ValueError("a Service backend needs a port")


class Serving(Model, frozen=True, kw_only=True):
    """How a version is reached."""

    backend_ref: Annotated[
        BackendRef,
        Meta(
            extra_json_schema=rules(
                rule(
                    "(has(self.kind) && self.kind != 'Service') || has(self.port)",
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
    risk_tier: Annotated[int, Meta(description="1 (highest) to 4.", ge=1, le=4)] | None = None


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
        """Drop the leading ``v`` that SemVer does not know."""
        force_setattr(self, "version", self.version.removeprefix("v"))


class ModelVersionStatus(Model, frozen=True, kw_only=True):
    """What the operator knows about the version."""

    observed_generation: Annotated[int, Meta(description="The generation that this was said of.", ge=0)] = 0
    stage: Annotated[str, text("Where it stands.", least=0, most=32)] = ""
    traffic: Annotated[str, text("Its share of the model's traffic.", least=0, most=16)] = ""
    conditions: Annotated[tuple[Condition, ...], items("What is observed of it.", most=16, key="type")] = ()


IMMUTABLE: Final = rule("self == oldSelf", "a ModelVersion's spec is immutable: create another ModelVersion")

OBJECT_RULES: Final = (
    rule(
        "self.metadata.name == self.spec.model + '-v' + (self.spec.version.startsWith('v')"
        " ? self.spec.version.substring(1) : self.spec.version).lowerAscii()",
        "'metadata.name must be ' + self.spec.model + '-v' + (self.spec.version.startsWith('v')"
        " ? self.spec.version.substring(1) : self.spec.version).lowerAscii()",
        computed=True,
    ),
)
