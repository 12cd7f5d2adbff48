"""Creates ModelVersion manifests from MLflow: from a tracking server or an MLmodel file."""
