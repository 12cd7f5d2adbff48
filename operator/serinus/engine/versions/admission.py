"""Whether a version may serve: its schema's promise, what its Model's policy asks for, and its artifact's bytes.

A verdict that has accepted a schema is final: it was recorded, and a version that comes later cannot take it back.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from serinus.api.conditions import ConditionType
from serinus.api.model import Enforcement, ModelSpec, Verification
from serinus.api.modelversion import Compatibility, ModelVersionSpec
from serinus.engine.conditions import FALSE, TRUE, UNKNOWN, ConditionUpdate
from serinus.engine.rollout.observation import AdmissionBlock
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.schema.compatibility import KnownVersion, judge
from serinus.engine.schema.diff import diff
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult

_BYTES_ARE_WRONG: Final = frozenset(
    {ArtifactResult.MISSING, ArtifactResult.SIZE_DIFFERS, ArtifactResult.DIGEST_DIFFERS}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionUnderReview:
    """A ModelVersion as it asks to be taken in.

    Attributes:
        spec: what it says.
        spec_hash: of exactly that.
        waiver: why its schema may break its promise; empty where it may not.
        yanked: why it must never serve again; empty where it may.
        settled: the verdict that has accepted its schema before; None where none has.
        artifact: what came of looking at its bytes; None where nobody has looked yet.
    """

    spec: ModelVersionSpec
    spec_hash: str
    waiver: str = ""
    yanked: str = ""
    settled: Compatibility | None = None
    artifact: ArtifactFinding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """What is found of a version.

    Attributes:
        findings: its conditions Accepted, SchemaAccepted and ArtifactVerified.
        compatibility: how it relates to the others; None where that cannot be said.
        block: why no run of it may begin; None where one may.
        waived: its schema breaks its promise, and a person has said that it may.
        schema_accepted: its schema is accepted, by its own merits, by waiver or because nobody asks.
    """

    findings: tuple[ConditionUpdate, ...]
    compatibility: Compatibility | None
    block: AdmissionBlock | None
    waived: bool
    schema_accepted: bool


def known_version(under_review: VersionUnderReview) -> KnownVersion:
    """Return what other versions are compared with."""
    artifact = under_review.spec.artifact
    return KnownVersion(
        version=under_review.spec.version,
        signature=under_review.spec.signature,
        digest=(artifact.digest or "") if artifact is not None else "",
        yanked=bool(under_review.yanked),
        spec_hash=under_review.spec_hash,
    )


def missing_facts(spec: ModelVersionSpec, policy: ModelSpec) -> list[str]:
    """Return the fields that the policy asks for and the ModelVersion does not have, as kubectl writes them."""
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
    """Return what is found of a version.

    Args:
        under_review: the version.
        known: the model's other versions.
        policy: of its Model.
        production: the version that serves now.
        verification: how artifacts are checked where the policy does not say.
    """
    compatibility, schema, schema_accepted, waived = _schema(under_review, known, policy, production)
    artifact, artifact_bar = _artifact(under_review, policy, verification)
    bar = _bar(under_review, policy, schema, accepted=schema_accepted) or artifact_bar
    accepted = ConditionUpdate(
        ConditionType.ACCEPTED,
        TRUE if bar is None else UNKNOWN if bar.temporary else FALSE,
        bar.reason if bar is not None else "Accepted",
        bar.message if bar is not None else f"{under_review.spec.version} may serve.",
    )
    return Review(
        findings=(accepted, schema, artifact),
        compatibility=compatibility,
        block=bar,
        waived=waived,
        schema_accepted=schema_accepted,
    )


def _schema(
    under_review: VersionUnderReview, known: Sequence[KnownVersion], policy: ModelSpec, production: str | None
) -> tuple[Compatibility | None, ConditionUpdate, bool, bool]:
    kind = ConditionType.SCHEMA_ACCEPTED
    if under_review.settled is not None:
        held = under_review.settled
        story = f"{held.declared.value} declared, {held.required.value} required against {held.against or 'nothing'}."
        return held, ConditionUpdate(kind, TRUE, "Compatible", story), True, False
    judged = judge(known_version(under_review), known, production)
    if judged.accepted:
        return judged.compatibility, ConditionUpdate(kind, TRUE, judged.reason, judged.message), True, False
    if policy.versioning.enforcement is not Enforcement.ENFORCE:
        mode = policy.versioning.enforcement.value
        story = f"{judged.message} The Model's policy is {mode}."
        return judged.compatibility, ConditionUpdate(kind, FALSE, judged.reason, story), True, False
    if under_review.waiver:
        story = f"{judged.message} Waived: {under_review.waiver}"
        return judged.compatibility, ConditionUpdate(kind, TRUE, "Waived", story), True, True
    return judged.compatibility, ConditionUpdate(kind, FALSE, judged.reason, judged.message), False, False


def _bar(
    under_review: VersionUnderReview, policy: ModelSpec, schema: ConditionUpdate, *, accepted: bool
) -> AdmissionBlock | None:
    version = under_review.spec.version
    if under_review.yanked:
        return AdmissionBlock(WaitReason.VERSION_YANKED, f"{version} must never serve again: {under_review.yanked}.")
    missing = missing_facts(under_review.spec, policy)
    if missing:
        names = ", ".join(missing)
        return AdmissionBlock(
            WaitReason.FACTS_MISSING, f"The Model's policy asks for {names}: create another ModelVersion that has it."
        )
    return None if accepted else AdmissionBlock(WaitReason.SCHEMA_REJECTED, schema.message)


def _artifact(
    under_review: VersionUnderReview, policy: ModelSpec, verification: Verification
) -> tuple[ConditionUpdate, AdmissionBlock | None]:
    kind, found = ConditionType.ARTIFACT_VERIFIED, under_review.artifact
    how = verification_of(under_review.spec, policy, verification)
    if how is Verification.OFF:
        return ConditionUpdate(
            kind, UNKNOWN, "NotAsked", "Neither the Model nor the administrator asks for a look at it."
        ), None
    if found is None:
        bar = AdmissionBlock(WaitReason.ARTIFACT_PENDING, "Its artifact is being looked at.", temporary=True)
        return ConditionUpdate(kind, UNKNOWN, "Pending", bar.message), bar
    if found.result in _BYTES_ARE_WRONG:
        return ConditionUpdate(kind, FALSE, found.result.value, found.message), AdmissionBlock(
            WaitReason.ARTIFACT_REJECTED, found.message
        )
    if found.result is ArtifactResult.VERIFIED:
        return ConditionUpdate(kind, TRUE, found.result.value, found.message), None
    # What cannot be looked at bars where the team has asked for it; an administrator's default is no such wish.
    wanted = policy.verification is not None or found.result is ArtifactResult.COULD_NOT_ASK
    bar = AdmissionBlock(WaitReason.ARTIFACT_UNVERIFIED, found.message, temporary=not found.final)
    return ConditionUpdate(kind, UNKNOWN, found.result.value, found.message), bar if wanted else None


def verification_of(spec: ModelVersionSpec, policy: ModelSpec, verification: Verification) -> Verification:
    """Return how a version's artifact is to be checked; a version without one only where its Model asks for it."""
    if policy.verification is not None:
        return policy.verification
    return verification if spec.artifact is not None else Verification.OFF


def unsafe_rollback(new: ModelVersionSpec, old: ModelVersionSpec) -> str:
    """Return why clients of the new version could not go back to the old one; empty where they can, or nobody knows."""
    if new.signature is None or old.signature is None:
        return ""
    unsafe = [change for change in diff(old.signature, new.signature) if not change.rollback_safe]
    if not unsafe:
        return ""
    reasons = "; ".join(f"{change.path}: {change.reason}" for change in unsafe[:3])
    more = f" and {len(unsafe) - 3} more" if len(unsafe) > 3 else ""  # noqa: PLR2004 - as many as a person reads
    return f"Clients of {new.version} could not go back to {old.version}: {reasons}{more}."


def schema_details(compatibility: Compatibility | None) -> dict[str, str]:
    """Return what the audit trail keeps of a comparison: each change by its path."""
    if compatibility is None:
        return {}
    bumps = {"declared": compatibility.declared.value, "required": compatibility.required.value}
    changes = {one.path: f"{one.rule} {one.bump.value} {one.reason}"[:4096] for one in compatibility.changes}
    return {"against": compatibility.against, **bumps, **changes}
