"""What a Rollout is doing, as a type derived from its status, and every transition between these types.

Nothing branches on ``status.phase``: the mode is derived from the facts in the status, the phase from the mode.
docs/reference/state-diagram.md is generated from the two tables.
"""

from dataclasses import dataclass
from typing import Final

from serinus.api.rollout import RolloutSpec, Stage
from serinus.api.rollout_status import CurrentStage, Rollback, RolloutStatus, Serving, StageState


@dataclass(frozen=True, slots=True)
class Idle:
    """Nothing serves yet and no run has begun."""


@dataclass(frozen=True, slots=True)
class Running:
    """A candidate passes through the stages.

    Attributes:
        candidate: the version on trial.
        stage: where the run is, as the status has it.
        planned: the same stage in the spec; None where the spec cannot be read or has no such stage any more.
    """

    candidate: Serving
    stage: CurrentStage
    planned: Stage | None


@dataclass(frozen=True, slots=True)
class RollingBack:
    """The weights of the rollback are decided; the gateway has not accepted them yet."""

    rollback: Rollback


@dataclass(frozen=True, slots=True)
class Stranded:
    """The candidate is bad and there is no version to go back to.

    ``stage`` is where the run was; None where the status does not tell.
    """

    rollback: Rollback
    candidate: Serving
    stage: CurrentStage | None


@dataclass(frozen=True, slots=True)
class RolledBack:
    """The gateway has accepted that the bad version has no traffic."""

    rollback: Rollback


@dataclass(frozen=True, slots=True)
class Settled:
    """The stable version serves and no run is under way."""

    stable: Serving


Mode = Idle | Running | RollingBack | Stranded | RolledBack | Settled

MODES: Final[dict[type[Mode], frozenset[type[Mode]]]] = {
    Idle: frozenset({Running, Settled}),
    Running: frozenset({Idle, RollingBack, Stranded, RolledBack, Settled}),
    RollingBack: frozenset({RolledBack}),
    Stranded: frozenset({Idle, RollingBack, RolledBack, Running, Settled}),
    RolledBack: frozenset({Idle, Running, RollingBack, Settled}),
    Settled: frozenset({Running, RollingBack, RolledBack}),
}
"""Which mode may follow which, in one decision; staying is always allowed."""

STAGE_STATES: Final[dict[StageState, frozenset[StageState]]] = {
    StageState.PREPARING: frozenset({StageState.SHIFTING}),
    StageState.SHIFTING: frozenset({StageState.TESTING}),
    StageState.TESTING: frozenset({StageState.WARMING_UP, StageState.ANALYZING}),
    StageState.WARMING_UP: frozenset({StageState.ANALYZING}),
    StageState.ANALYZING: frozenset({StageState.AWAITING_APPROVAL, StageState.DONE}),
    StageState.AWAITING_APPROVAL: frozenset({StageState.DONE}),
    StageState.DONE: frozenset({StageState.AWAITING_APPROVAL}),
}
"""Which state may follow which within a stage; after Done comes the next stage's Preparing, or the run's end.

It comes after approval again where the plan has changed before the next stage could be entered.
"""


def mode_of(status: RolloutStatus, spec: RolloutSpec | None = None) -> Mode:
    """Return what the Rollout is doing; ``spec`` only adds the planned stage of a run."""
    rollback, candidate, stage = status.rollback, status.candidate, status.stage
    if rollback is not None:
        if rollback.traffic_safe_at is not None:
            return RolledBack(rollback)
        if candidate is None or candidate.weight == 0:
            return RollingBack(rollback)
        return Stranded(rollback, candidate, stage)
    if stage is not None and candidate is not None:
        return Running(candidate, stage, stage_of(spec, stage))
    return Settled(status.stable) if status.stable is not None else Idle()


def stage_of(spec: RolloutSpec | None, current: CurrentStage | None) -> Stage | None:
    """Return the spec's stage that a run is in; None where the spec has no such stage any more."""
    if spec is None or current is None or current.index >= len(spec.stages):
        return None
    stage = spec.stages[current.index]
    return stage if stage.name == current.name else None


def may_follow(before: RolloutStatus, after: RolloutStatus) -> bool:
    """Return whether the second status may come right after the first: the modes' table, then the states'.

    A decision may take several steps within a stage at once, so a state may follow every state that leads to it.
    """
    old, new = mode_of(before), mode_of(after)
    if type(old) is not type(new):
        return type(new) in MODES[type(old)]
    if not isinstance(old, Running) or not isinstance(new, Running):
        return True
    if before.run != after.run:
        return after.run == before.run + 1 and new.stage.index == 0
    if old.stage.index != new.stage.index:
        entered = {StageState.PREPARING, StageState.SHIFTING}
        return new.stage.index > old.stage.index and new.stage.state in entered
    return new.stage.state in _reachable(old.stage.state)


def _reachable(state: StageState) -> frozenset[StageState]:
    found, added = frozenset({state}), STAGE_STATES[state]
    while not added <= found:
        found |= added
        added = frozenset().union(*(STAGE_STATES[one] for one in found))
    return found
