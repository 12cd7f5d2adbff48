"""Fixtures of the tests that run beside what users install."""

from support.e2e.fixtures import cluster, nothing_left_open, processes, servers

__all__ = ["cluster", "nothing_left_open", "processes", "servers"]
