"""Builds: another server and a rebuild are a PATCH, a retrained model a MINOR step (N1 to N3)."""

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest

from serinus.api.model import Better, Enforcement, MetricTolerance
from serinus.api.modelversion import Bump, Dataset
from serinus.api.signature import Signature
from serinus.engine.schema.builds import Build, BuildRule
from serinus.engine.schema.compatibility import KnownVersion, Reason, Rules, judge
from support.schema.signatures import with_inputs

PLAIN: Final = with_inputs({})
OCTOBER: Final = Build(
    framework=("pytorch", "2.1.0"),
    serving="/Service/fraud-1-0-0:80",
    data=(Dataset(uri="s3://data/10", digest="sha256:" + "1" * 64),),
    hyperparameters={"lr": "0.001"},
    feature_commit="4f2a9c1",
    metrics={("f1", "test", ""): Decimal("0.91")},
)
NOVEMBER: Final = (Dataset(uri="s3://data/11", digest="sha256:" + "2" * 64),)
TOLERANCE: Final = (MetricTolerance(name="f1", better=Better.HIGHER, worse_by="0.01"),)
ENFORCED: Final = Rules(retraining=Enforcement.ENFORCE, tolerances=TOLERANCE)


def known(version: str, signature: Signature | None = PLAIN, **fields: Any) -> KnownVersion:
    return KnownVersion(**{"version": version, "signature": signature, "spec_hash": f"spec of {version}", **fields})


def test_the_page_documents_the_rules_of_builds() -> None:
    page = Path(__file__).resolve().parents[4] / "docs" / "reference" / "compatibility.md"
    documented = dict(
        re.findall(r"^\| (N\d) \| .+? \| (\w+) \| .* \|$", page.read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert documented == {"N1": "PATCH", "N2": "PATCH", "N3": "MINOR"}
    assert set(documented) == set(BuildRule)


def test_the_same_bytes_with_another_server_are_a_patch() -> None:
    before = [known("2.2.4", digest="sha256:1", build=OCTOBER)]
    moved = replace(OCTOBER, serving="/Service/fraud-2-2-5:80", framework=("pytorch", "2.4.0"))
    verdict = judge(known("2.2.5", digest="sha256:1", build=moved), before, "2.2.4", ENFORCED)
    assert (verdict.accepted, verdict.reason) == (True, Reason.COMPATIBLE)
    (change,) = verdict.compatibility.changes
    assert (change.rule, change.bump, change.path) == ("N1", Bump.PATCH, "artifact.digest")
    assert judge(known("2.3.0", digest="sha256:1", build=moved), before, "2.2.4", ENFORCED).accepted
    twin = judge(known("2.2.5", digest="sha256:1", build=OCTOBER), before, "2.2.4")
    assert twin.reason is Reason.DUPLICATE_ARTIFACT


def test_a_rebuild_from_the_same_facts_is_a_patch() -> None:
    before = [known("2.2.4", digest="sha256:1", build=OCTOBER)]
    build = replace(OCTOBER, framework=("pytorch", "2.1.3"), serving="elsewhere")
    verdict = judge(known("2.2.5", digest="sha256:2", build=build), before, "2.2.4", ENFORCED)
    assert verdict.accepted
    assert [(change.rule, change.bump) for change in verdict.compatibility.changes] == [("N2", Bump.PATCH)]


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"data": NOVEMBER}, "trainingData"),
        ({"data": (Dataset(uri="s3://data/10", version="v3"),)}, "trainingData"),
        ({"hyperparameters": {"lr": "0.002"}}, "lineage.hyperparameters.lr"),
        ({"hyperparameters": {"lr": "0.001", "depth": "6"}}, "lineage.hyperparameters.depth"),
        ({"feature_commit": "0b1e77d"}, "lineage.featureCommit"),
        ({"framework": ("pytorch", "2.2.0")}, "framework.version"),
        ({"framework": ("jax", "2.1.0")}, "framework.name"),
        ({"metrics": {("f1", "test", ""): Decimal("0.93")}}, "metrics.f1 on test"),
    ],
)
def test_a_retrained_version_is_at_least_a_minor_step_by_the_models_policy(fields: dict[str, Any], path: str) -> None:
    before = [known("2.2.4", digest="sha256:1", build=OCTOBER)]
    retrained = replace(OCTOBER, **fields)
    patch = known("2.2.5", digest="sha256:2", build=retrained)
    refused = judge(patch, before, "2.2.4", ENFORCED)
    assert (refused.accepted, refused.reason) == (False, Reason.BUMP_TOO_SMALL)
    assert [(change.path, change.rule, change.bump) for change in refused.compatibility.changes] == [
        (path, "N3", Bump.MINOR)
    ]
    assert "Number it 2.3.0 or higher" in refused.message
    assert judge(known("2.3.0", digest="sha256:2", build=retrained), before, "2.2.4", ENFORCED).accepted
    warned = judge(patch, before, "2.2.4", Rules(tolerances=TOLERANCE))
    assert warned.accepted
    assert f"It was retrained since 2.2.4 (N3: {path}), which asks for a minor step, 2.3.0 or higher" in warned.message
    silent = judge(patch, before, "2.2.4", Rules(retraining=Enforcement.OFF, tolerances=TOLERANCE))
    assert silent.accepted
    assert "retrained" not in silent.message


@pytest.mark.parametrize(
    "fields",
    [
        {"data": ()},
        {"hyperparameters": {}},
        {"feature_commit": "4f2a9c1d0e"},
        {"framework": ("PyTorch", "2.1")},
        {"framework": ("pytorch", "")},
        {"metrics": {("f1", "test", ""): Decimal("0.92")}},
        {"metrics": {("f1", "holdout", ""): Decimal("0.5")}},
        {"data": (Dataset(uri="s3://copy/10", digest="sha256:" + "1" * 64),)},
    ],
)
def test_a_fact_that_is_not_stated_or_only_spelled_otherwise_is_no_retraining(fields: dict[str, Any]) -> None:
    before = [known("2.2.4", digest="sha256:1", build=OCTOBER)]
    candidate = known("2.2.5", digest="sha256:2", build=replace(OCTOBER, **fields))
    assert judge(candidate, before, "2.2.4", ENFORCED).accepted


def test_retraining_is_refused_though_no_signature_is_stated() -> None:
    before = [known("2.2.4", None, build=OCTOBER)]
    verdict = judge(known("2.2.5", None, build=replace(OCTOBER, data=NOVEMBER)), before, "2.2.4", ENFORCED)
    assert (verdict.accepted, verdict.compatibility.required) == (False, Bump.MINOR)
