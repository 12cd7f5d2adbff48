"""What came of a command: whether the operator has acted on it, and with which effect."""

from enum import Enum
from typing import Final, assert_never

from msgspec import Struct

from serinus.api.names import Command
from serinus.api.rollout_status import Phase, Rollback, RollbackReason, RolloutStatus, RunResult
from serinus.engine.analysis.text import clock

LONGEST_TOKEN: Final = 1024
"""Characters of a token that the operator keeps."""

_BY_COMMAND: Final = frozenset({RollbackReason.ABORTED, RollbackReason.ROLLBACK_REQUESTED})


class GivenCommand(Struct, frozen=True, kw_only=True):
    """A command that was written on a Rollout.

    Attributes:
        command: which one.
        token: the annotation's value.
        before: the status when it was written.
    """

    command: Command
    token: str
    before: RolloutStatus


class Effect(Enum):
    """How far a command is."""

    PENDING = "not acknowledged yet"
    UNDER_WAY = "acknowledged, and the traffic is on its way"
    DONE = "done"
    NONE = "acknowledged without any effect on the status"


def effect_of(given: GivenCommand, status: RolloutStatus) -> Effect:
    """Return how far the command is."""
    if status.last_handled.get(given.command.value) != given.token[:LONGEST_TOKEN]:
        return Effect.PENDING
    if not _has_had_effect(given, status):
        return Effect.NONE
    return Effect.UNDER_WAY if status.phase is Phase.ROLLING_BACK else Effect.DONE


def _has_had_effect(given: GivenCommand, status: RolloutStatus) -> bool:
    token = given.token[:LONGEST_TOKEN]
    match given.command:
        case Command.PAUSE:
            return status.paused is not None and status.paused.reason == token
        case Command.RESUME:
            return given.before.paused is not None and status.paused is None
        case Command.PROMOTE:
            # The approvals of a run are forgotten when it ends well.
            approved = any(one.token == token for one in status.approvals)
            return approved or (given.before.candidate is not None and status.phase is Phase.HEALTHY)
        case Command.ABORT | Command.ROLLBACK:
            return _is_new(status.rollback, given.before.rollback) or _is_over(status, given.before)
        case Command.RETRY:
            return status.run > given.before.run
        case _:
            assert_never(given.command)


def _is_new(rollback: Rollback | None, before: Rollback | None) -> bool:
    """Return whether a person's rollback was decided since."""
    if rollback is None or rollback.reason not in _BY_COMMAND:
        return False
    return before is None or rollback.decided_at != before.decided_at


def _is_over(status: RolloutStatus, before: RolloutStatus) -> bool:
    """Return whether a rollback was decided since and put away: of what served, while another version is wanted."""
    last, last_before = next(iter(status.history), None), next(iter(before.history), None)
    if status.rollback is not None or last is None or last.result is not RunResult.ROLLED_BACK:
        return False
    return last_before is None or last.ended_at > last_before.ended_at


def story_of(status: RolloutStatus) -> str:
    """Return in one line what has become of the run, which may be why a command was ignored; empty if nothing is known.

    The status says so itself, unless whoever wrote it left that out.
    """
    rollback = status.rollback
    if status.summary or rollback is None:
        return " ".join(status.summary.split())
    said = f"{rollback.version} was rolled back at {clock(rollback.decided_at)}: {rollback.message}"
    return " ".join(said.split())
