"""The run time of stages where the wall clock is set: what it is set forward by is no time that a stage has run.

Statuses hold wall-clock times, since only those survive a restart. A step is noticed at each decision, so that none is
taken on a stage's time that has not passed; the correction is stored with the held time of the stage.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from msgspec import structs

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import CurrentStage, RolloutStatus
from serinus.ports.cluster_state import RolloutRecord
from serinus.ports.services import Clock
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.stage_analysis import StageId, visit_of

LEAST_STEP: Final = 1.0
"""Seconds by which the wall clock may leave the monotonic one between two readings: NTP slews it by 0.5 ms a second."""


@dataclass(slots=True)
class _Moved:
    """What steps have done to one visit to a stage, in seconds.

    Attributes:
        visit: which one.
        by: all steps together, those back as negative ones.
        most: the largest that this has been, at least 0: so much is corrected.
        held: the held time that the stored status had; another one shows that the correction was stored.
        owed: what the held time must be corrected by.
    """

    visit: StageId
    by: float = 0.0
    most: float = 0.0
    held: float = 0.0
    owed: float = 0.0


class StageClocks:
    """Corrects the statuses of the stages under way by the steps of this process's wall clock."""

    def __init__(self, cache: ClusterCache, clock: Clock) -> None:
        """Compare the clocks from the first decision on."""
        self._cache = cache
        self._clock = clock
        self._epoch: int | None = None
        self._offset = 0.0
        self._moved: dict[ObjectKey, _Moved] = {}

    def status_of(self, record: RolloutRecord, now: datetime, epoch: int) -> RolloutStatus:
        """Return the status to decide on: the stored one, with a correction that it does not have yet.

        Args:
            record: the Rollout as it is stored.
            now: the wall clock.
            epoch: the leader's term: what happened to the clock before it is of no concern to it.
        """
        self._check(now, epoch)
        moved = self._moved.get(record.meta.key)
        stage = record.status.stage
        if moved is None or not moved.owed or stage is None:
            return record.status
        if visit_of(record) != moved.visit or stage.held_seconds != moved.held:
            moved.owed = 0.0
            return record.status
        return structs.replace(record.status, stage=_corrected(stage, moved.owed))

    def forget(self, key: ObjectKey) -> None:
        """Forget a Rollout that is gone."""
        self._moved.pop(key, None)

    def _check(self, now: datetime, epoch: int) -> None:
        offset = now.timestamp() - self._clock.monotonic()
        step, self._offset = offset - self._offset, offset
        if epoch != self._epoch:
            self._epoch = epoch
            self._moved.clear()
        elif abs(step) > LEAST_STEP:
            for record in self._cache.rollouts():
                self._move(record, step)

    def _move(self, record: RolloutRecord, step: float) -> None:
        key, visit, stage = record.meta.key, visit_of(record), record.status.stage
        moved = self._moved.get(key)
        if visit is None or stage is None:
            self._moved.pop(key, None)
            return
        if moved is None or moved.visit != visit:
            moved = self._moved[key] = _Moved(visit)
        if stage.held_since is not None:
            return  # The step is part of the held time already.
        if stage.held_seconds != moved.held:
            moved.held, moved.owed = stage.held_seconds, 0.0
        # A clock that is set back and forth again has taken nothing from the stage. What was corrected stays so: a
        # stage may last longer, but a verdict of the safety lane must hold on the stored status as well.
        moved.by += step
        moved.owed += max(0.0, moved.by - moved.most)
        moved.most = max(moved.most, moved.by)


def _corrected(stage: CurrentStage, seconds: float) -> CurrentStage:
    return structs.replace(
        stage,
        held_seconds=stage.held_seconds + seconds,
        state_held_seconds=stage.state_held_seconds + seconds,
    )
