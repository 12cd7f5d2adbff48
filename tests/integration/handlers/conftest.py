"""Fixtures of the API server's tests."""

from support.kube.client import api, cluster, namespace

__all__ = ["api", "cluster", "namespace"]
