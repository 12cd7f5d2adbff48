"""The sentences that an on-call engineer reads: what serves, what happened and why, what comes next.

Figures come from the status only, never from a fresher reading: a sentence that changes is a write.
"""

from typing import assert_never

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Rollback, RolloutStatus, StageState
from serinus.engine.analysis.text import clock
from serinus.engine.rollout.modes import Idle, Mode, RolledBack, RollingBack, Running, Settled, Stranded
from serinus.engine.rollout.waiting import Waiting, WaitReason


def summary(mode: Mode, status: RolloutStatus, spec: RolloutSpec | None) -> str:
    """Return the whole story in a sentence or two."""
    match mode:
        case Idle():
            return "No version serves yet."
        case Settled():
            return _settled(mode, spec)
        case Running():
            return _running(mode, status, spec)
        case RollingBack(rollback=rollback):
            since = clock(rollback.decided_at)
            return f"Rolling back {rollback.version} to {rollback.to} since {since}: {_why(rollback)}"
        case Stranded(rollback=rollback):
            return (
                f"{rollback.version} IS BAD AND THERE IS NO VERSION TO GO BACK TO: it keeps {rollback.at_weight:g}%."
                f" Found at {clock(rollback.decided_at)}: {rollback.message}"
            )
        case RolledBack(rollback=rollback):
            at = clock(rollback.decided_at)
            return f"{_serving(status)}. {rollback.version} was rolled back at {at}: {_why(rollback)}"
        case _:
            assert_never(mode)


def _serving(status: RolloutStatus) -> str:
    if status.stable is None:
        return "No version serves yet"
    share = 100 - (status.candidate.weight if status.candidate is not None else 0)
    return f"Serving {status.stable.version} at {share:g}%"


def _settled(mode: Settled, spec: RolloutSpec | None) -> str:
    stable = mode.stable
    since = f"{stable.since:%Y-%m-%d %H:%M:%SZ}"
    wanted = f" Wanted is {spec.version}." if spec is not None and spec.version != stable.version else ""
    return f"Serving {stable.version} at 100% since {since}.{wanted}"


def _running(mode: Running, status: RolloutStatus, spec: RolloutSpec | None) -> str:
    candidate, stage = mode.candidate, mode.stage
    of = f" {stage.index + 1} of {len(spec.stages)}" if spec is not None else ""
    where = f"stage{of}, {stage.name}: {stage.state.value}"
    figures = [f"{one.name} {one.value} (limit {one.threshold})" for one in status.evidence if one.value]
    evidence = f" {', '.join(figures)}." if figures else ""
    paused = f" Paused: {status.paused.reason}." if status.paused is not None else ""
    return f"{_serving(status)}, trying {candidate.version} at {candidate.weight:g}% ({where}).{evidence}{paused}"


def _why(rollback: Rollback) -> str:
    return f"{rollback.message.rstrip('.')} at {rollback.at_weight:g}% traffic."


def next_action(mode: Mode, spec: RolloutSpec | None, waiting: Waiting | None, name: str) -> str:
    """Return what happens next and who must act."""
    if waiting is not None and not (isinstance(mode, RolledBack) and waiting.reason is WaitReason.QUARANTINED):
        return waiting.message
    match mode:
        case Idle():
            return "Waiting for the first run."
        case Settled():
            return "None."
        case Running():
            return _next_of_run(mode, spec)
        case RollingBack():
            return "Waiting for the gateway to accept the route; nothing is needed from you."
        case Stranded():
            return (
                "ACT NOW: set spec.version to a good version, set spec.rollbackTo to one that serves, "
                f"or accept it with kubectl serinus retry {name}."
            )
        case RolledBack(rollback=rollback):
            retry = f"set spec.version, or run kubectl serinus retry {name}."
            return f"None. {rollback.version} is not retried by itself: {retry}"
        case _:
            assert_never(mode)


def _next_of_run(mode: Running, spec: RolloutSpec | None) -> str:
    if spec is None or mode.stage.state is not StageState.DONE:
        return "The run goes on by itself."
    return f"Stage {mode.stage.name} is done; the run goes on by itself."
