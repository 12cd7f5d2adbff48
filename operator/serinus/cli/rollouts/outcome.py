"""The exit statuses of the commands about one Rollout; stable, and documented in docs/reference/command-line.md."""

from typing import Final

from serinus.cli.command import FAILED, Statuses

OK: Final = 0
ERROR: Final = 1
ROLLED_BACK: Final = 2
TIMED_OUT: Final = 3
WAITS: Final = 4

STATUS_ENDS: Final[Statuses] = {
    OK: "healthy, or a run is under way",
    ERROR: FAILED,
    ROLLED_BACK: "rolled back, or the spec cannot be followed; or wrong usage",
    TIMED_OUT: "with --watch, the run was not over in time",
    WAITS: "waits for a person",
}

COMMAND_ENDS: Final[Statuses] = {
    OK: "done: the operator has acted on it",
    ERROR: "failed or ignored by the operator, standard error says why",
    ROLLED_BACK: "the version is rolled back instead, or wrong usage",
    TIMED_OUT: "written, but not acknowledged in time",
    WAITS: "acted on, and the run waits for a person",
}
