"""What ``serinus check`` says: one line for each thing that it looked at."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """How a check came out. Stable: scripts may rely on it.

    ``ok``: as it must be. ``warning``: works, with less than it could. ``failed``: Rollouts cannot work.
    ``unknown``: the user may not see it, or nobody answered.
    """

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Line:
    """One check.

    Attributes:
        name: what was looked at, such as ``crds``.
        state: how it came out.
        said: what was found, in a sentence.
        remedy: what to do; empty where there is nothing to do.
    """

    name: str
    state: State
    said: str
    remedy: str = ""


def ok(name: str, said: str) -> Line:
    """Return a line of what is as it must be."""
    return Line(name, State.OK, said)


def warning(name: str, said: str, remedy: str) -> Line:
    """Return a line of what works with less than it could."""
    return Line(name, State.WARNING, said, remedy)


def failed(name: str, said: str, remedy: str) -> Line:
    """Return a line of what keeps Rollouts from working."""
    return Line(name, State.FAILED, said, remedy)


def unknown(name: str, said: str, remedy: str) -> Line:
    """Return a line of what could not be seen."""
    return Line(name, State.UNKNOWN, said, remedy)
