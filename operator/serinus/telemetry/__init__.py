"""What the operator says of itself, in Prometheus' form; names follow prometheus.io/docs/practices/naming."""

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Gauge, Histogram, generate_latest


class Telemetry:
    """Counters and gauges of one process."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        """Register them; a test gives a registry of its own."""
        self._registry = registry
        self.objects = Gauge("serinus_objects", "Objects known, by kind.", ["kind"], registry=registry)
        self.phases = Gauge("serinus_rollouts", "Rollouts by phase.", ["phase"], registry=registry)
        self.leader = Gauge("serinus_leader", "1 while this process leads.", registry=registry)
        self.decisions = Histogram(
            "serinus_decide_duration_seconds",
            "Time that one decision takes.",
            buckets=(0.00001, 0.00002, 0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.01),
            registry=registry,
        )
        self.writes = Counter("serinus_api_writes_total", "Writes to the API server.", ["what"], registry=registry)
        self.failures = Counter("serinus_reconcile_errors_total", "Looks that failed.", ["reason"], registry=registry)
        self.rollbacks = Counter("serinus_rollbacks_total", "Rollbacks begun.", ["reason"], registry=registry)
        self.rollback_seconds = Histogram(
            "serinus_rollback_duration_seconds",
            "From the decision to the gateway's acceptance.",
            buckets=(0.1, 0.25, 0.5, 1, 2, 5, 10, 30, 60),
            registry=registry,
        )
        self.ticks = Counter(
            "serinus_metric_ticks_total", "Times that a metric source was asked.", ["source"], registry=registry
        )
        self.tick_seconds = Histogram(
            "serinus_metric_tick_duration_seconds", "Time that one tick takes.", ["source"], registry=registry
        )
        self.resyncs = Counter("serinus_resyncs_total", "Complete listings of all kinds.", registry=registry)
        self.records = Counter(
            "serinus_audit_records_total", "Records that the registry has taken.", ["event"], registry=registry
        )
        self.record_failures = Counter(
            "serinus_audit_record_failures_total", "Times that the registry took no record.", registry=registry
        )
        self.records_waiting = Gauge(
            "serinus_audit_records_waiting", "Records that wait in Rollouts' status.", registry=registry
        )
        self.watch_restarts = Gauge(
            "serinus_watch_restarts", "Times that the watch ended by itself.", registry=registry
        )

    def render(self) -> bytes:
        """Return the text that a scrape gets."""
        return generate_latest(self._registry)
