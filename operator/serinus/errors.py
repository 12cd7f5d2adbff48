"""The errors that cross package boundaries; errors of libraries are translated where they occur.

Each class tells the caller how to react: retry, re-read first, report to the user, or stop.
"""


class SerinusError(Exception):
    """Base class: catch it where no failure of ours may stop a loop."""


class InvalidObjectError(SerinusError):
    """An object from the cluster does not match its kind's schema.

    Attributes:
        path: the field, as kubectl writes it, such as ``spec.stages[1].traffic``.
        problem: what is wrong with it, without the path.
    """

    def __init__(self, path: str, problem: str) -> None:
        """Compose the message from both; an empty path is left out."""
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class ConfigurationError(SerinusError):
    """Invalid settings or arguments: the process must not start with them."""


class TransientError(SerinusError):
    """The operation failed without side effects; retry later."""


class AmbiguousError(SerinusError):
    """A write timed out or failed on the server's side and may have been applied: re-read before the next step."""


class ConflictError(SerinusError):
    """The object changed since it was read: re-read and decide again."""


class NotLeaderError(SerinusError):
    """This process does not lead, or no longer: nothing was sent, and nothing must be."""


class OvertakenError(SerinusError):
    """A later decision towards safety has made the write void: nothing was sent; decide again."""


class NotFoundError(SerinusError):
    """The object does not exist."""


class RefusedError(SerinusError):
    """The request is forbidden or invalid; a retry cannot succeed, a person must act."""


class VersionTakenError(RefusedError):
    """The version number is registered with another spec, and a version is one thing for ever."""


class ClusterTakenError(RefusedError):
    """The cluster's name, or a head, belongs to another cluster."""
