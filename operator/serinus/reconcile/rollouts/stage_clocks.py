"""The run time of stages when the wall clock is set: a stage lasts neither shorter nor longer for that.

Statuses hold wall-clock times, since only those survive a restart. A step is noticed at each decision, so that none is
taken on a stage's time that has not passed; the correction is stored with the held time of the stage. The times of a
status are those of the decision that it was written for, which may be older than a step that is noticed while the write
is under way.
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
from serinus.reconcile.rollouts.stage_analysis import StageId, visit_in

LEAST_STEP: Final = 1.0
"""Seconds by which the wall clock may leave the monotonic one between two readings: NTP slews it by 0.5 ms a second."""

_DECIDED: Final = 4
"""How many decisions about one Rollout may wait to be stored: a write that failed may have been carried out."""


@dataclass(frozen=True, slots=True)
class _Times:
    """The times of a stage in a status, as far as steps of the clock concern them."""

    visit: StageId
    held_since: datetime | None
    held_seconds: float


@dataclass(frozen=True, slots=True)
class _Decided:
    """By what the clock had been set when times were decided, and what of that is corrected in them, in seconds."""

    set_by: float
    corrected: float


@dataclass(slots=True)
class _Visit:
    """What steps have done to one visit to a stage, in seconds; those back are negative.

    Attributes:
        times: as they are stored.
        began: what the clock had been set by when the visit began.
        hold_began: the same of the hold that lasts; None without one.
        in_holds: the steps during holds that are over: they are part of the held time already.
        corrected: what of the other steps the stored status has.
    """

    times: _Times
    began: float
    hold_began: float | None
    in_holds: float = 0.0
    corrected: float = 0.0

    def lengthened(self, set_by: float) -> float:
        """Return by how much the steps make the stage's run time longer than it is."""
        return set_by - self.began - self.in_holds - self._in_hold(set_by)

    def stored(self, times: _Times, decided: _Decided) -> None:
        """Take in that other times of the same visit are stored."""
        if times.held_since != self.times.held_since:
            self.in_holds += self._in_hold(decided.set_by)
            self.hold_began = decided.set_by if times.held_since is not None else None
        self.times, self.corrected = times, decided.corrected

    def _in_hold(self, set_by: float) -> float:
        return set_by - self.hold_began if self.hold_began is not None else 0.0


class StageClocks:
    """Corrects the statuses of the stages under way by the steps of this process's wall clock."""

    def __init__(self, cache: ClusterCache, clock: Clock) -> None:
        """Compare the clocks from the first decision on."""
        self._cache = cache
        self._clock = clock
        self._epoch: int | None = None
        self._offset = 0.0
        self._set_by = 0.0
        self._visits: dict[ObjectKey, _Visit] = {}
        self._decided: dict[ObjectKey, dict[_Times, _Decided]] = {}

    def check(self, now: datetime, epoch: int) -> float:
        """Take in a step of the clock since the last decision; return what the clock has been set by, in seconds.

        Args:
            now: the wall clock.
            epoch: the process's term: what happened to the clock before it is of no concern to it.
        """
        offset = now.timestamp() - self._clock.monotonic()
        step, self._offset = offset - self._offset, offset
        if epoch != self._epoch:
            self._epoch = epoch
            self._visits.clear()
            self._decided.clear()
        elif abs(step) > LEAST_STEP:
            # A stage under way that nobody has decided about yet began before this step.
            for record in self._cache.rollouts():
                self._visit(record, self._set_by)
            self._set_by += step
        return self._set_by

    def status_of(self, record: RolloutRecord, set_by: float) -> RolloutStatus:
        """Return the status to decide on: the stored one, with a correction that it does not have yet.

        Args:
            record: the Rollout as it is stored.
            set_by: what the clock had been set by at the time that is decided for, from ``check``.
        """
        visit, stage = self._visit(record, set_by), record.status.stage
        if visit is None or stage is None:
            return record.status
        owed = visit.lengthened(set_by) - visit.corrected
        return structs.replace(record.status, stage=_corrected(stage, owed)) if owed else record.status

    def decided(self, record: RolloutRecord, status: RolloutStatus, set_by: float) -> None:
        """Remember when the times of a status were decided that may be stored later.

        Args:
            record: the Rollout that it was decided on, by the status that ``status_of`` has returned.
            status: what was decided.
            set_by: as for ``status_of``.
        """
        if status.stage == record.status.stage:
            return
        times, visit = _times_of(record, status), self._visits.get(record.meta.key)
        if times is None or (visit is not None and times == visit.times):
            return
        corrected = visit.lengthened(set_by) if visit is not None and visit.times.visit == times.visit else 0.0
        waiting = self._decided.setdefault(record.meta.key, {})
        waiting.setdefault(times, _Decided(set_by, corrected))
        if len(waiting) > _DECIDED:
            del waiting[next(iter(waiting))]

    def forget(self, key: ObjectKey) -> None:
        """Forget a Rollout that is gone."""
        self._visits.pop(key, None)
        self._decided.pop(key, None)

    def _visit(self, record: RolloutRecord, set_by: float) -> _Visit | None:
        """Return the visit that a stored status is in, by its times.

        Args:
            record: the Rollout as it is stored.
            set_by: what the clock had been set by, where this process has not decided the times.
        """
        key, times = record.meta.key, _times_of(record, record.status)
        if times is None:
            self.forget(key)
            return None
        visit = self._visits.get(key)
        if visit is not None and visit.times == times:
            return visit
        decided = self._decided.pop(key, {}).get(times)
        if visit is not None and visit.times.visit == times.visit:
            visit.stored(times, decided or _Decided(set_by, visit.lengthened(set_by)))
            return visit
        began = decided.set_by if decided is not None else set_by
        visit = self._visits[key] = _Visit(times, began, began if times.held_since is not None else None)
        return visit


def _times_of(record: RolloutRecord, status: RolloutStatus) -> _Times | None:
    visit, stage = visit_in(status, record.meta.uid), status.stage
    return _Times(visit, stage.held_since, stage.held_seconds) if visit is not None and stage is not None else None


def _corrected(stage: CurrentStage, seconds: float) -> CurrentStage:
    return structs.replace(
        stage,
        held_seconds=stage.held_seconds + seconds,
        state_held_seconds=stage.state_held_seconds + seconds,
    )
