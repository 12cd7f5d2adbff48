"""The adapters that the reconcilers work with, one field for each port."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from serinus.ports.notifications import NoReceivers, Notifier
from serinus.ports.services import (
    ArtifactVerifier,
    AuditLog,
    Clock,
    Cluster,
    Events,
    Finalizers,
    HttpChecks,
    Jobs,
    Leadership,
    ManagedRoutes,
    MetricSource,
    StatusWriter,
    TrafficRouter,
)
from serinus.telemetry import Telemetry


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """Everything outside the process that the reconcilers read or write.

    Attributes:
        cluster: reads the cluster's objects.
        statuses: writes their status.
        router: writes the traffic weights.
        managed_routes: makes the routes that Rollouts own.
        finalizers: puts our finalizer on Rollouts and takes it off.
        jobs: creates the Jobs of tests.
        http_checks: sends the requests of HTTP tests.
        events: publishes Kubernetes Events.
        notifier: sends notifications to receivers outside the cluster.
        sources: the metric sources, by the administrator's names.
        audit_log: appends to the registry.
        verifier: verifies artifacts.
        leadership: whether this process may write.
        clock: the time.
        telemetry: the operator's own metrics.
    """

    cluster: Cluster
    statuses: StatusWriter
    router: TrafficRouter
    managed_routes: ManagedRoutes
    finalizers: Finalizers
    jobs: Jobs
    http_checks: HttpChecks
    events: Events
    sources: Mapping[str, MetricSource]
    audit_log: AuditLog
    verifier: ArtifactVerifier
    leadership: Leadership
    clock: Clock
    telemetry: Telemetry
    notifier: Notifier = field(default_factory=NoReceivers)
