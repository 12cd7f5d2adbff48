"""Composing a manifest from MLflow's data: converted facts, facts left out, and unambiguous YAML."""

import json
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.modelversion import BackendRef, ModelVersionSpec
from serinus.api.parsing import decode
from serinus.artifacts.fetch import Measured
from serinus.errors import InvalidObjectError, RefusedError
from serinus.mlflow.manifest import Imported, Known, compose, semver_of
from serinus.mlflow.model_file import ModelFile
from serinus.mlflow.responses import (
    DatasetInfo,
    DatasetInput,
    Metric,
    Run,
    RunData,
    RunInfo,
    RunInputs,
    Tag,
    VersionInfo,
)
from serinus.yaml_output import to_yaml


def a_run(*tags: Tag, datasets: list[DatasetInput] | None = None, **data: Any) -> Run:
    info = RunInfo("r1", "1", "anna", 1_795_478_202_360, 1_795_490_442_360)
    return Run(info, RunData(**data, tags=list(tags)), RunInputs(datasets or []))


def composed(run: Run | None = None, **fields: Any) -> tuple[ModelVersionSpec, Imported]:
    found = compose(Known(**{"model": "fraud", "version": "2.3.1", "file": ModelFile(), "run": run, **fields}))
    return decode(ModelVersionSpec, found.manifest["spec"], "spec"), found


def a_dataset(source: object, *, context: str = "", digest: str = "e4cc8373", name: str = "october") -> DatasetInput:
    profile = json.dumps({"num_rows": 7})
    text = source if isinstance(source, str) else json.dumps(source)
    return DatasetInput(DatasetInfo(name, digest, "s3", text, profile), [Tag("mlflow.data.context", context)])


def registered(**fields: Any) -> VersionInfo:
    return VersionInfo(**{"name": "fraud", "version": "7", **fields})


def test_unknown_facts_are_reported_and_not_invented() -> None:
    spec, found = composed()
    assert spec == ModelVersionSpec(model="fraud", version="2.3.1")
    assert found.unknown == (
        "artifact.digest",
        "artifact.sizeBytes",
        "framework",
        "trainingData",
        "training",
        "lineage.code",
        "lineage.featureCommit",
        "lineage.hyperparameters",
        "lineage.run",
        "metrics",
        "signature",
        "serving",
        "governance",
        "changes",
    )


def test_the_hash_and_the_backend_are_in_the_manifest() -> None:
    digest = "sha256:" + "0" * 64
    spec, _ = composed(
        artifact_uri="s3://models/fraud/", hashed=Measured(7, digest), backend=BackendRef(name="fraud-v2", port=80)
    )
    assert spec.artifact is not None
    assert (spec.artifact.digest, spec.artifact.size_bytes, spec.artifact.format) == (digest, 7, "mlflow")
    assert spec.serving is not None


def test_a_training_has_its_duration_and_its_author() -> None:
    training = composed(a_run(Tag("mlflow.user", "bert")))[0].training
    assert training is not None
    assert (training.duration, training.by) == ("3h24m", "bert")


def test_values_that_are_not_numbers_or_too_long_are_left_out_by_name() -> None:
    run = a_run(
        params=[Tag("lr", "0.001"), Tag("prompt", "x" * 1025)],
        metrics=[Metric("f1", 0.91), Metric("tiny", 1e-07), Metric("bad", "NaN"), Metric("m" * 64, 1.0)],
    )
    spec, found = composed(run)
    assert spec.lineage is not None
    assert spec.lineage.hyperparameters == {"lr": "0.001"}
    assert {one.name: one.value for one in spec.metrics} == {"f1": "0.91", "tiny": "1e-07"}
    assert [one.partition(" ")[0] for one in found.left_out] == [
        "lineage.hyperparameters.prompt",
        "metrics.bad",
        "metrics." + "m" * 64,
    ]


def test_more_values_than_the_limit_are_left_out_by_name() -> None:
    many = [Tag(f"p{number:03d}", "1") for number in range(130)]
    run = a_run(params=many, metrics=[Metric(one.key, 1.0) for one in many])
    spec, found = composed(run)
    assert spec.lineage is not None
    assert len(spec.lineage.hyperparameters) == len(spec.metrics) == 128
    assert len(found.left_out) == 4


def test_training_data_has_its_address_without_secrets() -> None:
    sha = "sha256:" + "a" * 64
    datasets = [
        a_dataset({"uri": "s3://data/fraud"}, context="training"),
        a_dataset({"url": "https://u:geheim@host/x.csv?sig=geheim"}, digest=sha),
        a_dataset({"tags": {}}, name="notebook"),
        a_dataset("no json", name="broken"),
        a_dataset({"uri": "s3://data/test"}, context="test", name="held-out"),
        a_dataset({"path": "/data/x.csv"}, name="n" * 60),
    ]
    spec, found = composed(a_run(datasets=datasets))
    assert [(one.uri, one.version, one.digest, one.rows) for one in spec.training_data] == [
        ("s3://data/fraud", "october@e4cc8373", None, 7),
        ("https://host/x.csv", "october", sha, 7),
        ("/data/x.csv", "e4cc8373", None, 7),
    ]
    assert "geheim" not in to_yaml(found.manifest) + str(found.left_out)
    assert any("notebook" in one for one in found.left_out)
    assert any("broken" in one for one in found.left_out)
    assert any("held-out (MLflow says that it was used for test)" in one for one in found.left_out)


def test_code_needs_a_repository_which_the_user_can_give() -> None:
    commit = Tag("mlflow.source.git.commit", "0123456789abcdef")
    spec, found = composed(a_run(commit))
    assert spec.lineage is not None
    assert spec.lineage.code is None
    assert "give --repository" in found.left_out[0]
    named = composed(a_run(commit), repository="git@github.example:org/fraud.git")[0]
    assert named.lineage is not None
    assert named.lineage.code is not None
    assert named.lineage.code.repository == "git@github.example:org/fraud.git"


def test_an_invalid_commit_is_left_out() -> None:
    tags = (Tag("mlflow.source.git.commit", "main"), Tag("mlflow.source.git.repoURL", "https://git.example/x"))
    spec, found = composed(a_run(*tags))
    assert spec.lineage is not None
    assert spec.lineage.code is not None
    assert spec.lineage.code.commit is None
    assert "is not a commit" in found.left_out[0]


def test_an_unsupported_signature_is_left_out_and_not_reported_as_unknown() -> None:
    _, found = composed(file=ModelFile(problem="signature.inputs.x: the type 'any' has no counterpart"))
    assert "signature" not in found.unknown
    assert found.left_out == ("signature (signature.inputs.x: the type 'any' has no counterpart)",)


def test_an_invalid_value_is_refused_naming_the_field() -> None:
    with pytest.raises(InvalidObjectError, match=r"spec\.artifact\.uri"):
        composed(artifact_uri="s3://" + "x" * 3000)


@pytest.mark.parametrize(
    ("tags", "given", "version"),
    [
        ({"semver": "v2.3.1"}, None, "2.3.1"),
        ({"version": "2.3.1"}, None, "2.3.1"),
        ({"semver": "2.3.1", "version": "9.9.9"}, None, "2.3.1"),
        ({"semver": "2.3.1"}, "2.3.2", "2.3.2"),
    ],
)
def test_the_semver_is_the_users_or_the_tags(tags: dict[str, str], given: str | None, version: str) -> None:
    info = registered(tags=[Tag(key, value) for key, value in tags.items()])
    assert semver_of(info, given) == version


@pytest.mark.parametrize(("tag", "given", "words"), [("", None, "give --version"), ("2.3", None, "tag semver: '2.3'")])
def test_without_a_semver_the_error_has_a_remedy(tag: str, given: str | None, words: str) -> None:
    with pytest.raises(RefusedError, match=words):
        semver_of(registered(tags=[Tag("semver", tag)]), given)


def test_build_metadata_has_no_order() -> None:
    with pytest.raises(RefusedError, match="--version"):
        semver_of(registered(), "1.0.0+build")


@given(
    st.dictionaries(st.text("ab.:#", min_size=1), st.text() | st.sampled_from(["1234e56", "y", "0x1f", "1:30", "~"]))
)
def test_every_text_survives_a_round_trip_through_yaml(values: dict[str, str]) -> None:
    assert yaml.safe_load(to_yaml(values)) == values


@pytest.mark.parametrize("text", ["1234e56", "12e3", "0o17", "0x1f", "1_000", ".5", "-1", "+1", "y", "N", "1:30"])
def test_a_text_that_another_yaml_parser_reads_as_a_number_is_quoted(text: str) -> None:
    assert to_yaml({"commit": text}) == f'{"commit"}: "{text}"\n'
