"""Admission of a version: schema, facts required by the policy, artifact verification."""

from typing import Any

import pytest

from serinus.api.conditions import ConditionType
from serinus.api.conditions import condition_of as condition_of_kubernetes
from serinus.api.model import Enforcement, ModelSpec, RequiredFacts, Verification, VersioningPolicy
from serinus.api.modelversion import Bump, Compatibility, ModelVersionSpec
from serinus.api.parsing import decode
from serinus.engine.versions.admission import Review, VersionUnderReview, known_version, missing_facts, review
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.engine.versions.catalogue import spec_hash
from serinus.engine.versions.schema_changes import unsafe_rollback
from support.builders import NOW

DIGEST = f"sha256:{'0' * 64}"
AMOUNT = {"name": "amount", "dtype": "float64"}
COUNTRY = {"name": "country", "dtype": "string"}
COMPLETE = {
    "artifact": {"uri": "s3://models/fraud/1.onnx", "digest": DIGEST},
    "trainingData": [{"uri": "s3://data/1", "digest": DIGEST}],
    "lineage": {"code": {"repository": "https://git.example/fraud", "commit": "0123abc"}},
}


def a_spec(version: str, *inputs: dict[str, str], **fields: Any) -> ModelVersionSpec:
    raw: dict[str, Any] = {"model": "fraud", "version": version, **fields}
    if inputs:
        raw["signature"] = {
            "profile": "columnar",
            "inputs": list(inputs),
            "outputs": [{"name": "score", "dtype": "float32"}],
        }
    return decode(ModelVersionSpec, raw, "spec")


def under_review(spec: ModelVersionSpec, **fields: Any) -> VersionUnderReview:
    return VersionUnderReview(spec=spec, spec_hash=spec_hash(spec), **fields)


def reviewed(
    candidate: VersionUnderReview, *others: ModelVersionSpec, policy: ModelSpec | None = None, **fields: Any
) -> Review:
    known = [known_version(under_review(other)) for other in others]
    options = {"production": others[0].version if others else None, "verification": Verification.OFF, **fields}
    return review(candidate, known, policy or ModelSpec(), **options)


def condition_of(result: Review, kind: ConditionType) -> tuple[str, str]:
    update = next(update for update in result.findings if update.kind is kind)
    return update.status.value, update.reason


OLD, BREAKING = a_spec("1.0.0", AMOUNT), a_spec("1.1.0", AMOUNT, COUNTRY)


def test_a_breaking_change_declared_minor_blocks_the_version_naming_the_field() -> None:
    result = reviewed(under_review(BREAKING), OLD)
    assert condition_of(result, ConditionType.SCHEMA_ACCEPTED) == ("False", "BumpTooSmall")
    assert result.block is not None
    assert (result.block.reason, result.block.temporary) == ("SchemaRejected", False)
    assert result.compatibility is not None
    assert result.compatibility.changes[0].path.startswith("inputs.country")


@pytest.mark.parametrize("enforcement", [Enforcement.WARN, Enforcement.OFF])
def test_a_lax_policy_admits_the_version_but_does_not_accept_its_schema(enforcement: Enforcement) -> None:
    policy = ModelSpec(versioning=VersioningPolicy(enforcement=enforcement))
    result = reviewed(under_review(BREAKING), OLD, policy=policy)
    assert result.block is None
    assert condition_of(result, ConditionType.SCHEMA_ACCEPTED) == ("False", "BumpTooSmall")


def test_a_waiver_admits_the_version_and_is_named() -> None:
    result = reviewed(under_review(BREAKING, waiver="every client sends it"), OLD)
    assert (result.block, result.waived) == (None, True)
    assert condition_of(result, ConditionType.SCHEMA_ACCEPTED) == ("True", "Waived")


def test_an_unnecessary_waiver_waives_nothing() -> None:
    assert not reviewed(under_review(a_spec("1.1.0", AMOUNT), waiver="just in case"), OLD).waived


def test_an_accepted_schema_is_not_revoked_by_a_later_version() -> None:
    settled = Compatibility(against="1.0.0", declared=Bump.MINOR, required=Bump.MINOR, rollback_safe=True)
    result = reviewed(under_review(BREAKING, settled=settled), OLD)
    assert (result.block, result.compatibility) == (None, settled)


def test_what_an_accepted_schema_was_told_stays_told() -> None:
    misspelt = a_spec("1.1.0", {"name": "amount", "dtype": "flaot64"})
    first = next(update for update in reviewed(under_review(misspelt)).findings if "Schema" in update.kind.value)
    assert "did you mean float64?" in first.message
    settled = Compatibility(against="", declared=Bump.NONE, required=Bump.NONE, rollback_safe=True)
    told = condition_of_kubernetes(
        None, first.kind, first.status, reason=first.reason, message=first.message, generation=1, now=NOW
    )
    again = reviewed(under_review(misspelt, settled=settled, settled_as=told))
    assert next(update for update in again.findings if update.kind is first.kind) == first


def test_a_yanked_version_may_not_serve_whatever_else_is_right() -> None:
    result = reviewed(under_review(a_spec("1.1.0", AMOUNT), yanked="leaks card numbers"), OLD)
    assert result.block is not None
    assert (result.block.reason, "leaks card numbers" in result.block.message) == ("VersionYanked", True)


@pytest.mark.parametrize(
    ("require", "fields", "missing"),
    [
        ({"digest": True}, {}, ["spec.artifact.digest"]),
        ({"signature": True}, {}, ["spec.signature"]),
        ({"lineage": True}, {}, ["spec.lineage.code", "spec.trainingData"]),
        (
            {"lineage": True},
            {"lineage": {"code": {"repository": "x"}}, "trainingData": [{"uri": "a", "digest": DIGEST}, {"uri": "b"}]},
            ["spec.lineage.code.commit", "spec.trainingData[1].digest"],
        ),
        ({"lineage": True, "digest": True}, COMPLETE, []),
        ({}, {}, []),
    ],
)
def test_the_facts_that_the_policy_requires_are_named_by_field(
    require: dict[str, bool], fields: dict[str, Any], missing: list[str]
) -> None:
    policy = ModelSpec(require=RequiredFacts(**require))
    assert missing_facts(a_spec("1.0.0", **fields), policy) == missing
    result = reviewed(under_review(a_spec("1.0.0", **fields)), policy=policy)
    assert (result.block is not None) == bool(missing)


WANTED, DEFAULT = ModelSpec(verification=Verification.FULL), ModelSpec()


@pytest.mark.parametrize(
    ("result", "policy", "condition", "block"),
    [
        (None, WANTED, ("Unknown", "Pending"), ("ArtifactPending", True)),
        (ArtifactResult.VERIFIED, WANTED, ("True", "Verified"), None),
        (ArtifactResult.MISSING, WANTED, ("False", "Missing"), ("ArtifactRejected", False)),
        (ArtifactResult.SIZE_DIFFERS, DEFAULT, ("False", "SizeDiffers"), ("ArtifactRejected", False)),
        (ArtifactResult.DIGEST_DIFFERS, DEFAULT, ("False", "DigestDiffers"), ("ArtifactRejected", False)),
        (ArtifactResult.COULD_NOT_ASK, DEFAULT, ("Unknown", "CouldNotAsk"), ("ArtifactUnverified", True)),
        (ArtifactResult.UNSUPPORTED, WANTED, ("Unknown", "Unsupported"), ("ArtifactUnverified", False)),
        (ArtifactResult.UNSUPPORTED, DEFAULT, ("Unknown", "Unsupported"), None),
        (ArtifactResult.NO_DIGEST, WANTED, ("Unknown", "NoDigest"), ("ArtifactUnverified", False)),
    ],
)
def test_the_artifact_blocks_the_version_where_verification_is_required(
    result: ArtifactResult | None, policy: ModelSpec, condition: tuple[str, str], block: tuple[str, bool] | None
) -> None:
    artifact = ArtifactFinding(result, "what was found") if result is not None else None
    candidate = under_review(a_spec("1.0.0", **COMPLETE), artifact=artifact)
    reviewed_version = reviewed(candidate, policy=policy, verification=Verification.CHECKSUM)
    assert condition_of(reviewed_version, ConditionType.ARTIFACT_VERIFIED) == condition
    assert (reviewed_version.block and (reviewed_version.block.reason, reviewed_version.block.temporary)) == block


def test_a_version_without_an_artifact_is_blocked_only_if_its_model_requires_verification() -> None:
    bare = under_review(a_spec("1.0.0"))
    assert reviewed(bare, verification=Verification.FULL).block is None
    assert reviewed(bare, policy=WANTED).block is not None


def test_unsafe_rollback_names_the_fields_and_is_empty_for_unknown_signatures() -> None:
    assert "country" in unsafe_rollback(a_spec("1.1.0", AMOUNT, COUNTRY), OLD)
    assert unsafe_rollback(a_spec("1.1.0", AMOUNT), OLD) == ""
    assert unsafe_rollback(a_spec("1.1.0"), OLD) == ""
