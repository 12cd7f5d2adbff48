"""The Rollouts whose status cannot be read: said again and again, for nothing else is done for them."""

import logging
from datetime import timedelta
from typing import Final

from serinus.api.names import ObjectKey
from serinus.engine.rollout.decision import Decision, Event
from serinus.ports.cluster_state import RolloutRecord
from serinus.ports.services import Clock
from serinus.telemetry import Telemetry

SAID_EVERY: Final = timedelta(minutes=5)
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
        key, now = record.meta.key, self._clock.monotonic()
        problem, at = self._reported.get(key, ("", now))
        if problem == record.status_problem and now - at < SAID_EVERY.total_seconds():
            return ()
        self._reported[key] = (record.status_problem, now)
        self._telemetry.failures.labels("StatusUnreadable").inc()
        logger.error("%s: its status cannot be read and nothing is done for it: %s", key, record.status_problem)
        return decision.events

    def forget(self, key: ObjectKey) -> None:
        """Forget a Rollout that is gone."""
        self._reported.pop(key, None)
