"""``serinus import`` without a real server: MLmodel files, rare responses, and invalid arguments."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from serinus.artifacts.verifier import measured
from serinus.cli.context import CliContext
from serinus.cli.main import invoke
from serinus.errors import ConfigurationError, NotFoundError, RefusedError
from serinus.settings import ArtifactSettings
from support.servers.artifact_server import ArtifactServer, Reply

MODEL_FILE = """\
artifact_path: model
flavors:
  python_function: {python_version: 3.11.7}
  sklearn: {sklearn_version: 1.9.1}
run_id: r1
signature:
  inputs: '[{"type": "double", "name": "amount", "required": true}]'
  outputs: '[{"type": "float", "name": "score", "required": true}]'
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "model.pkl").write_bytes(b"weights")
    (folder / "MLmodel").write_text(MODEL_FILE)
    return folder / "MLmodel"


def ask(*words: str, **environment: str) -> int:
    return invoke(["import", *words], CliContext(environment=environment))


def offline(path: Path, *words: str) -> int:
    return ask("mlmodel", str(path), "--model", "fraud", "--version", "v2.3.1", *words)


def test_a_model_file_becomes_a_modelversion(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert offline(path, "--backend", "fraud-v2:80", "--namespace", "ml") == 0
    told = capsys.readouterr()
    assert yaml.safe_load(told.out) == {
        "apiVersion": "serinus.dev/v1alpha1",
        "kind": "ModelVersion",
        "metadata": {"name": "fraud-v2.3.1", "namespace": "ml"},
        "spec": {
            "model": "fraud",
            "version": "2.3.1",
            "framework": {"name": "sklearn", "version": "1.9.1"},
            "lineage": {"run": {"system": "mlflow", "id": "r1"}},
            "signature": {
                "profile": "columnar",
                "inputs": [{"name": "amount", "dtype": "float64"}],
                "outputs": [{"name": "score", "dtype": "float32"}],
            },
            "serving": {"backendRef": {"name": "fraud-v2", "port": 80}},
        },
    }
    assert told.err.startswith("not known to MLflow: artifact.digest (--hash finds it), artifact.sizeBytes, ")


def test_the_folder_of_the_model_file_is_hashed(path: Path, tmp_path: Path) -> None:
    output = tmp_path / "version.yaml"
    offline(path, "--hash", "--artifact-uri", "s3://models/fraud/2.3.1/", "-o", str(output))
    expected = measured(ArtifactSettings(local_root=str(path.parent)), str(path.parent))
    assert yaml.safe_load(output.read_text())["spec"]["artifact"] == {
        "uri": "s3://models/fraud/2.3.1/",
        "digest": expected.digest,
        "sizeBytes": expected.size,
        "format": "mlflow",
    }


def test_a_digest_without_a_uri_is_refused(path: Path) -> None:
    with pytest.raises(click.UsageError, match="--artifact-uri"):
        offline(path, "--hash")


@pytest.mark.parametrize("backend", ["fraud", "fraud:0", "fraud:65536", "Fraud:80", ":80", "fraud:80:80"])
def test_a_backend_is_a_name_and_a_port(path: Path, backend: str) -> None:
    with pytest.raises(click.BadParameter, match="write name:port"):
        offline(path, "--backend", backend)


def test_a_missing_or_too_long_file_is_refused(path: Path) -> None:
    with pytest.raises(NotFoundError, match="cannot be read"):
        offline(path.with_name("none"))
    with pytest.raises(NotFoundError, match="name the MLmodel file itself"):
        offline(path.parent)
    path.write_bytes(b"#" * (1024 * 1024 + 1))
    with pytest.raises(RefusedError, match="over 1 MiB"):
        offline(path)


def test_an_output_that_cannot_be_written_is_an_error(path: Path) -> None:
    with pytest.raises(RefusedError, match="cannot be written"):
        offline(path, "-o", str(path / "below"))


def test_an_invalid_version_or_name_is_refused(path: Path) -> None:
    with pytest.raises(click.BadParameter, match="invalid version '7'"):
        ask("mlmodel", str(path), "--model", "fraud", "--version", "7")
    with pytest.raises(click.BadParameter, match="give --model"):
        ask("mlmodel", str(path), "--model", "Fraud", "--version", "2.3.1")


def test_a_server_must_be_given_by_an_option_or_by_mlflows_variable() -> None:
    with pytest.raises(ConfigurationError, match="--tracking-uri"):
        ask("mlflow", "models:/fraud/7")
    with pytest.raises(ConfigurationError, match="file or database"):
        ask("mlflow", "models:/fraud/7", MLFLOW_TRACKING_URI="sqlite:///mlflow.db")


API = "/api/2.0/mlflow"


def says(body: object) -> Reply:
    return Reply(body=json.dumps(body).encode())


@pytest.fixture
def server() -> Iterator[ArtifactServer]:
    tags = [{"key": "semver", "value": "2.3.1"}]
    version = {"name": "fraud", "version": "7", "source": "models:/m-1", "run_id": "r1", "tags": tags}
    of_model = [{"key": "f1", "value": 0.9, "dataset_name": "test"}]
    of_run = [{"key": "f1", "value": 0.1}, {"key": "loss", "value": 3}]
    run = {"info": {"run_id": "r1"}, "data": {"metrics": of_run}}
    with ArtifactServer(tls=False).running() as running:
        running.replies = {
            f"{API}/model-versions/get": says({"model_version": version}),
            f"{API}/model-versions/get-download-uri": says({"artifact_uri": "s3://models/1/m-1/artifacts"}),
            "/model-versions/get-artifact": Reply(body=MODEL_FILE.encode()),
            f"{API}/logged-models/m-1": says({"model": {"data": {"metrics": of_model}}}),
            f"{API}/runs/get": says({"run": {**run, "outputs": {"model_outputs": [{"model_id": "m-1"}]}}}),
        }
        yield running


def imported(server: ArtifactServer, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert ask("mlflow", "models:/fraud/7", MLFLOW_TRACKING_URI=server.url) == 0
    spec = yaml.safe_load(capsys.readouterr().out)["spec"]
    assert isinstance(spec, dict)
    return spec


def test_a_folder_in_s3_is_named_as_the_verifier_reads_it(
    server: ArtifactServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert imported(server, capsys)["artifact"]["uri"] == "s3://models/1/m-1/artifacts/"


def test_the_metrics_of_a_run_with_one_model_are_that_models(
    server: ArtifactServer, capsys: pytest.CaptureFixture[str]
) -> None:
    metrics = imported(server, capsys)["metrics"]
    assert metrics == [{"name": "f1", "value": "0.1"}, {"name": "loss", "value": "3.0"}]


def test_the_metrics_of_a_run_with_many_models_are_not_those_of_one_model(
    server: ArtifactServer, capsys: pytest.CaptureFixture[str]
) -> None:
    models = [{"model_id": "m-1"}, {"model_id": "m-2"}]
    run = {"info": {"run_id": "r1"}, "data": {"metrics": [{"key": "loss", "value": 3}]}}
    server.replies[f"{API}/runs/get"] = says({"run": {**run, "outputs": {"model_outputs": models}}})
    assert imported(server, capsys)["metrics"] == [{"name": "f1", "value": "0.9", "dataset": "test"}]


def test_without_its_deleted_run_a_model_has_its_own_facts_only(
    server: ArtifactServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies[f"{API}/runs/get"] = Reply(status=404)
    spec = imported(server, capsys)
    assert spec["metrics"] == [{"name": "f1", "value": "0.9", "dataset": "test"}]
    assert "training" not in spec
    assert spec["lineage"] == {"run": {"system": "mlflow", "id": "r1"}}


# ---- what MLflow 3 and other registries write ---------------------------------------------------


LOGGED = {
    "info": {
        "name": "model",
        "artifact_uri": "s3://mlflow/1/models/m-1/artifacts",
        "source_run_id": "r1",
        "tags": [{"key": "semver", "value": "2.4.0"}],
    },
    "data": {"metrics": [{"key": "f1", "value": 0.9, "dataset_name": "test"}]},
}
FILES = "/ajax-api/2.0/mlflow/logged-models/m-1/artifacts/files"


def test_a_source_that_is_a_logged_model_is_resolved_to_its_files(
    server: ArtifactServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies[f"{API}/model-versions/get-download-uri"] = says({"artifact_uri": "models:/m-1"})
    server.replies[f"{API}/logged-models/m-1"] = says({"model": LOGGED})
    server.replies["/model-versions/get-artifact"] = Reply(status=500)
    server.replies[FILES] = Reply(body=MODEL_FILE.encode())
    spec = imported(server, capsys)
    assert spec["artifact"]["uri"] == "s3://mlflow/1/models/m-1/artifacts/"
    assert spec["signature"]["inputs"] == [{"name": "amount", "dtype": "float64"}]


def test_a_logged_model_is_imported_without_a_registered_version(
    server: ArtifactServer, capsys: pytest.CaptureFixture[str]
) -> None:
    server.replies[f"{API}/logged-models/m-1"] = says({"model": LOGGED})
    server.replies[FILES] = Reply(body=MODEL_FILE.encode())
    with pytest.raises(RefusedError, match="give --model"):
        ask("mlflow", "models:/m-1", MLFLOW_TRACKING_URI=server.url)
    assert ask("mlflow", "models:/m-1", "--model", "fraud", MLFLOW_TRACKING_URI=server.url) == 0
    spec = yaml.safe_load(capsys.readouterr().out)["spec"]
    assert (spec["model"], spec["version"]) == ("fraud", "2.4.0")
    assert spec["artifact"]["uri"] == "s3://mlflow/1/models/m-1/artifacts/"
    assert spec["lineage"]["run"]["id"] == "r1"


def test_a_name_of_unity_catalog_gives_the_model_its_last_part(
    server: ArtifactServer, capsys: pytest.CaptureFixture[str]
) -> None:
    version = {"name": "main.risk.Card_Fraud", "version": "7", "tags": [{"key": "semver", "value": "2.3.1"}]}
    server.replies[f"{API}/registered-models/alias"] = says({"model_version": version})
    assert ask("mlflow", "models:/main.risk.Card_Fraud@Champion", MLFLOW_TRACKING_URI=server.url) == 0
    told = capsys.readouterr()
    assert yaml.safe_load(told.out)["spec"]["model"] == "card-fraud"
    assert "left out: the catalog and schema of main.risk.Card_Fraud: the model is card-fraud" in told.err


def test_a_model_of_unity_catalog_that_the_server_does_not_have_is_explained(server: ArtifactServer) -> None:
    server.replies[f"{API}/model-versions/get"] = Reply(status=404)
    with pytest.raises(NotFoundError, match="serinus import mlmodel"):
        ask("mlflow", "models:/main.risk.fraud/7", MLFLOW_TRACKING_URI=server.url)


@pytest.mark.parametrize("place", [r"C:\mlruns\1\model", "C:/mlruns/1/model", "file:///C:/mlruns/1/model", r"\\nas\ml"])
def test_files_on_a_windows_machine_are_no_artifact_that_a_pod_can_read(
    server: ArtifactServer, capsys: pytest.CaptureFixture[str], place: str
) -> None:
    server.replies[f"{API}/model-versions/get-download-uri"] = says({"artifact_uri": place})
    assert ask("mlflow", "models:/fraud/7", MLFLOW_TRACKING_URI=server.url) == 0
    told = capsys.readouterr()
    assert "artifact" not in yaml.safe_load(told.out)["spec"]
    assert f"left out: artifact ({place} is a path of the machine that logged it: give --artifact-uri)" in told.err
    with pytest.raises(RefusedError, match="hash it there"):
        ask("mlflow", "models:/fraud/7", "--hash", MLFLOW_TRACKING_URI=server.url)


@pytest.mark.parametrize("value", [1.7976931348623157e308, -1.7976931348623157e308])
def test_the_number_that_mlflow_stores_for_infinity_is_no_metric(
    server: ArtifactServer, capsys: pytest.CaptureFixture[str], value: float
) -> None:
    run = {"info": {"run_id": "r1"}, "data": {"metrics": [{"key": "loss", "value": value}]}}
    server.replies[f"{API}/runs/get"] = says({"run": {**run, "outputs": {"model_outputs": [{"model_id": "m-1"}]}}})
    assert ask("mlflow", "models:/fraud/7", MLFLOW_TRACKING_URI=server.url) == 0
    told = capsys.readouterr()
    assert [one["name"] for one in yaml.safe_load(told.out)["spec"]["metrics"]] == ["f1"]
    assert "left out: metrics.loss (its value is infinite)" in told.err
