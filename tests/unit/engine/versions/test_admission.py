"""Whether a version may serve: its schema, what its Model's policy asks for, its bytes."""

from typing import Any

import pytest

from serinus.api.conditions import ConditionType
from serinus.api.model import Enforcement, ModelSpec, RequiredFacts, Verification, VersioningPolicy
from serinus.api.modelversion import Bump, Compatibility, ModelVersionSpec
from serinus.api.parsing import decode
from serinus.engine.versions.admission import (
    Review,
    VersionUnderReview,
    known_version,
    missing_facts,
    review,
    unsafe_rollback,
)
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.engine.versions.catalogue import spec_hash

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
    one: VersionUnderReview, *others: ModelVersionSpec, policy: ModelSpec | None = None, **fields: Any
) -> Review:
    known = [known_version(under_review(other)) for other in others]
    given = {"production": others[0].version if others else None, "verification": Verification.OFF, **fields}
    return review(one, known, policy or ModelSpec(), **given)


def said(found: Review, kind: ConditionType) -> tuple[str, str]:
    finding = next(one for one in found.findings if one.kind is kind)
    return finding.status.value, finding.reason


OLD, BREAKING = a_spec("1.0.0", AMOUNT), a_spec("1.1.0", AMOUNT, COUNTRY)


def test_a_breaking_change_declared_minor_bars_the_version_and_says_which_field() -> None:
    found = reviewed(under_review(BREAKING), OLD)
    assert said(found, ConditionType.SCHEMA_ACCEPTED) == ("False", "BumpTooSmall")
    assert found.block is not None
    assert (found.block.reason, found.block.temporary) == ("SchemaRejected", False)
    assert found.compatibility is not None
    assert found.compatibility.changes[0].path.startswith("inputs.country")


@pytest.mark.parametrize("enforcement", [Enforcement.WARN, Enforcement.OFF])
def test_a_lax_policy_lets_it_serve_but_does_not_call_it_accepted(enforcement: Enforcement) -> None:
    policy = ModelSpec(versioning=VersioningPolicy(enforcement=enforcement))
    found = reviewed(under_review(BREAKING), OLD, policy=policy)
    assert found.block is None
    assert said(found, ConditionType.SCHEMA_ACCEPTED) == ("False", "BumpTooSmall")


def test_a_waiver_lets_it_serve_and_is_named() -> None:
    found = reviewed(under_review(BREAKING, waiver="every client sends it"), OLD)
    assert (found.block, found.waived) == (None, True)
    assert said(found, ConditionType.SCHEMA_ACCEPTED) == ("True", "Waived")


def test_a_waiver_that_nobody_needs_waives_nothing() -> None:
    assert not reviewed(under_review(a_spec("1.1.0", AMOUNT), waiver="just in case"), OLD).waived


def test_what_was_accepted_once_is_not_taken_back_by_a_version_that_comes_later() -> None:
    settled = Compatibility(against="1.0.0", declared=Bump.MINOR, required=Bump.MINOR, rollback_safe=True)
    found = reviewed(under_review(BREAKING, settled=settled), OLD)
    assert (found.block, found.compatibility) == (None, settled)


def test_a_yanked_version_may_not_serve_whatever_else_is_right() -> None:
    found = reviewed(under_review(a_spec("1.1.0", AMOUNT), yanked="leaks card numbers"), OLD)
    assert found.block is not None
    assert (found.block.reason, "leaks card numbers" in found.block.message) == ("VersionYanked", True)


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
def test_what_the_policy_asks_for_is_named_field_by_field(
    require: dict[str, bool], fields: dict[str, Any], missing: list[str]
) -> None:
    policy = ModelSpec(require=RequiredFacts(**require))
    assert missing_facts(a_spec("1.0.0", **fields), policy) == missing
    found = reviewed(under_review(a_spec("1.0.0", **fields)), policy=policy)
    assert (found.block is not None) == bool(missing)


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
def test_the_bytes_decide_where_somebody_asks_for_them(
    result: ArtifactResult | None, policy: ModelSpec, condition: tuple[str, str], block: tuple[str, bool] | None
) -> None:
    artifact = ArtifactFinding(result, "what was found") if result is not None else None
    one = under_review(a_spec("1.0.0", **COMPLETE), artifact=artifact)
    found = reviewed(one, policy=policy, verification=Verification.CHECKSUM)
    assert said(found, ConditionType.ARTIFACT_VERIFIED) == condition
    assert (found.block and (found.block.reason, found.block.temporary)) == block


def test_nobody_asks_for_the_bytes_of_a_version_without_an_artifact_unless_its_model_does() -> None:
    bare = under_review(a_spec("1.0.0"))
    assert reviewed(bare, verification=Verification.FULL).block is None
    assert reviewed(bare, policy=WANTED).block is not None


def test_clients_that_could_not_go_back_are_told_of_and_unknown_signatures_are_not_guessed_about() -> None:
    assert "country" in unsafe_rollback(a_spec("1.1.0", AMOUNT, COUNTRY), OLD)
    assert unsafe_rollback(a_spec("1.1.0", AMOUNT), OLD) == ""
    assert unsafe_rollback(a_spec("1.1.0"), OLD) == ""
