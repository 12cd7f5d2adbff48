"""The operator's own Prometheus metrics; names follow prometheus.io/docs/practices/naming.

Counters and histograms are kept here while the operator works. What can be read off its caches at the time of a scrape
is not kept at all: see :mod:`serinus.telemetry.rollout_series` for what each Rollout has.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serinus.api.rollout_status import Phase, RollbackReason, RunResult
from serinus.api.verdict import Cause, Verdict

SAFETY, ORDINARY, VERSIONS = "safety", "ordinary", "versions"
LANES: Final = (SAFETY, ORDINARY, VERSIONS)
"""The label ``lane``: writes towards safety; every other reconcile of a Rollout; ModelVersions."""

QUERY_OUTCOMES: Final = ("ok", "partial", "refused", "unavailable", "timeout")
"""The label ``outcome`` of a query: only ``ok`` gives an answer."""

_FAST: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds: a reconcile, a query, a wait in a queue."""

_SAFE: Final = (0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60)
"""Seconds until traffic is safe; 2 s and 60 s are where the objective and the alert are."""

_RUN: Final = (60, 300, 900, 1800, 3600, 7200, 14_400, 28_800, 86_400, 172_800, 604_800)


class AuditWrite(StrEnum):
    """What came of a write of an audit record."""

    ACCEPTED = "accepted"
    FAILED = "failed"


class Telemetry:
    """The metrics of one process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Register all metrics; tests pass their own registry."""
        self._registry = registry
        self._register_process(registry)
        self._register_work(registry)
        self._register_rollouts(registry)
        self._register_sources(registry)
        self._register_audit(registry)
        self._register_notifications(registry)

    def _register_process(self, registry: CollectorRegistry) -> None:
        self.build = Gauge(
            "serinus_build_info", "1; the labels say which version runs.", ["version", "python"], registry=registry
        )
        self.leader = Gauge("serinus_leader", "1 while this process leads.", registry=registry)
        self.shards = Gauge(
            "serinus_shard_held", "1 while this process holds the shard, else 0.", ["shard"], registry=registry
        )
        self.objects = Gauge("serinus_objects", "Cached objects by kind.", ["kind"], registry=registry)
        self.watch_restarts = Gauge(
            "serinus_watch_restarts", "Restarts of the watch after it ended unexpectedly.", registry=registry
        )
        self.watch_works = Gauge(
            "serinus_watch_works", "1 while every kind is watched, else 0; a standby watches none.", registry=registry
        )
        self.resyncs = Counter("serinus_resyncs_total", "Complete relists of all kinds.", registry=registry)

    def _register_work(self, registry: CollectorRegistry) -> None:
        self.decisions = Histogram(
            "serinus_decide_duration_seconds",
            "Duration of one decision.",
            buckets=(0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.01),
            registry=registry,
        )
        self.reconciles = Histogram(
            "serinus_reconcile_duration_seconds",
            "Duration of one reconcile, its writes included.",
            ["lane"],
            buckets=_FAST,
            registry=registry,
        )
        self.failures = Counter("serinus_reconcile_errors_total", "Failed reconciles.", ["reason"], registry=registry)
        self.writes = Counter("serinus_api_writes_total", "Writes to the API server.", ["what"], registry=registry)
        self.queue_depth = Gauge(
            "serinus_queue_depth", "Rollouts, or models, that wait for a worker.", ["lane"], registry=registry
        )
        self.queue_waits = Histogram(
            "serinus_queue_wait_seconds",
            "Time that one waited for a worker.",
            ["lane"],
            buckets=_FAST,
            registry=registry,
        )
        for lane in LANES:
            # Present from the start: a rate needs a first value of 0.
            self.reconciles.labels(lane)
            self.queue_waits.labels(lane)

    def _register_rollouts(self, registry: CollectorRegistry) -> None:
        self.phases = Gauge("serinus_rollouts_by_phase", "Rollouts by phase.", ["phase"], registry=registry)
        self.verdicts = Gauge(
            "serinus_analysis_verdicts",
            "Conditions of runs under way by their last verdict; cause says why one is Unknown.",
            ["verdict", "cause"],
            registry=registry,
        )
        self.checks = Counter(
            "serinus_analysis_checks_total",
            "Judgements of conditions that a status shows: at each new verdict, and once a minute.",
            ["metric", "verdict"],
            registry=registry,
        )
        self.runs = Counter("serinus_rollouts_total", "Ended runs.", ["outcome"], registry=registry)
        self.run_seconds = Histogram(
            "serinus_rollout_duration_seconds", "Length of ended runs.", ["outcome"], buckets=_RUN, registry=registry
        )
        self.rollbacks = Counter("serinus_rollbacks_total", "Rollbacks started.", ["reason"], registry=registry)
        self.rollback_seconds = Histogram(
            "serinus_rollback_duration_seconds",
            "Time from the decision until the gateway accepts the weights.",
            buckets=_SAFE,
            registry=registry,
        )
        self.breach_seconds = Histogram(
            "serinus_breach_to_safe_seconds",
            "Time from the answer of Prometheus that shows a breach until the gateway accepts the weights.",
            buckets=_SAFE,
            registry=registry,
        )
        self.drift_corrections = Counter(
            "serinus_weight_drift_corrections_total",
            "Weights that somebody else changed, put right.",
            registry=registry,
        )
        for reason in RollbackReason:
            self.rollbacks.labels(reason.value)
        for result in RunResult:
            self.runs.labels(result.value)
            self.run_seconds.labels(result.value)

    def _register_sources(self, registry: CollectorRegistry) -> None:
        self.ticks = Counter(
            "serinus_metric_ticks_total", "Ticks in which a metric source was queried.", ["source"], registry=registry
        )
        self.tick_seconds = Histogram(
            "serinus_metric_tick_duration_seconds", "Duration of one tick.", ["source"], registry=registry
        )
        self.query_seconds = Histogram(
            "serinus_prometheus_request_duration_seconds",
            "Duration of one query of a metric source, by what came of it.",
            ["source", "outcome"],
            buckets=_FAST,
            registry=registry,
        )

    def _register_audit(self, registry: CollectorRegistry) -> None:
        self.audit_writes = Counter(
            "serinus_audit_writes_total",
            "Audit records that the registry has accepted, and failed attempts to deliver one.",
            ["result"],
            registry=registry,
        )
        for outcome in AuditWrite:
            self.audit_writes.labels(outcome.value)
        self.records_waiting = Gauge(
            "serinus_audit_records_waiting", "Audit records waiting in the status of Rollouts.", registry=registry
        )
        self.oldest_record_age = Gauge(
            "serinus_audit_oldest_record_age_seconds",
            "Age of the oldest audit record that waits, 0 where none does.",
            registry=registry,
        )

    def _register_notifications(self, registry: CollectorRegistry) -> None:
        self.notifications = Counter(
            "serinus_notifications_total",
            "Notifications by receiver: delivered, failed (given up), dropped (its queue was full).",
            ["receiver", "result"],
            registry=registry,
        )
        self.notifications_queued = Gauge(
            "serinus_notifications_queued", "Notifications waiting for a receiver.", ["receiver"], registry=registry
        )
        self.receiver_up = Gauge(
            "serinus_notification_receiver_up",
            "0 while a receiver of notifications fails, else 1.",
            ["receiver"],
            registry=registry,
        )

    def know_source(self, source: str) -> None:
        """Show every outcome of this source's queries from the start: an alert on failures needs a first value."""
        for outcome in QUERY_OUTCOMES:
            self.query_seconds.labels(source, outcome)

    def show_phases(self, phases: Mapping[Phase, int], verdicts: Mapping[tuple[Verdict, Cause | None], int]) -> None:
        """Show how many Rollouts are in each phase, and conditions have each verdict: 0 for what none has any more."""
        for phase in Phase:
            self.phases.labels(phase.value).set(phases.get(phase, 0))
        for verdict, cause in VERDICTS:
            self.verdicts.labels(verdict.value, cause.value if cause else "").set(verdicts.get((verdict, cause), 0))

    def render(self) -> bytes:
        """Return the metrics in the text exposition format."""
        return generate_latest(self._registry)


VERDICTS: Final = (
    (Verdict.PASS, None),
    (Verdict.BREACH, None),
    *((Verdict.UNKNOWN, cause) for cause in Cause),
)
"""Every verdict with every cause."""
