"""The sentences that an on-call engineer reads: what serves, what happened and why, what comes next.

Figures come from the status only, never from a fresher reading: a sentence that changes is a write.
"""

from datetime import datetime
from typing import assert_never

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Rollback, RolloutStatus, StageState
from serinus.engine.rollout.draft import Waiting
from serinus.engine.rollout.modes import Mode


def clock(at: datetime) -> str:
    """Write a time of day, UTC."""
    return f"{at:%H:%M:%SZ}"


def summary(mode: Mode, status: RolloutStatus, spec: RolloutSpec | None) -> str:
    """Return the whole story in a sentence or two."""
    match mode:
        case Mode.IDLE:
            return "No version serves yet."
        case Mode.SETTLED:
            return _settled(status, spec)
        case Mode.RUNNING:
            return _running(status, spec)
        case Mode.ROLLING_BACK:
            return _rolling_back(status)
        case Mode.STRANDED:
            return _stranded(status)
        case Mode.ROLLED_BACK:
            return _rolled_back(status)
        case _:
            assert_never(mode)


def _serving(status: RolloutStatus) -> str:
    if status.stable is None:
        return "No version serves yet"
    share = 100 - (status.candidate.weight if status.candidate is not None else 0)
    return f"Serving {status.stable.version} at {share:g}%"


def _settled(status: RolloutStatus, spec: RolloutSpec | None) -> str:
    assert status.stable is not None  # noqa: S101 - settled
    since = f"{status.stable.since:%Y-%m-%d %H:%M:%SZ}"
    wanted = f" Wanted is {spec.version}." if spec is not None and spec.version != status.stable.version else ""
    return f"Serving {status.stable.version} at 100% since {since}.{wanted}"


def _running(status: RolloutStatus, spec: RolloutSpec | None) -> str:
    candidate, stage = status.candidate, status.stage
    assert candidate is not None  # noqa: S101 - running
    assert stage is not None  # noqa: S101 - running
    of = f" {stage.index + 1} of {len(spec.stages)}" if spec is not None else ""
    where = f"stage{of}, {stage.name}: {stage.state.value}"
    figures = [f"{one.name} {one.value} (limit {one.threshold})" for one in status.evidence if one.value]
    evidence = f" {', '.join(figures)}." if figures else ""
    paused = f" Paused: {status.paused.reason}." if status.paused is not None else ""
    return f"{_serving(status)}, trying {candidate.version} at {candidate.weight:g}% ({where}).{evidence}{paused}"


def _why(rollback: Rollback) -> str:
    return f"{rollback.message.rstrip('.')} at {rollback.at_weight:g}% traffic."


def _rolling_back(status: RolloutStatus) -> str:
    rollback = status.rollback
    assert rollback is not None  # noqa: S101 - rolling back
    return f"Rolling back {rollback.version} to {rollback.to} since {clock(rollback.decided_at)}: {_why(rollback)}"


def _rolled_back(status: RolloutStatus) -> str:
    rollback = status.rollback
    assert rollback is not None  # noqa: S101 - rolled back
    return f"{_serving(status)}. {rollback.version} was rolled back at {clock(rollback.decided_at)}: {_why(rollback)}"


def _stranded(status: RolloutStatus) -> str:
    rollback = status.rollback
    assert rollback is not None  # noqa: S101 - stranded
    return (
        f"{rollback.version} IS BAD AND THERE IS NO VERSION TO GO BACK TO: it keeps {rollback.at_weight:g}%."
        f" Found at {clock(rollback.decided_at)}: {rollback.message}"
    )


def next_action(mode: Mode, status: RolloutStatus, spec: RolloutSpec | None, waiting: Waiting | None, name: str) -> str:
    """Return what happens next and who must act."""
    if waiting is not None and (mode is not Mode.ROLLED_BACK or waiting.reason != "Quarantined"):
        return waiting.message
    match mode:
        case Mode.IDLE:
            return "Waiting for the first run."
        case Mode.SETTLED:
            return "None."
        case Mode.RUNNING:
            return _next_of_run(status, spec)
        case Mode.ROLLING_BACK:
            return "Waiting for the gateway to accept the route; nothing is needed from you."
        case Mode.STRANDED:
            return (
                "ACT NOW: set spec.version to a good version, set spec.rollbackTo to one that serves, "
                f"or accept it with kubectl serinus retry {name}."
            )
        case Mode.ROLLED_BACK:
            bad = status.rollback.version if status.rollback is not None else ""
            return f"None. {bad} is not retried by itself: set spec.version, or run kubectl serinus retry {name}."
        case _:
            assert_never(mode)


def _next_of_run(status: RolloutStatus, spec: RolloutSpec | None) -> str:
    stage = status.stage
    if stage is None or spec is None or stage.state is not StageState.DONE:
        return "The run goes on by itself."
    return f"Stage {stage.name} is done; the run goes on by itself."
