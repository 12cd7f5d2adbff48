"""The command line: ``serinus run`` in the cluster, the on-call engineer's verbs at a terminal."""

from serinus.cli.main import main

__all__ = ["main"]
