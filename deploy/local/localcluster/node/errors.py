"""The error for a container that cannot be started."""

from localcluster.errors import LocalClusterError


class ContainerError(LocalClusterError):
    """A container cannot be started.

    Attributes:
        reason: The Kubernetes reason for its waiting state.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
