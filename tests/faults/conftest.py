"""Fixtures of the whole operator on the local cluster."""

from support.e2e.fixtures import cluster, lease_namespace, nothing_left_open, operator, place, processes, servers

__all__ = ["cluster", "lease_namespace", "nothing_left_open", "operator", "place", "processes", "servers"]
