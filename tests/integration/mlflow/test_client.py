"""``serinus import`` from a real MLflow server: what its client logged is what the ModelVersion says."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode
from serinus.api.signature import Profile
from serinus.artifacts.verifier import measured
from serinus.cli.context import CliContext
from serinus.cli.main import invoke
from serinus.errors import NotFoundError, RefusedError, SerinusError
from serinus.kube.client import KubernetesClient
from serinus.settings import ArtifactSettings
from support.kube.client import create


def run(*words: str) -> int:
    return invoke(["import", *words], CliContext(environment={}))


class Import:
    """What one call of the command line wrote."""

    def __init__(self, capsys: pytest.CaptureFixture[str], *words: str) -> None:
        assert run(*words) == 0
        told = capsys.readouterr()
        self.text, self.remarks = told.out, told.err.splitlines()
        self.manifest: dict[str, Any] = yaml.safe_load(told.out)
        self.spec = decode(ModelVersionSpec, self.manifest["spec"], "spec")


def server(seeded: Any, reference: str, *words: str) -> list[str]:
    return ["mlflow", reference, "--tracking-uri", seeded.server.url, *words]


def test_everything_that_mlflow_knows_is_in_the_modelversion(seeded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = server(seeded, "models:/fraud-detector/1", "--backend", "fraud-detector-v2-3-1:80", "-n", "ml")
    found = Import(capsys, *words)
    spec = found.spec
    assert found.manifest["metadata"] == {"name": "fraud-detector-v2.3.1", "namespace": "ml"}
    assert (spec.model, spec.version, spec.changes) == ("fraud-detector", "2.3.1", "Retrained on October.")
    assert spec.artifact is not None
    assert spec.artifact.uri == f"mlflow-artifacts:/{seeded.experiment}/models/{seeded.model}/artifacts"
    assert spec.lineage is not None
    assert spec.lineage.hyperparameters == {"lr": "0.001", "depth": "6"}
    assert spec.lineage.code is not None
    assert spec.lineage.code.repository == "https://git.example/fraud.git"
    assert spec.lineage.code.commit == "1234e567890abcdef0123456789abcdef0123456"
    assert spec.lineage.run is not None
    assert spec.lineage.run.id == seeded.run
    assert spec.lineage.run.url == f"{seeded.server.url}/#/experiments/{seeded.experiment}/runs/{seeded.run}"
    assert {one.name: one.value for one in spec.metrics} == {
        "f1": "0.91",
        "late": "0.5",
        "precision": "0.94",
        "recall": "0.88",
    }
    (data,) = spec.training_data
    assert (data.uri, data.rows, data.digest) == ("s3://data/fraud/2026-10", 3, None)
    assert data.version is not None
    assert data.version.startswith("october@")
    assert spec.training is not None
    assert spec.training.duration
    assert spec.training.started_at is not None
    assert spec.serving is not None
    assert spec.serving.backend_ref.name == "fraud-detector-v2-3-1"


def test_the_signature_is_that_of_the_models_own_file(seeded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    signature = Import(capsys, *server(seeded, "models:/fraud-detector@champion")).spec.signature
    assert signature is not None
    assert signature.profile is Profile.COLUMNAR
    assert [(one.name, one.dtype, one.optional) for one in signature.inputs] == [
        ("amount", "float64", False),
        ("merchant", "string", True),
    ]
    assert [(one.name, one.dtype) for one in signature.outputs] == [("score", "float32")]
    assert [(one.name, one.default) for one in signature.parameters] == [("threshold", "0.5")]


def test_what_is_not_known_or_has_no_place_is_told(seeded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    found = Import(capsys, *server(seeded, "models:/fraud-detector/1"))
    unknown = "framework, lineage.featureCommit, serving, governance, signature.unknownInputs"
    assert found.remarks == [
        "left out: trainingData: november (MLflow says that it was used for validation)",
        "left out: metrics.broken (its value is not a number)",
        f"not known to MLflow: artifact.digest (--hash finds it), artifact.sizeBytes, {unknown}",
    ]
    assert "geheim" not in found.text


def test_hashing_finds_the_digest_that_the_same_files_have_on_disk(
    seeded: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = Import(capsys, *server(seeded, "models:/fraud-detector/1", "--hash")).spec.artifact
    assert artifact is not None
    expected = measured(ArtifactSettings(local_root=str(seeded.files)), str(seeded.files))
    assert (artifact.digest, artifact.size_bytes) == (expected.digest, expected.size)


def test_a_model_file_alone_gives_the_same_signature_without_a_server(
    seeded: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    online = Import(capsys, *server(seeded, "models:/fraud-detector/1")).spec
    output = tmp_path / "version.yaml"
    words = ["mlmodel", str(seeded.files / "MLmodel"), "--model", "fraud-detector", "--version", "2.3.1"]
    assert run(*words, "-o", str(output)) == 0
    offline = decode(ModelVersionSpec, yaml.safe_load(output.read_text())["spec"], "spec")
    assert (offline.signature, offline.artifact) == (online.signature, online.artifact)
    assert offline.lineage is not None
    assert offline.lineage.run is not None
    assert offline.lineage.run.id == seeded.run


def test_a_version_without_a_semver_tag_needs_one_from_a_person(
    seeded: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(RefusedError, match="give --version"):
        run(*server(seeded, "models:/fraud-detector/2"))
    assert Import(capsys, *server(seeded, "models:/fraud-detector/2", "--version", "2.4.0")).spec.version == "2.4.0"


def test_a_name_that_kubernetes_does_not_have_needs_another(seeded: Any, capsys: pytest.CaptureFixture[str]) -> None:
    words = server(seeded, "models:/Fraud Scores/1", "--version", "1.0.0")
    with pytest.raises(RefusedError, match="give --model"):
        run(*words)
    assert Import(capsys, *words, "--model", "fraud-scores").spec.model == "fraud-scores"


@pytest.mark.parametrize("reference", ["models:/fraud-detector/99", "models:/fraud-detector@nobody", "models:/none/1"])
def test_what_is_not_registered_is_not_found(seeded: Any, reference: str) -> None:
    with pytest.raises(NotFoundError, match=reference):
        run(*server(seeded, reference))


async def test_the_api_server_accepts_it(
    seeded: Any, capsys: pytest.CaptureFixture[str], api: KubernetesClient, namespace: str
) -> None:
    words = server(seeded, "models:/fraud-detector/1", "--hash", "--backend", "fraud-v2:80", "-n", namespace)
    found = Import(capsys, *words)
    stored = await create(api, found.manifest, "modelversions", namespace)
    assert stored["spec"] == found.manifest["spec"]


def test_every_failure_is_one_of_ours(seeded: Any) -> None:
    with pytest.raises(SerinusError, match="cannot be reached"):
        run("mlflow", "models:/fraud-detector/1", "--tracking-uri", "http://127.0.0.1:1")
    with pytest.raises(SerinusError, match="tracking URI"):
        run("mlflow", "models:/fraud-detector/1", "--tracking-uri", f"{seeded.server.url}/elsewhere")
