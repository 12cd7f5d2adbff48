"""The Rollouts whose status cannot be read: said again and again, for nothing else is done for them."""

import logging
from datetime import timedelta
from typing import Final

from serinus.api.names import ObjectKey
from serinus.engine.rollout.decision import Decision, Event
from serinus.ports.cluster_state import RolloutRecord
from serinus.ports.services import Clock
from serinus.telemetry import Telemetry

REPORT_EVERY: Final = timedelta(minutes=5)
"""Between two events of one problem: the API server keeps events for an hour, and the Rollout stays as it is."""

logger = logging.getLogger(__name__)


class UnreadableStatuses:
    """Remembers which problem was reported when."""

    def __init__(self, clock: Clock, telemetry: Telemetry) -> None:
        """Begin empty."""
        self._clock = clock
        self._telemetry = telemetry
        self._reported: dict[ObjectKey, tuple[str, float]] = {}

    def events(self, record: RolloutRecord, decision: Decision) -> tuple[Event, ...]:
        """Return the decision's events where the problem is new or was last reported a while ago; else none."""
        key = record.meta.key
        known = self._reported.get(key)
        if known is not None and known[0] == record.status_problem and self.due_in(key) > timedelta(0):
            return ()
        self._reported[key] = (record.status_problem, self._clock.monotonic())
        self._telemetry.failures.labels("StatusUnreadable").inc()
        logger.error("%s: its status cannot be read and nothing is done for it: %s", key, record.status_problem)
        return decision.events

    def due_in(self, key: ObjectKey) -> timedelta:
        """Return when the problem is to be reported again."""
        _, at = self._reported[key]
        return max(timedelta(0), REPORT_EVERY - timedelta(seconds=self._clock.monotonic() - at))

    def forget(self, key: ObjectKey) -> None:
        """Forget a Rollout that is gone."""
        self._reported.pop(key, None)
