"""Admission of a version: schema compatibility, the facts that its Model's policy requires, artifact verification.

An accepted schema verdict is final: it was recorded, and versions registered later cannot revoke it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from serinus.api.conditions import Condition, ConditionType
from serinus.api.model import Enforcement, ModelSpec, Verification
from serinus.api.modelversion import Compatibility, ModelVersionSpec
from serinus.engine.conditions import FALSE, TRUE, UNKNOWN, ConditionUpdate
from serinus.engine.rollout.observation import AdmissionBlock
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.schema.baselines import find_version
from serinus.engine.schema.builds import build_of
from serinus.engine.schema.compatibility import CompatibilityVerdict, KnownVersion, Rules, judge
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.engine.versions.metrics_review import MetricsUnderReview, review_metrics

_BYTES_ARE_WRONG: Final = frozenset(
    {ArtifactResult.MISSING, ArtifactResult.SIZE_DIFFERS, ArtifactResult.DIGEST_DIFFERS}
)
_COMPARING: Final = "Its schema is being compared with those of the model's other versions."


@dataclass(frozen=True, slots=True)
class RegistrationState:
    """What the registry has answered to the registration of a version.

    Attributes:
        pending: it has not answered yet.
        taken: its number is registered with another spec: the registry's sentence; empty where it is not.
        yanked: why the records bar it, although its ModelVersion was made anew without the yank; else empty.
    """

    pending: bool = False
    taken: str = ""
    yanked: str = ""


REGISTERED: Final = RegistrationState()
PENDING: Final = RegistrationState(pending=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUnderReview:
    """The ModelVersion under review.

    Attributes:
        spec: its spec.
        spec_hash: SHA-256 of the spec's canonical JSON.
        waiver: why its schema may break the compatibility that its SemVer number implies; empty where it may not.
        yanked: why it must never serve again; empty where it may.
        settled: an earlier verdict that accepted its schema; None where there is none.
        settled_as: the condition that told it; None where it is not known any more.
        worse_metrics: why its metrics may be worse than those of the version in production; empty where they may not.
        metrics_compared: its status says how its metrics compare.
        has_served: it has served all requests well, so that production's metrics are not held against it any more.
        artifact: the result of verifying its artifact; None before the first verification.
        registration: whether the registry knows it, which decides whether it is the version of its number.
    """

    spec: ModelVersionSpec
    spec_hash: str
    waiver: str = ""
    yanked: str = ""
    settled: Compatibility | None = None
    settled_as: Condition | None = None
    worse_metrics: str = ""
    metrics_compared: bool = False
    has_served: bool = False
    artifact: ArtifactFinding | None = None
    registration: RegistrationState = REGISTERED


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """The outcome of a review.

    Attributes:
        findings: updates of its conditions Accepted, SchemaAccepted, ArtifactVerified and, where the policy compares
            metrics, MetricsAccepted.
        compatibility: the comparison with the model's other versions; None where there was nothing to compare.
        block: why no run of the version may start; None where one may.
        metrics_acknowledged: its metrics are worse than those of the version in production, and a person accepts that.
        waived: the schema breaks the compatibility that the SemVer number implies, and a person has waived that.
        schema_accepted: the schema is compatible, waived, not enforced by the Model's policy, or not compared yet.
    """

    findings: tuple[ConditionUpdate, ...]
    compatibility: Compatibility | None
    block: AdmissionBlock | None
    waived: bool
    schema_accepted: bool
    metrics_acknowledged: bool = False


def known_version(under_review: VersionUnderReview) -> KnownVersion:
    """Return the version in the form in which others are compared with it."""
    artifact = under_review.spec.artifact
    return KnownVersion(
        version=under_review.spec.version,
        signature=under_review.spec.signature,
        digest=(artifact.digest or "") if artifact is not None else "",
        yanked=bool(under_review.yanked),
        spec_hash=under_review.spec_hash,
        build=build_of(under_review.spec),
    )


def rules_of(policy: ModelSpec) -> Rules:
    """Return the part of the policy that decides about version numbers."""
    return Rules(retraining=policy.versioning.retraining, tolerances=policy.metrics.tolerances)


def missing_facts(spec: ModelVersionSpec, policy: ModelSpec) -> list[str]:
    """Return the fields that the policy requires and the ModelVersion lacks, as kubectl writes them."""
    missing = []
    if policy.require.digest and (spec.artifact is None or spec.artifact.digest is None):
        missing.append("spec.artifact.digest")
    if policy.require.signature and spec.signature is None:
        missing.append("spec.signature")
    if policy.require.lineage:
        missing += _missing_lineage(spec)
    return missing


def _missing_lineage(spec: ModelVersionSpec) -> list[str]:
    code = spec.lineage.code if spec.lineage is not None else None
    missing = ["spec.lineage.code"] if code is None else []
    missing += ["spec.lineage.code.commit"] if code is not None and code.commit is None else []
    missing += [] if spec.training_data else ["spec.trainingData"]
    return missing + [
        f"spec.trainingData[{index}].digest" for index, data in enumerate(spec.training_data) if data.digest is None
    ]


def review(
    under_review: VersionUnderReview,
    known: Sequence[KnownVersion],
    policy: ModelSpec,
    *,
    production: str | None,
    verification: Verification,
) -> Review:
    """Review a version. Pure.

    Args:
        under_review: the version.
        known: the model's other versions.
        policy: its Model's policy.
        production: the version in production; None where there is none.
        verification: the administrator's default, for a policy that sets none.
    """
    verdict = compare(under_review, known, policy, production) if under_review.settled is None else None
    serving = find_version(known, production)
    return review_with(under_review, verdict, serving, policy, verification=verification)


def compare(
    under_review: VersionUnderReview, known: Sequence[KnownVersion], policy: ModelSpec, production: str | None
) -> CompatibilityVerdict:
    """Compare a version's schema with those of the model's others: the part of a review that takes time. Pure."""
    return judge(known_version(under_review), known, production, rules_of(policy))


def review_with(
    under_review: VersionUnderReview,
    verdict: CompatibilityVerdict | None,
    serving: KnownVersion | None,
    policy: ModelSpec,
    *,
    verification: Verification,
) -> Review:
    """Review a version by the verdict of :func:`compare`; no run of it may start while there is none. Pure.

    ``serving`` is the version in production; None where there is none, or it is the one under review.
    """
    compatibility, schema, schema_accepted, waived = _schema(under_review, verdict, policy)
    compared = verdict is not None or under_review.settled is not None
    artifact, artifact_block = _artifact(under_review, policy, verification)
    metrics = review_metrics(_metrics_under_review(under_review), serving, policy.metrics)
    block = (
        _block(under_review, policy)
        or (AdmissionBlock(WaitReason.SCHEMA_REJECTED, schema.message) if not schema_accepted else None)
        or metrics.block
        or _pending(under_review)
        or artifact_block
        or (AdmissionBlock(WaitReason.SCHEMA_PENDING, schema.message, temporary=True) if not compared else None)
    )
    accepted = ConditionUpdate(
        ConditionType.ACCEPTED,
        TRUE if block is None else UNKNOWN if block.temporary else FALSE,
        block.reason if block is not None else "Accepted",
        block.message if block is not None else f"{under_review.spec.version} may serve.",
    )
    return Review(
        findings=(accepted, schema, artifact, *metrics.findings),
        compatibility=compatibility,
        block=block,
        waived=waived,
        schema_accepted=schema_accepted,
        metrics_acknowledged=metrics.acknowledged,
    )


def _schema(
    under_review: VersionUnderReview, verdict: CompatibilityVerdict | None, policy: ModelSpec
) -> tuple[Compatibility | None, ConditionUpdate, bool, bool]:
    kind = ConditionType.SCHEMA_ACCEPTED
    if under_review.settled is not None:
        settled, told = under_review.settled, under_review.settled_as
        bumps = f"{settled.declared.value} declared, {settled.required.value} required"
        message = told.message if told is not None else f"{bumps} against {settled.against or 'nothing'}."
        reason = told.reason if told is not None else "Compatible"
        return settled, ConditionUpdate(kind, TRUE, reason, message), True, False
    if verdict is None:
        return None, ConditionUpdate(kind, UNKNOWN, "Pending", _COMPARING), True, False
    if verdict.accepted:
        return verdict.compatibility, ConditionUpdate(kind, TRUE, verdict.reason, verdict.message), True, False
    if policy.versioning.enforcement is not Enforcement.ENFORCE:
        mode = policy.versioning.enforcement.value
        message = f"{verdict.message} The Model's policy is {mode}."
        return verdict.compatibility, ConditionUpdate(kind, FALSE, verdict.reason, message), True, False
    if under_review.waiver:
        message = f"{verdict.message} Waived: {under_review.waiver}"
        return verdict.compatibility, ConditionUpdate(kind, TRUE, "Waived", message), True, True
    return verdict.compatibility, ConditionUpdate(kind, FALSE, verdict.reason, verdict.message), False, False


def _metrics_under_review(under_review: VersionUnderReview) -> MetricsUnderReview:
    return MetricsUnderReview(
        version=under_review.spec.version,
        build=build_of(under_review.spec),
        acknowledgement=under_review.worse_metrics,
        has_served=under_review.has_served,
        was_compared=under_review.metrics_compared,
    )


def _block(under_review: VersionUnderReview, policy: ModelSpec) -> AdmissionBlock | None:
    version, registration = under_review.spec.version, under_review.registration
    if registration.taken:
        return AdmissionBlock(WaitReason.VERSION_TAKEN, f"{registration.taken}. {version} as it is here never serves.")
    if under_review.yanked:
        return AdmissionBlock(WaitReason.VERSION_YANKED, f"{version} must never serve again: {under_review.yanked}.")
    if registration.yanked:
        message = (
            f"{version} must never serve again: {registration.yanked}. The audit trail says so, although its "
            "ModelVersion was made anew: to take the yank back, annotate it with serinus.dev/yanked and remove that."
        )
        return AdmissionBlock(WaitReason.VERSION_YANKED, message)
    missing = missing_facts(under_review.spec, policy)
    if missing:
        names = ", ".join(missing)
        return AdmissionBlock(
            WaitReason.FACTS_MISSING, f"The Model's policy requires {names}: create another ModelVersion that has it."
        )
    return None


def _pending(under_review: VersionUnderReview) -> AdmissionBlock | None:
    version = under_review.spec.version
    if not under_review.registration.pending:
        return None
    message = f"{version} is being registered; until then nobody knows whether its number is another version's."
    return AdmissionBlock(WaitReason.REGISTRATION_PENDING, message, temporary=True)


def _artifact(
    under_review: VersionUnderReview, policy: ModelSpec, verification: Verification
) -> tuple[ConditionUpdate, AdmissionBlock | None]:
    kind, finding = ConditionType.ARTIFACT_VERIFIED, under_review.artifact
    how = verification_of(under_review.spec, policy, verification)
    if how is Verification.OFF:
        return ConditionUpdate(
            kind, UNKNOWN, "NotAsked", "Neither the Model nor the administrator requires its verification."
        ), None
    if finding is None:
        pending = AdmissionBlock(WaitReason.ARTIFACT_PENDING, "Its artifact is being verified.", temporary=True)
        return ConditionUpdate(kind, UNKNOWN, "Pending", pending.message), pending
    if finding.result in _BYTES_ARE_WRONG:
        return ConditionUpdate(kind, FALSE, finding.result.value, finding.message), AdmissionBlock(
            WaitReason.ARTIFACT_REJECTED, finding.message, artifact_gone=finding.result is ArtifactResult.MISSING
        )
    if finding.result is ArtifactResult.VERIFIED:
        return ConditionUpdate(kind, TRUE, finding.result.value, finding.message), None
    # An artifact that cannot be verified at all blocks only where the team's policy sets verification, which the
    # administrator's default does not require; one that could not be verified yet blocks in either case.
    required = policy.verification is not None or finding.result is ArtifactResult.COULD_NOT_ASK
    unverified = AdmissionBlock(WaitReason.ARTIFACT_UNVERIFIED, finding.message, temporary=not finding.final)
    return ConditionUpdate(kind, UNKNOWN, finding.result.value, finding.message), unverified if required else None


def verification_of(spec: ModelVersionSpec, policy: ModelSpec, verification: Verification) -> Verification:
    """Return how to verify a version's artifact; without one, it is checked only where the Model's policy says so."""
    if policy.verification is not None:
        return policy.verification
    return verification if spec.artifact is not None else Verification.OFF
