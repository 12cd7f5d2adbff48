"""Whether the operator still watches a version that has traffic. A stopped operator leaves a status that looks well."""

from datetime import datetime, timedelta
from typing import Final

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import CurrentStage, RolloutStatus, StageState
from serinus.engine.analysis.text import clock, span
from serinus.engine.rollout.intervals import REFRESH
from serinus.engine.rollout.waiting import WaitReason

_MISSED: Final = 3
"""The figures of a stage are renewed once a minute; two of these may be late on a busy API server."""

_OVERDUE_AFTER: Final = REFRESH
"""A stage whose time is over passes, or says what it lacks, within a tick."""


def silent_since(spec: RolloutSpec | None, status: RolloutStatus, now: datetime) -> datetime | None:
    """Return since when a stage that is watched has not been judged (UTC); None where it is, or none is under way."""
    stage = status.stage
    if stage is None or stage.state is not StageState.ANALYZING or status.rollback is not None:
        return None
    judged = [one.at for one in status.evidence]
    interval = spec.metrics.interval if spec is not None else None
    last = max((stage.state_since, *judged))
    late = bool(judged) and is_long_ago(last, interval.value if interval is not None else None, now)
    return last if late or _is_overdue(spec, stage, status, now) else None


def is_long_ago(last: datetime, interval: timedelta | None, now: datetime) -> bool:
    """Return whether the conditions of a stage should have been judged again since.

    Args:
        last: when they were judged, or the stage began (UTC).
        interval: ``spec.metrics.interval``; None where the plan leaves it to the operator.
        now: in UTC.
    """
    return now - last > _MISSED * max(REFRESH, interval or REFRESH)


def _is_overdue(spec: RolloutSpec | None, stage: CurrentStage, status: RolloutStatus, now: datetime) -> bool:
    """Return whether the stage's time is over, and the status still says that it lasts."""
    if spec is None or stage.index >= len(spec.stages) or status.reason != WaitReason.ANALYZING.value:
        return False
    return stage.elapsed_in_state(now) > spec.stages[stage.index].watch.value + _OVERDUE_AFTER


def silence(spec: RolloutSpec | None, status: RolloutStatus, now: datetime) -> str:
    """Say that nobody seems to watch the version on trial, and what to do; empty where it is watched."""
    since, trial = silent_since(spec, status, now), status.candidate
    if since is None or trial is None:
        return ""
    return (
        f"Nothing has been judged since {clock(since)} ({span(now - since)} ago): is the operator running? Until then "
        f"{trial.version} keeps {trial.weight:g}% and nothing rolls it back. Run serinus check."
    )
