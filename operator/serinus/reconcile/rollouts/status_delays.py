"""Since when the statuses of Rollouts differ from the stored ones, for those that may wait to be written."""

from datetime import timedelta

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.decision import Decision
from serinus.engine.rollout.write_delay import write_delay


class StatusDelays:
    """Remembers one time for each Rollout whose status waits; a restart begins anew."""

    def __init__(self) -> None:
        """Begin with none."""
        self._since: dict[ObjectKey, tuple[RolloutStatus, float]] = {}

    def left(self, key: ObjectKey, stored: RolloutStatus, decision: Decision, now: float) -> timedelta:
        """Return how long the decision's status still waits; zero where it is to be written now.

        ``now`` is monotonic, in seconds.
        """
        delay = write_delay(stored, decision)
        if not delay:
            self.forget(key)
            return delay
        before, since = self._since.get(key, (None, now))
        if before != stored:
            since = now
            self._since[key] = stored, now
        left = timedelta(seconds=since - now) + delay
        if left <= timedelta(0):
            self.forget(key)
            return timedelta(0)
        return left

    def forget(self, key: ObjectKey) -> None:
        """Drop what is remembered of a Rollout."""
        self._since.pop(key, None)
