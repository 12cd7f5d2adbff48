"""``serinus.mlflow`` in training code, with the real MLflow: the block and the one-liner write the ModelVersion."""

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

import serinus
from serinus.api.modelversion import ModelVersionSpec
from serinus.api.parsing import decode
from serinus.api.signature import Profile

_SCRIPT = Path(__file__).with_name("train.py")
_MODULES = (Path(serinus.__file__).parents[1], Path(msgspec.__file__).parents[1])


@pytest.fixture(scope="module")
def trained(seeded: Any, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("training")
    told: dict[str, Any] = json.loads(seeded.server.run(_SCRIPT, str(folder), modules=_MODULES).splitlines()[-1])
    return told


def manifest(trained: dict[str, Any], name: str) -> tuple[dict[str, Any], ModelVersionSpec]:
    raw = yaml.safe_load(trained["files"][name])
    return raw, decode(ModelVersionSpec, raw["spec"], "spec")


def test_the_block_writes_the_modelversion_of_what_it_logged(seeded: Any, trained: dict[str, Any]) -> None:
    raw, spec = manifest(trained, "fraud-detector-v2.3.1.yaml")
    assert raw["metadata"] == {"name": "fraud-detector-v2.3.1", "namespace": "ml"}
    assert spec.signature is not None
    assert [(field.name, field.optional) for field in spec.signature.inputs] == [("amount", False), ("merchant", True)]
    assert [(field.name, field.default) for field in spec.signature.parameters] == [("fill", "NaN")]
    assert spec.artifact is not None
    assert spec.artifact.uri.startswith("mlflow-artifacts:/")
    assert spec.artifact.digest is not None
    assert spec.artifact.size_bytes
    assert [(metric.name, metric.value) for metric in spec.metrics] == [("f1", "0.91")]
    assert spec.lineage is not None
    assert spec.lineage.hyperparameters == {"lr": "0.001"}
    assert spec.lineage.run is not None
    assert spec.lineage.run.id == trained["run"]
    assert spec.lineage.run.url is not None
    assert spec.lineage.run.url.startswith(f"{seeded.server.url}/#/experiments/")
    assert [(data.uri, data.rows) for data in spec.training_data] == [("s3://data/fraud/2026-10", 2)]
    assert spec.training is not None
    assert spec.training.duration is not None
    assert spec.serving is not None
    assert (spec.serving.backend_ref.name, spec.serving.backend_ref.port) == ("fraud-detector-v2-3-1", 80)
    assert "governance" in trained["unknown"]
    assert trained["left_out"] == []


def test_the_one_liner_writes_a_chat_models_signature(trained: dict[str, Any]) -> None:
    _, spec = manifest(trained, "helpdesk-v1.0.0.yaml")
    assert spec.signature is not None
    assert spec.signature.profile is Profile.CHAT
    assert [field.name for field in spec.signature.inputs] == ["messages", "messages[].content", "messages[].role"]
    assert spec.artifact is not None
    assert spec.artifact.uri == "s3://models/helpdesk/1.0.0/"


def test_a_block_that_logs_no_model_writes_nothing(trained: dict[str, Any]) -> None:
    assert "no model was logged" in trained["refused"]
    assert set(trained["files"]) == {"fraud-detector-v2.3.1.yaml", "helpdesk-v1.0.0.yaml"}
