"""Creates ModelVersion manifests from MLflow: from a tracking server, an MLmodel file, or in the training code itself.

Training code writes the manifest of what it has logged; MLflow is the training code's own, and no dependency::

    import mlflow
    import serinus.mlflow

    with mlflow.start_run():
        with serinus.mlflow.candidate("fraud-detector", "2.3.1", backend="fraud-detector-v2-3-1:80"):
            mlflow.sklearn.log_model(model, name="model", signature=signature)
"""

from serinus.mlflow.callback import Candidate, Written, candidate, write_manifest

__all__ = ["Candidate", "Written", "candidate", "write_manifest"]
