"""Why a container cannot be started, in the words that its status shows."""

from localcluster.errors import LocalClusterError


class ContainerError(LocalClusterError):
    """A container cannot be started.

    Attributes:
        reason: The reason of its waiting state, in Kubernetes' words.
    """

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason
