"""Makes ModelVersion manifests from MLflow: a tracking server, or an MLmodel file."""
