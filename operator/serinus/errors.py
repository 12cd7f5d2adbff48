"""Every error that crosses a room of the house; none comes from a library.

The name says what the caller may do: ask again, re-read first, tell the user, or stop.
"""


class SerinusError(Exception):
    """The root: catch it where any failure of ours must not stop a loop."""


class InvalidObjectError(SerinusError):
    """An object from the cluster does not have the form of its kind.

    Attributes:
        path: the field, as kubectl writes it, such as ``spec.stages[1].traffic``.
        problem: what is wrong with it, without the path.
    """

    def __init__(self, path: str, problem: str) -> None:
        """Remember where and what."""
        super().__init__(f"{path}: {problem}" if path else problem)
        self.path = path
        self.problem = problem


class ConfigurationError(SerinusError):
    """The operator's own settings are wrong: it must not start."""


class TransientError(SerinusError):
    """The outside did not do it and certainly changed nothing: ask again later."""


class AmbiguousError(SerinusError):
    """A write timed out or failed on the server's side and may still have happened: re-read before the next step."""


class ConflictError(SerinusError):
    """The object changed since it was read: re-read, decide again."""


class NotFoundError(SerinusError):
    """The object is not there."""


class RefusedError(SerinusError):
    """The outside will not do it however often it is asked (forbidden, invalid): a person must act."""
