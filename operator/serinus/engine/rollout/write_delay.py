"""How long a status may wait to be written, so that what changes within moments is written once."""

from datetime import UTC, datetime, timedelta
from typing import Final

from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.rollout_status import EvidenceStatus, Phase, RolloutStatus, StageState
from serinus.api.verdict import Verdict
from serinus.engine.rollout.decision import Decision
from serinus.engine.rollout.intervals import REFRESH
from serinus.engine.rollout.modes import Running, mode_of
from serinus.engine.rollout.waiting import WaitReason

CHANGE: Final = timedelta(seconds=2)
"""For a new state of the stage, a new phase or reason, and a condition that has turned."""

WORDING: Final = timedelta(seconds=10)
"""For sentences and figures; where each has a stored figure less than a minute old, and none is worse, until it is."""

_NOW: Final = timedelta(0)
_NO_TIME: Final = datetime.min.replace(tzinfo=UTC)
_BEFORE_ANALYSIS: Final = frozenset({StageState.PREPARING, StageState.SHIFTING, StageState.TESTING})


def write_delay(before: RolloutStatus, decision: Decision) -> timedelta:
    """Return how long a status may wait, counted from when it first differed from the stored one.

    A crash meanwhile is a crash before the write, after which the same decision comes again. So only what is shown of
    a run may wait. What the next decision rests on, or a record tells of, is written at once: weights, commands,
    outcomes of tests, the time since when a stage is judged or held, a rollback, the beginning and the end of a run.

    Args:
        before: the stored status.
        decision: what has been decided on it.
    """
    after = decision.status
    if after == before:
        return _NOW
    run, earlier = mode_of(after), mode_of(before)
    if not isinstance(run, Running) or not isinstance(earlier, Running) or decision.requeue_after == _NOW:
        return _NOW
    if decision.events or _facts(after, run) != _facts(before, earlier):
        return _NOW
    told = (after.phase, _reason(after)) != (before.phase, _reason(before))
    turned = told or _conditions(after) != _conditions(before)
    if turned or run.stage.state is not earlier.stage.state:
        return CHANGE
    figures = after.evidence != before.evidence and not _is_worse(before.evidence, after.evidence)
    return REFRESH if figures and _is_fresh(before.evidence, after.evidence) else WORDING


def _reason(status: RolloutStatus) -> str:
    """Return the reason, without the one that every stage has in its first seconds: nothing has been counted yet."""
    return WaitReason.ANALYZING.value if status.reason == WaitReason.NO_TRAFFIC.value else status.reason


def _is_worse(before: tuple[EvidenceStatus, ...], after: tuple[EvidenceStatus, ...]) -> bool:
    """Return whether a condition does not pass any more that the stored status shows as passed."""
    passed = {one.condition for one in before if one.verdict is Verdict.PASS}
    return any(one.condition in passed and one.verdict is not Verdict.PASS for one in after)


def _is_fresh(before: tuple[EvidenceStatus, ...], after: tuple[EvidenceStatus, ...]) -> bool:
    """Return whether every condition has a stored figure, and they are less than a minute older than the new ones."""
    newest = max((one.at for one in after), default=_NO_TIME)
    return not _have_come(before, after) and any(-REFRESH < newest - one.at < REFRESH for one in before)


def _have_come(before: tuple[EvidenceStatus, ...], after: tuple[EvidenceStatus, ...]) -> bool:
    """Return whether a condition has its first figure: the stored evidence may be of the moment before any came."""
    silent = {one.condition for one in before if not one.value}
    return any(one.condition in silent and one.value for one in after)


def _conditions(status: RolloutStatus) -> frozenset[tuple[str, str]]:
    """Return what is true and false; that nothing is known yet, or figures have come, is no change to act on."""
    known = ((one.type, one.status) for one in status.conditions if one.type != ConditionType.METRICS_AVAILABLE)
    lost = ((one.type, one.status) for one in status.conditions if one.status is ConditionStatus.FALSE)
    return frozenset((*known, *lost))


def _facts(status: RolloutStatus, run: Running) -> RolloutStatus:
    """Return the status without what is only shown."""
    stage = run.stage
    if stage.state in _BEFORE_ANALYSIS:
        stage = structs.replace(
            stage, state=StageState.SHIFTING, state_since=_NO_TIME, held_seconds=0.0, state_held_seconds=0.0
        )
    return structs.replace(
        status,
        phase=Phase.PROGRESSING,
        phase_since=None,
        reason="",
        summary="",
        next_action="",
        evidence=(),
        traffic=(),
        conditions=(),
        # New ones are counted; those that the registry has go with the next write.
        records=(),
        stage=stage,
    )
