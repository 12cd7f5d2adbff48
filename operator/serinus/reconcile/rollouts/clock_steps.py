"""Steps of the wall clock: noticed at the ticks of a metric source, and said on each Rollout that is in an analysis."""

import logging
import math
from datetime import datetime, timedelta
from typing import Final

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.analysis import text
from serinus.engine.rollout.decision import Event, EventReason
from serinus.engine.rollout.modes import Running, mode_of
from serinus.ports.acting import acting_for
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.stage_clocks import LEAST_STEP

EVENTS_A_SECOND: Final = 5
"""Half of what is written of all events (kube.events), so that those of a rollback never wait behind a thousand."""

logger = logging.getLogger(__name__)


class ClockSteps:
    """Compares the wall clock with the monotonic one at each tick of one source."""

    def __init__(self, ports: Ports, cache: ClusterCache, tracker: AnalysisTracker, source: str) -> None:
        """Begin with the clocks as they are."""
        self._ports = ports
        self._cache = cache
        self._tracker = tracker
        self._source = source
        self._at_once = math.ceil(EVENTS_A_SECOND * ports.sources[source].tick.total_seconds())
        self._unsaid: dict[ObjectKey, tuple[RolloutRecord, Event]] = {}
        self._offset = ports.clock.now().timestamp() - ports.clock.monotonic()

    def check(self, now: datetime, monotonic: float) -> None:
        """Have the evidence of the source's stages collected anew where the wall clock was set since the last tick.

        Args:
            now: the wall clock.
            monotonic: the monotonic clock at the same moment, in seconds.
        """
        offset = now.timestamp() - monotonic
        seconds, self._offset = offset - self._offset, offset
        if abs(seconds) <= LEAST_STEP:
            return
        step = timedelta(seconds=seconds)
        logger.warning("the clock was set by %+.1f s: source %s: evidence is collected anew", seconds, self._source)
        for key in self._tracker.clock_stepped(self._source, now):
            record = self._cache.rollout(key)
            event = _event(record.status, step, now) if record is not None else None
            if record is not None and event is not None:
                # What is still unsaid of an earlier step is replaced: there are never more than Rollouts.
                self._unsaid[key] = record, event

    async def say(self) -> None:
        """Publish some of the events that are due: a thousand at once would push others out of the queue."""
        for key in [*self._unsaid][: self._at_once]:
            record, event = self._unsaid.pop(key)
            leads = self._ports.leadership.epoch_of(record.model) is not None
            if leads and self._cache.uid_of(RolloutRecord, key) == record.meta.uid:
                with acting_for(record.model):
                    await self._ports.events.publish(record.meta, event)


def _event(status: RolloutStatus, step: timedelta, now: datetime) -> Event | None:
    """Return what a step means for a Rollout; None where no run of it is under way any more."""
    mode = mode_of(status)
    if not isinstance(mode, Running):
        return None
    direction = "forward" if step > timedelta(0) else "back"
    message = (
        f"Run {status.run}, {mode.candidate.version}: The operator's clock was set {direction} by "
        f"{text.span(abs(step))}, to {now:%Y-%m-%d %H:%M:%SZ}. The evidence of stage {mode.stage.name} is collected "
        "anew from then on; a breach is found within two ticks. The stage lasts as long as planned all the same."
    )
    return Event(EventReason.CLOCK_STEPPED, message, warning=True)
