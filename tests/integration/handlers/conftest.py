"""Fixtures of the API server's tests."""

from support.apiserver import api, cluster, namespace

__all__ = ["api", "cluster", "namespace"]
