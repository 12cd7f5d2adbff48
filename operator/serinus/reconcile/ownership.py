"""Which Rollouts this process decides about, and in which term: those whose model's shard it holds.

The model of a Rollout can be edited. Then another process is in charge from one moment to the next, and the former one
may not have seen the edit yet. So a Rollout that comes from another shard is left alone for as long as a Lease lasts.
"""

from datetime import timedelta
from typing import Final

from serinus.api.names import ObjectKey
from serinus.ports.acting import INSTALLATION
from serinus.ports.cluster_state import RolloutRecord
from serinus.ports.services import Clock, Leadership
from serinus.reconcile.cache import ClusterCache

WAIT: Final = 15.0
"""Seconds."""

_TICK: Final = timedelta(milliseconds=1)


class Ownership:
    """Answers for one process."""

    def __init__(self, leadership: Leadership, cache: ClusterCache, clock: Clock) -> None:
        """Ask this leadership about the Rollouts in this cache."""
        self._leadership = leadership
        self._cache = cache
        self._clock = clock
        self._arrived: dict[ObjectKey, float] = {}

    @property
    def term(self) -> int | None:
        """The term of this process as a whole; None where it does not take part in the work."""
        return self._leadership.epoch_of(INSTALLATION)

    def handles(self, key: ObjectKey) -> bool:
        """Return whether a Rollout is this process's concern, as is one that is not in the cache (any more)."""
        if self._leadership.handles_all:
            return True
        record = self._cache.rollout(key)
        return record is None or self._leadership.handles(record.model)

    def epoch_of(self, record: RolloutRecord) -> int | None:
        """Return the term in which this process decides about a Rollout; None where it does not, or not yet."""
        return None if self.due_in(record.meta.key) is not None else self._leadership.epoch_of(record.model)

    def epoch_now(self, record: RolloutRecord) -> int | None:
        """Return the same for a Rollout that a decision was based on, by its model as it is known now."""
        known = self._cache.rollout(record.meta.key)
        return self.epoch_of(known if known is not None and known.meta.uid == record.meta.uid else record)

    def due_in(self, key: ObjectKey) -> timedelta | None:
        """Return for how long a Rollout that came from another shard is left alone; None where it is not."""
        arrived = self._arrived.get(key)
        if arrived is None:
            return None
        left = arrived + WAIT - self._clock.monotonic()
        if left > 0:
            # Not a moment too early: it would be asked for again at once.
            return timedelta(seconds=left) + _TICK
        del self._arrived[key]
        return None

    def note(self, before: RolloutRecord | None, after: RolloutRecord) -> None:
        """Note a new version of a Rollout: its model may be another one, of another shard."""
        if before is None or self._leadership.handles_all or before.model == after.model:
            return
        if not self._leadership.handles(before.model):
            self._arrived[after.meta.key] = self._clock.monotonic()
