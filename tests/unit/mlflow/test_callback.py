"""``serinus.mlflow`` without MLflow, with MLflow 2, and with invalid arguments; the real one is an integration test."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import yaml

import serinus.mlflow
from serinus.errors import ConfigurationError, InvalidObjectError, RefusedError

RUN = SimpleNamespace(
    info=SimpleNamespace(
        run_id="r1",
        experiment_id="1",
        user_id="ada",
        start_time=1_790_000_000_000,
        end_time=None,
        artifact_uri="s3://mlflow/1/r1/artifacts",
    ),
    data=SimpleNamespace(metrics={"f1": 0.91}, params={"lr": "0.1"}, tags={"mlflow.user": "ada"}),
    inputs=None,
)
LOGGED = SimpleNamespace(
    run_id="r1",
    artifact_path="model",
    signature=None,
    flavors={"sklearn": {"sklearn_version": "1.5.0"}},
    model_uri="runs:/r1/model",
)


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Any:
    """An MLflow 2, which has no logged models."""
    module: Any = ModuleType("mlflow")
    module.get_run = {"r1": RUN}.__getitem__
    module.get_tracking_uri = lambda: "sqlite:///mlflow.db"
    monkeypatch.setitem(sys.modules, "mlflow", module)
    return module


@pytest.mark.usefixtures("mlflow")
def test_with_mlflow_2_the_block_is_told_what_was_logged(tmp_path: Path) -> None:
    file = tmp_path / "version.yaml"
    with serinus.mlflow.candidate("fraud", "2.3.1", path=file, seconds=lambda: 1_790_000_060.0) as candidate:
        candidate.logged = LOGGED
    assert candidate.written is not None
    spec = yaml.safe_load(file.read_text())["spec"]
    assert spec == {
        "model": "fraud",
        "version": "2.3.1",
        "artifact": {"uri": "s3://mlflow/1/r1/artifacts/model/", "format": "mlflow"},
        "framework": {"name": "sklearn", "version": "1.5.0"},
        "training": {"duration": "1m", "startedAt": "2026-09-21T14:13:20Z", "by": "ada"},
        "lineage": {"hyperparameters": {"lr": "0.1"}, "run": {"system": "mlflow", "id": "r1"}},
        "metrics": [{"name": "f1", "value": "0.91"}],
    }


@pytest.mark.usefixtures("mlflow")
def test_a_block_without_a_model_says_how_to_name_it() -> None:
    with pytest.raises(RefusedError, match="set `logged` of the candidate"), serinus.mlflow.candidate("fraud", "1.0.0"):
        pass


@pytest.mark.usefixtures("mlflow")
@pytest.mark.parametrize(
    ("model", "version", "options", "error"),
    [
        ("Fraud", "1.0.0", {}, InvalidObjectError),
        ("fraud", "7", {}, RefusedError),
        ("fraud", "1.0.0", {"backend": "fraud"}, RefusedError),
    ],
)
def test_a_mistake_is_found_before_the_training(
    model: str, version: str, options: dict[str, Any], error: type[Exception]
) -> None:
    trained = False
    with pytest.raises(error), serinus.mlflow.candidate(model, version, **options):
        trained = True
    assert not trained


@pytest.mark.usefixtures("mlflow")
def test_a_block_that_fails_writes_nothing(tmp_path: Path) -> None:
    file = tmp_path / "version.yaml"

    def train() -> None:
        with serinus.mlflow.candidate("fraud", "1.0.0", path=file) as candidate:
            candidate.logged = LOGGED
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        train()
    assert not file.exists()


@pytest.mark.usefixtures("mlflow")
def test_a_file_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(RefusedError, match="cannot be written"):
        serinus.mlflow.write_manifest(LOGGED, "fraud", "1.0.0", path=tmp_path / "none" / "version.yaml")


def test_without_mlflow_there_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigurationError, match="MLflow is not installed here"):
        serinus.mlflow.write_manifest(LOGGED, "fraud", "1.0.0")
