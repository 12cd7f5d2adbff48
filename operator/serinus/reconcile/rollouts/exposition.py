"""The operator's own metrics at the time of a scrape: what is read off the cache, and what was counted meanwhile."""

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, assert_never

from serinus.api.rollout_status import Phase, Serving
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.share import ENOUGH_REQUESTS
from serinus.engine.rollout.traffic.facts import BackendKey, RouteFacts, backend_key
from serinus.engine.rollout.traffic.route_plan import AcceptanceState, accepted
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.observe import route_facts
from serinus.reconcile.workqueue import WorkQueue
from serinus.settings import RolloutSeries
from serinus.telemetry.rollout_series import RolloutExposition, RolloutFigures

AT_A_TIME: Final = 10
"""Rollouts that are written before the event loop has a turn: about a millisecond, so that no decision waits longer."""

_UNDER_WAY: Final = frozenset({Phase.PROGRESSING, Phase.PAUSED})
_NONE: Final = timedelta(0)


@dataclass(slots=True)
class _Totals:
    """Figures of all Rollouts together."""

    phases: Counter[Phase] = field(default_factory=Counter)
    verdicts: Counter[tuple[Verdict, Cause | None]] = field(default_factory=Counter)
    waiting: int = 0
    oldest: datetime | None = None

    def add(self, record: RolloutRecord) -> None:
        status = record.status
        self.phases[status.phase] += 1
        # What ended keeps its last evidence for people to read.
        for evidence in status.evidence if status.phase in _UNDER_WAY else ():
            self.verdicts[(evidence.verdict, evidence.cause)] += 1
        if status.records:
            self.waiting += len(status.records)
            oldest = min(audit_entry.at for audit_entry in status.records)
            self.oldest = oldest if self.oldest is None else min(oldest, self.oldest)


@dataclass(frozen=True, slots=True)
class Exposition:
    """Renders the metrics; works only while it does.

    Attributes:
        ports: the leadership, the clock and the telemetry.
        cache: the cluster's objects.
        tracker: knows the observed shares of the traffic.
        queues: the queues by lane.
        rollout_series: which Rollouts have series of their own.
    """

    ports: Ports
    cache: ClusterCache
    tracker: AnalysisTracker
    queues: Mapping[str, WorkQueue]
    rollout_series: RolloutSeries

    async def render(self) -> bytes:
        """Return the metrics in the text exposition format; the event loop has a turn every few Rollouts."""
        series, totals = RolloutExposition(self.ports.clock.now()), _Totals()
        handles = self.ports.leadership.handles
        for position, record in enumerate(self.cache.rollouts(), 1):
            if handles(record.model):
                totals.add(record)
                if self._has_series(record):
                    series.add(self._figures(record))
            if position % AT_A_TIME == 0:
                await asyncio.sleep(0)
        self._show(totals)
        parts = [self.ports.telemetry.render()]
        for part in series.parts():
            parts.append(part)
            await asyncio.sleep(0)
        return b"".join(parts)

    def _has_series(self, record: RolloutRecord) -> bool:
        match self.rollout_series:
            case RolloutSeries.ALL:
                return True
            case RolloutSeries.ACTIVE:
                return record.status.phase is not Phase.HEALTHY
            case RolloutSeries.NONE:
                return False
            case _:
                assert_never(self.rollout_series)

    def _show(self, totals: "_Totals") -> None:
        telemetry = self.ports.telemetry
        for kind, count in self.cache.counts().items():
            telemetry.objects.labels(kind).set(count)
        for lane, queue in self.queues.items():
            telemetry.queue_depth.labels(lane).set(len(queue))
        telemetry.show_phases(totals.phases, totals.verdicts)
        telemetry.records_waiting.set(totals.waiting)
        age = self.ports.clock.now() - totals.oldest if totals.oldest is not None else _NONE
        telemetry.oldest_record_age.set(max(_NONE, age).total_seconds())

    # ---- one Rollout ---------------------------------------------------------------------------

    def _figures(self, record: RolloutRecord) -> RolloutFigures:
        return RolloutFigures(record, accepted=dict(self._accepted(record)), observed=self._observed(record))

    def _accepted(self, record: RolloutRecord) -> Iterator[tuple[str, float]]:
        """Yield each role's share in the route, if all its gateways accept it as it is; foreign backends left out."""
        status = record.status
        facts = route_facts(self.cache, record)
        if not isinstance(facts, RouteFacts) or accepted(facts).state is not AcceptanceState.YES:
            return
        foreign = status.route.foreign if status.route is not None else ()
        weights: dict[BackendKey, int] = {}
        for entry in facts.entries:
            if not foreign or entry.key.label not in foreign:
                weights[entry.key] = weights.get(entry.key, 0) + entry.weight
        total = sum(weights.values())
        for role, serving in (("stable", status.stable), ("candidate", status.candidate)):
            key = _key(serving)
            if key is not None and total:
                yield role, weights.get(key, 0) / total

    def _observed(self, record: RolloutRecord) -> Mapping[str, float]:
        share, trial = self.tracker.share(record), record.status.candidate
        total = share.total
        # Copies are no share of the traffic: no user gets their answers.
        if total < ENOUGH_REQUESTS or (trial is not None and trial.mirror is not None):
            return {}
        candidate = share.candidate / total
        return {"stable": 1 - candidate, "candidate": candidate}


def _key(serving: Serving | None) -> BackendKey | None:
    return backend_key(serving.backend) if serving is not None and serving.backend is not None else None
