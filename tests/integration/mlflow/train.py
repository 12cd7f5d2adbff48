"""Training code as a user writes it, with serinus.mlflow; run by the Python of MLflow's environment, not by pytest."""

import json
import os
import sys
from pathlib import Path

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema
from mlflow.types.schema import Array, Object, Property

import serinus.mlflow
from serinus.errors import RefusedError


class Scorer(mlflow.pyfunc.PythonModel):
    """Says 0.5 of everything."""

    def predict(self, context, model_input, params=None):  # noqa: ANN001, ANN201, ARG002 - MLflow's own form
        """Score each row."""
        return [0.5] * len(model_input)


TABLE = ModelSignature(
    inputs=Schema([ColSpec(DataType.double, "amount"), ColSpec(DataType.string, "merchant", required=False)]),
    outputs=Schema([ColSpec(DataType.float, "score")]),
    params=ParamSchema([ParamSpec("fill", DataType.double, float("nan"))]),
)
MESSAGE = Object([Property("role", DataType.string), Property("content", DataType.string)])
CHAT = ModelSignature(
    inputs=Schema([ColSpec(Array(MESSAGE), "messages")]), outputs=Schema([ColSpec(DataType.string, "content")])
)


def log(signature: ModelSignature):  # noqa: ANN201 - MLflow's ModelInfo
    """Log the model as every tutorial does."""
    return mlflow.pyfunc.log_model(name="model", python_model=Scorer(), signature=signature, pip_requirements=[])


def main(uri: str) -> None:
    """Train twice: with the block, and with the one-liner; and once without logging a model."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("candidates")
    told = {}
    with mlflow.start_run() as run:
        mlflow.log_params({"lr": "0.001"})
        rows = pd.DataFrame({"amount": [1.0, 2.0]})
        mlflow.log_input(mlflow.data.from_pandas(rows, source="s3://data/fraud/2026-10", name="october"), "training")
        with serinus.mlflow.candidate(
            "fraud-detector",
            "v2.3.1",
            backend="fraud-detector-v2-3-1:80",
            namespace="ml",
            repository="https://git.example/fraud.git",
            with_digest=True,
        ) as candidate:
            log(TABLE)
            mlflow.log_metrics({"f1": 0.91})
        told |= {"run": run.info.run_id, "left_out": candidate.written.left_out, "unknown": candidate.written.unknown}
    with mlflow.start_run():
        serinus.mlflow.write_manifest(log(CHAT), "helpdesk", "1.0.0", artifact_uri="s3://models/helpdesk/1.0.0/")
        try:
            with serinus.mlflow.candidate("fraud-detector", "2.4.0"):
                pass
        except RefusedError as problem:
            told["refused"] = str(problem)
    told["files"] = {path.name: path.read_text() for path in sorted(Path.cwd().glob("*.yaml"))}
    sys.stdout.write(json.dumps(told))


os.chdir(sys.argv[2])
main(sys.argv[1])
