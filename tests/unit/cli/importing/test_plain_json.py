"""``serinus import json``: the metadata that training scripts keep becomes a ModelVersion, or is named."""

import json
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode
from serinus.cli import main

_HASH: Final = "ab" * 32
METADATA: Final[dict[str, Any]] = {
    "model_id": "fraud-detector-v2.3.1",
    "framework": "pytorch==2.1.0",
    "artifact_uri": "s3://models/fraud/2.3.1/",
    "training_data": "s3://data/fraud/2026-10",
    "data_hash": f"sha256:{_HASH}",
    "dataset_version": "v2.3",
    "feature_engineering_commit": "4f2a9c1",
    "training_duration": "3h 24m",
    "hyperparameters": {"lr": 0.001, "layers": [64, 32], "balanced": True},
    "metrics": {"precision": 0.94, "recall": 0.88, "f1": 0.91, "auc_roc": 0.96},
    "stage": "production",
    "promoted_at": "2026-10-02T09:00:00",
    "promoted_by": "ada",
}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "metadata.json"


def imported(file: Path, content: Any, capsys: pytest.CaptureFixture[str], *words: str) -> tuple[dict[str, Any], str]:
    file.write_text(json.dumps(content), encoding="utf-8")
    assert main(["import", "json", str(file), *words]) == 0
    told = capsys.readouterr()
    manifest = yaml.safe_load(told.out)
    decode(ModelVersionSpec, manifest["spec"], "spec")
    return manifest, told.err


def test_every_fact_of_the_metadata_is_in_the_modelversion(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest, told = imported(file, METADATA, capsys, "-n", "ml", "--backend", "fraud-v2-3-1:80")
    assert manifest == {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": "fraud-detector-v2.3.1", "namespace": "ml"},
        "spec": {
            "model": "fraud-detector",
            "version": "2.3.1",
            "artifact": {"uri": "s3://models/fraud/2.3.1/"},
            "framework": {"name": "pytorch", "version": "2.1.0"},
            "trainingData": [{"uri": "s3://data/fraud/2026-10", "version": "v2.3", "digest": f"sha256:{_HASH}"}],
            "training": {"duration": "3h24m"},
            "lineage": {
                "featureCommit": "4f2a9c1",
                "hyperparameters": {"lr": "0.001", "layers": "[64,32]", "balanced": "true"},
            },
            "metrics": [
                {"name": "precision", "value": "0.94"},
                {"name": "recall", "value": "0.88"},
                {"name": "f1", "value": "0.91"},
                {"name": "auc_roc", "value": "0.96"},
            ],
            "serving": {"backendRef": {"name": "fraud-v2-3-1", "port": 80}},
        },
    }
    assert told.splitlines() == [
        "left out: stage (a version's stage follows from its Rollout)",
        "left out: promoted_at (the audit trail has it)",
        "left out: promoted_by (the audit trail has it)",
    ]


@pytest.mark.parametrize(
    ("facts", "path", "value"),
    [
        ({"framework": "scikit-learn 1.5"}, "framework", {"name": "scikit-learn", "version": "1.5"}),
        ({"framework": "xgboost"}, "framework", {"name": "xgboost"}),
        ({"framework": {"name": "jax", "version": "0.4"}}, "framework", {"name": "jax", "version": "0.4"}),
        ({"training_duration": "1 day 2h"}, "training", {"duration": "26h"}),
        ({"training_duration": "2:03:04"}, "training", {"duration": "2h3m4s"}),
        ({"training_duration": 12240}, "training", {"duration": "12240s"}),
        ({"training_duration": "45 min"}, "training", {"duration": "45m"}),
        ({"training_duration": "2 hours 5 minutes"}, "training", {"duration": "2h5m"}),
        ({"training_duration": "a while"}, "training", None),
        ({"data_hash": "d41d8cd9"}, "trainingData", [{"uri": "s3://data/fraud/2026-10", "version": "v2.3@d41d8cd9"}]),
        ({"metrics": {"test": {"f1": 1e-05}}}, "metrics", [{"name": "f1", "value": "1e-05", "dataset": "test"}]),
        ({"version": "v2.4.0"}, "version", "2.4.0"),
        ({"metrics": {"f1": float("nan")}}, "metrics", None),
    ],
)
def test_a_fact_may_be_written_in_many_ways(
    file: Path, capsys: pytest.CaptureFixture[str], facts: dict[str, Any], path: str, value: Any
) -> None:
    manifest, told = imported(file, METADATA | facts, capsys)
    assert manifest["spec"].get(path) == value
    assert value is not None or "left out: " in told


def test_a_field_that_nobody_knows_is_named(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, told = imported(file, {**METADATA, "gpu_count": 8}, capsys)
    assert "left out: gpu_count (not a fact of a ModelVersion)" in told


def test_a_list_becomes_as_many_manifests(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text(json.dumps([METADATA, {**METADATA, "model_id": "fraud-detector-v2.4.0"}]), encoding="utf-8")
    assert main(["import", "json", str(file)]) == 0
    documents = list(yaml.safe_load_all(capsys.readouterr().out))
    assert [document["spec"]["version"] for document in documents] == ["2.3.1", "2.4.0"]


def test_model_and_version_may_be_given_beside_the_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bare = {name: value for name, value in METADATA.items() if name != "model_id"}
    manifest, _ = imported(file, bare, capsys, "--model", "fraud", "--version", "v3.0.0")
    assert (manifest["spec"]["model"], manifest["spec"]["version"]) == ("fraud", "3.0.0")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("{", "is not JSON"),
        ("3", "must be an object with one version's metadata"),
        ("[]", "must be an object with one version's metadata"),
        ("[" * 100_000, "is not JSON"),
        ('{"model_id": "\\ud800"}', "is not JSON"),
        ("{}", "names no model: give --model"),
        ('{"model_id": "fraud"}', "names no version: give --version"),
        ('{"model_id": "Fraud-v1.0.0"}', "spec.model"),
        ('{"model_id": "fraud-v1.0.0", "framework": {"name": 3}}', "spec.framework.name"),
        ('{"model_id": "fraud-v1.0.0", "signature": {"profile": "cubist"}}', "spec.signature"),
        ('{"model_id": "fraud-v1.0.0", "size_bytes": "\\u0661", "artifact_uri": 3}', "spec.artifact"),
    ],
)
def test_a_file_that_is_no_metadata_is_refused(
    file: Path, capsys: pytest.CaptureFixture[str], content: str, sentence: str
) -> None:
    file.write_text(content, encoding="utf-8")
    assert main(["import", "json", str(file)]) == 1
    assert sentence in capsys.readouterr().err


def test_a_file_that_cannot_be_read_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["import", "json", str(file)]) == 1
    assert "cannot be read" in capsys.readouterr().err
    file.write_bytes(b"\xff\xfe\xff")
    assert main(["import", "json", str(file)]) == 1
    assert "is not UTF-8 text" in capsys.readouterr().err
