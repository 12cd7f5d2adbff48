"""The demo in a cluster that a kubeconfig names: with the operator, the gateway and the Prometheus that are there."""

from typing import Final

COMMAND: Final = "cluster"
"""What is typed behind ``python -m demo``."""
