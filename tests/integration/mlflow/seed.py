"""Fills a tracking server by MLflow's own client; run by the Python of MLflow's environment, not by pytest."""

import json
import sys

import mlflow
import pandas as pd
from mlflow.models import ModelSignature
from mlflow.types import ColSpec, DataType, ParamSchema, ParamSpec, Schema


class Scorer(mlflow.pyfunc.PythonModel):
    """Says 0.5 of everything."""

    def predict(self, context, model_input, params=None):  # noqa: ANN001, ANN201, ARG002 - MLflow's own form
        """Score each row."""
        return [0.5] * len(model_input)


SIGNATURE = ModelSignature(
    inputs=Schema([ColSpec(DataType.double, "amount"), ColSpec(DataType.string, "merchant", required=False)]),
    outputs=Schema([ColSpec(DataType.float, "score")]),
    params=ParamSchema([ParamSpec("threshold", DataType.double, 0.5)]),
)
ROWS = pd.DataFrame({"amount": [1.0, 2.0, 3.0], "merchant": ["a", "b", "c"]})


def main(uri: str) -> None:
    """Log one run, register what it made, and some versions that lack something."""
    mlflow.set_tracking_uri(uri)
    mlflow.set_experiment("fraud")
    with mlflow.start_run(run_name="october") as run:
        mlflow.log_params({"lr": "0.001", "depth": 6})
        mlflow.log_metrics({"precision": 0.94, "f1": 0.91, "broken": float("nan")})
        mlflow.set_tags(
            {
                "mlflow.source.git.commit": "1234e567890abcdef0123456789abcdef0123456",
                "mlflow.source.git.repoURL": "https://robot:geheim@git.example/fraud.git",
            }
        )
        training = mlflow.data.from_pandas(ROWS, source="s3://data/fraud/2026-10", name="october")
        held_out = mlflow.data.from_pandas(ROWS, source="s3://data/fraud/2026-11", name="november")
        mlflow.log_input(training, context="training")
        mlflow.log_input(held_out, context="validation")
        made = mlflow.pyfunc.log_model(
            name="model",
            python_model=Scorer(),
            signature=SIGNATURE,
            pip_requirements=[],
            registered_model_name="fraud-detector",
        )
        mlflow.log_metric("recall", 0.88, model_id=made.model_id)
        mlflow.log_metric("late", 0.5)
    client = mlflow.MlflowClient()
    client.set_model_version_tag("fraud-detector", "1", "semver", "v2.3.1")
    client.update_model_version("fraud-detector", "1", "Retrained on October.")
    client.set_registered_model_alias("fraud-detector", "champion", "1")
    # The same model again, without a tag; and under a name that Kubernetes does not have.
    mlflow.register_model(made.model_uri, "fraud-detector")
    mlflow.register_model(made.model_uri, "Fraud Scores")
    sys.stdout.write(json.dumps({"run": run.info.run_id, "experiment": run.info.experiment_id, "model": made.model_id}))


main(sys.argv[1])
