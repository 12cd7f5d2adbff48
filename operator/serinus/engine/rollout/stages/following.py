"""The stage after the present one, and whether a person must let the run into it."""

from serinus.api.quantities import NONE_OF_IT
from serinus.api.rollout import Approval, Stage
from serinus.engine.rollout.draft import Draft, PlannedSituation
from serinus.engine.rollout.modes import Running


def following_stage(draft: Draft, run: Running, situation: PlannedSituation) -> Stage | None:
    """Return the next stage; None where the run is at its last one."""
    index = following_index(draft, run, situation)
    return situation.plan.stages[index] if index is not None else None


def following_index(draft: Draft, run: Running, situation: PlannedSituation) -> int | None:
    """Return the next stage's index: without a stable version a share between 0 % and 100 % has no meaning."""
    stages = situation.plan.stages
    for index in range(run.stage.index + 1, len(stages)):
        if draft.status.stable is not None or stages[index].traffic == NONE_OF_IT or index == len(stages) - 1:
            return index
    return None


def needs_approval(draft: Draft, run: Running, situation: PlannedSituation) -> bool:
    """Return whether a person must let the run into the next stage, or into one that is passed over before it."""
    index = following_index(draft, run, situation)
    end = index + 1 if index is not None else 0
    return any(stage.approval is Approval.REQUIRED for stage in situation.plan.stages[run.stage.index + 1 : end])
