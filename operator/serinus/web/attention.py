"""Which Rollouts a person should look at first. Pure."""

from enum import IntEnum
from typing import Final

from serinus.api.rollout_status import Phase, StageState


class Attention(IntEnum):
    """Why somebody should look at a Rollout; the smallest number is shown first."""

    FAILING = 0
    UNWATCHED = 1
    WAITS = 2
    ROLLING_BACK = 3
    ROLLED_BACK = 4
    MOVING = 5
    HEALTHY = 6

    @property
    def label(self) -> str:
        """The group in words."""
        return _LABELS[self]


_LABELS: Final = {
    Attention.FAILING: "requests fail now",
    Attention.UNWATCHED: "nobody watches it",
    Attention.WAITS: "waits for a person",
    Attention.ROLLING_BACK: "rolling back",
    Attention.ROLLED_BACK: "rolled back",
    Attention.MOVING: "in progress",
    Attention.HEALTHY: "healthy",
}


def attention_of(phase: str, stage_state: str, *, stalled: bool, backends_down: bool, unwatched: bool) -> Attention:
    """Return why somebody should look at a Rollout with this status; a phase that is not known waits for a person.

    Args:
        phase: ``status.phase``.
        stage_state: ``status.stage.state``; empty where no stage is under way.
        stalled: whether the condition Stalled is True.
        backends_down: whether the condition BackendsReady is False: a version with traffic has no ready endpoint.
        unwatched: whether the version on trial has not been judged for too long: does an operator run?
    """
    if backends_down:
        return Attention.FAILING
    if unwatched:
        return Attention.UNWATCHED
    if phase == Phase.ROLLING_BACK:
        return Attention.ROLLING_BACK
    if phase == Phase.ROLLED_BACK:
        return Attention.ROLLED_BACK
    if stalled or phase in {Phase.PAUSED, Phase.INVALID} or stage_state == StageState.AWAITING_APPROVAL:
        return Attention.WAITS
    if phase == Phase.HEALTHY:
        return Attention.HEALTHY
    return Attention.MOVING if phase in {Phase.PENDING, Phase.PROGRESSING} else Attention.WAITS
