"""The operator's own Prometheus metrics; names follow prometheus.io/docs/practices/naming."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Telemetry:
    """Counters and gauges of one process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Register all metrics; tests pass their own registry."""
        self._registry = registry
        self.objects = Gauge("serinus_objects", "Cached objects by kind.", ["kind"], registry=registry)
        self.phases = Gauge("serinus_rollouts", "Rollouts by phase.", ["phase"], registry=registry)
        self.leader = Gauge("serinus_leader", "1 while this process leads.", registry=registry)
        self.decisions = Histogram(
            "serinus_decide_duration_seconds",
            "Duration of one decision.",
            buckets=(0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.01),
            registry=registry,
        )
        self.writes = Counter("serinus_api_writes_total", "Writes to the API server.", ["what"], registry=registry)
        self.failures = Counter("serinus_reconcile_errors_total", "Failed reconciles.", ["reason"], registry=registry)
        self.rollbacks = Counter("serinus_rollbacks_total", "Rollbacks started.", ["reason"], registry=registry)
        self.rollback_seconds = Histogram(
            "serinus_rollback_duration_seconds",
            "Time from the decision until the gateway accepts the weights.",
            buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60),
            registry=registry,
        )
        self.ticks = Counter(
            "serinus_metric_ticks_total", "Ticks in which a metric source was queried.", ["source"], registry=registry
        )
        self.tick_seconds = Histogram(
            "serinus_metric_tick_duration_seconds", "Duration of one tick.", ["source"], registry=registry
        )
        self.resyncs = Counter("serinus_resyncs_total", "Complete relists of all kinds.", registry=registry)
        self.records = Counter(
            "serinus_audit_records_total", "Audit records accepted by the registry.", ["event"], registry=registry
        )
        self.record_failures = Counter(
            "serinus_audit_record_failures_total", "Failed attempts to deliver an audit record.", registry=registry
        )
        self.records_waiting = Gauge(
            "serinus_audit_records_waiting", "Audit records waiting in the status of Rollouts.", registry=registry
        )
        self.watch_restarts = Gauge(
            "serinus_watch_restarts", "Restarts of the watch after it ended unexpectedly.", registry=registry
        )

    def render(self) -> bytes:
        """Return the metrics in the text exposition format."""
        return generate_latest(self._registry)
