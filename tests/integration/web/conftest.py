"""The page against a real API server."""

from support.kube.client import api, cluster, namespace

__all__ = ["api", "cluster", "namespace"]
