"""The states a Rollout can be in, and every step between them that may ever be seen.

Nothing branches on ``status.phase``: the mode is derived from the facts in the status, the phase from the mode.
"""

from enum import StrEnum
from typing import Final

from serinus.api.rollout_status import RolloutStatus, StageState


class Mode(StrEnum):
    """What the Rollout is doing, derived from its status."""

    IDLE = "Idle"
    """Nothing serves yet and no run has begun."""
    RUNNING = "Running"
    """A candidate walks through the stages."""
    ROLLING_BACK = "RollingBack"
    """The traffic has been sent back; the gateway has not accepted it yet."""
    STRANDED = "Stranded"
    """The version is bad and there is nothing to go back to."""
    ROLLED_BACK = "RolledBack"
    """The bad version has no traffic."""
    SETTLED = "Settled"
    """The stable version serves and no run is under way."""


MODES: Final[dict[Mode, frozenset[Mode]]] = {
    Mode.IDLE: frozenset({Mode.RUNNING, Mode.SETTLED}),
    Mode.RUNNING: frozenset({Mode.IDLE, Mode.ROLLING_BACK, Mode.STRANDED, Mode.ROLLED_BACK, Mode.SETTLED}),
    Mode.ROLLING_BACK: frozenset({Mode.ROLLED_BACK}),
    Mode.STRANDED: frozenset({Mode.IDLE, Mode.ROLLING_BACK, Mode.ROLLED_BACK, Mode.RUNNING, Mode.SETTLED}),
    Mode.ROLLED_BACK: frozenset({Mode.IDLE, Mode.RUNNING, Mode.SETTLED}),
    Mode.SETTLED: frozenset({Mode.RUNNING, Mode.ROLLING_BACK, Mode.ROLLED_BACK}),
}
"""Which mode may follow which, in one decision; staying is always allowed."""

STAGE_STATES: Final[dict[StageState, frozenset[StageState]]] = {
    StageState.PREPARING: frozenset({StageState.SHIFTING}),
    StageState.SHIFTING: frozenset({StageState.TESTING}),
    StageState.TESTING: frozenset({StageState.ANALYZING}),
    StageState.ANALYZING: frozenset({StageState.AWAITING_APPROVAL, StageState.DONE}),
    StageState.AWAITING_APPROVAL: frozenset({StageState.DONE}),
    StageState.DONE: frozenset(),
}
"""Which state may follow which within a stage; after Done comes the next stage's Preparing, or the run's end."""


def mode_of(status: RolloutStatus) -> Mode:
    """Return what the Rollout is doing."""
    rollback = status.rollback
    if rollback is not None:
        if rollback.traffic_safe_at is not None:
            return Mode.ROLLED_BACK
        return Mode.ROLLING_BACK if rollback.to else Mode.STRANDED
    if status.stage is not None:
        return Mode.RUNNING
    return Mode.IDLE if status.stable is None else Mode.SETTLED


def may_follow(before: RolloutStatus, after: RolloutStatus) -> bool:
    """Say whether the second status may come right after the first: the modes' table, then the states'.

    A decision may take several steps within a stage at once, so a state may follow every state that leads to it.
    """
    old, new = mode_of(before), mode_of(after)
    if old is not new:
        return new in MODES[old]
    if new is not Mode.RUNNING or before.stage is None or after.stage is None:
        return True
    if before.run != after.run:
        return after.run == before.run + 1 and after.stage.index == 0
    if before.stage.index != after.stage.index:
        return after.stage.index > before.stage.index and after.stage.state in {
            StageState.PREPARING,
            StageState.SHIFTING,
        }
    return after.stage.state in _reachable(before.stage.state)


def _reachable(state: StageState) -> frozenset[StageState]:
    found = {state}
    for following in STAGE_STATES[state]:
        found |= _reachable(following)
    return frozenset(found)
