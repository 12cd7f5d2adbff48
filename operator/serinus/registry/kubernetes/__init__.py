"""The registry in the Kubernetes API."""
