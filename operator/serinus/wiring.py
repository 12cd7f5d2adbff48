"""The composition root: settings in, a running operator out. The only module that knows every adapter."""

import asyncio
import logging
import socket
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, Self, assert_never

from serinus import __version__
from serinus.api.audit_record import OperatorIdentity
from serinus.api.names import ObjectKey
from serinus.artifacts.verifier import Verifier
from serinus.clock import SystemClock
from serinus.errors import ClusterTakenError, ConfigurationError, SerinusError
from serinus.kube.client import KubernetesClient
from serinus.kube.cluster import ApiCluster
from serinus.kube.events import ApiEvents
from serinus.kube.fence import fence_of
from serinus.kube.finalizers import ApiFinalizers
from serinus.kube.httpchecks import ServiceChecks
from serinus.kube.identity import cluster_identity
from serinus.kube.jobs import ApiJobs
from serinus.kube.lease import LeaseElection
from serinus.kube.service_endpoints import ServiceEndpoints
from serinus.kube.stamp_probe import StampProbe
from serinus.kube.status import ApiStatusWriter
from serinus.metrics import PrometheusSource
from serinus.ports.registry_store import RegistryStore
from serinus.ports.services import Leadership
from serinus.reconcile.assembly import assemble
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.ports import Ports
from serinus.registry.fenced import FencedStore
from serinus.registry.kubernetes.mirror import MirroringAuditLog
from serinus.registry.kubernetes.store import KubernetesStore
from serinus.registry.service import Registry
from serinus.routers import load_router
from serinus.settings import CheckpointSettings, RegistryKind, Settings
from serinus.telemetry import Telemetry
from serinus.telemetry.server import Probes, serve

logger = logging.getLogger(__name__)

ROUTER: Final = "httpRoute"
"""The entry point of the router that ``spec.route.httpRoute`` needs."""

HEARTBEAT_LIMIT: Final = 15.0
"""Seconds without a heartbeat after which /livez fails."""


@dataclass(slots=True)
class SoleLeader:
    """Always leads: for installations in which a second process can never run."""

    epoch: int | None

    def outrank(self, epoch: int) -> None:
        """Raise the term above this epoch: there is nobody else whose it could be."""
        self.epoch = max(self.epoch or 0, epoch + 1)

    @classmethod
    def since(cls, start: datetime) -> Self:
        """Return the leadership of a process that started now; a later one has a higher epoch."""
        return cls(int((start - datetime(2020, 1, 1, tzinfo=UTC)).total_seconds()))


class Watch(Protocol):
    """The watch of the cluster; see handlers.watcher."""

    def start(self) -> None:
        """Start watching, in the event loop that runs now."""

    async def stop(self) -> None:
        """Stop watching."""


class LeadershipLostError(SerinusError):
    """This process must exit at once: another one may write now."""


class Operator:
    """One operator process."""

    def __init__(self, settings: Settings, client: KubernetesClient) -> None:
        """Put the parts together; nothing is sent yet."""
        self.settings = settings
        self._clock = SystemClock()
        self._telemetry = Telemetry()
        self._sources = {name: PrometheusSource(name, source) for name, source in settings.sources.items()}
        self._instance = settings.identity or socket.gethostname()
        self._events = ApiEvents(client, self._clock, self._instance)
        self._election = self._elect(client)
        self._leadership: Leadership = self._election or SoleLeader.since(self._clock.now())
        may_write = fence_of(self._leadership)
        client.fence(may_write)
        self._registry = Registry(
            FencedStore(_registry_store(settings, client), may_write),
            self._clock,
            OperatorIdentity(version=__version__, instance=self._instance),
        )
        self._verifier = Verifier(settings.artifacts)
        where = next((name for name in settings.namespaces if name != "*"), settings.lease_namespace)
        self._stamp = StampProbe(client, where, configured=settings.actor_stamped)
        assembly = assemble(
            self._ports(client),
            verification=settings.artifacts.verification,
            actor_stamped=lambda: self._stamp.works,
            workers=settings.writers,
            job_tests=settings.job_tests,
        )
        self._cache, self.controller = assembly.cache, assembly.controller

    def _elect(self, client: KubernetesClient) -> LeaseElection | None:
        settings = self.settings
        if not settings.leader_election:
            return None
        key = ObjectKey(settings.lease_namespace, settings.lease_name)
        return LeaseElection(client, self._clock, key, self._instance)

    def _ports(self, client: KubernetesClient) -> Ports:
        registry_elsewhere = self.settings.registry.kind is not RegistryKind.KUBERNETES
        return Ports(
            cluster=ApiCluster(client, self.settings.namespaces),
            statuses=ApiStatusWriter(client),
            router=load_router(ROUTER)(client),
            finalizers=ApiFinalizers(client),
            jobs=ApiJobs(client),
            http_checks=ServiceChecks(ServiceEndpoints(client, client.host)),
            events=self._events,
            sources=self._sources,
            audit_log=MirroringAuditLog(self._registry, client) if registry_elsewhere else self._registry,
            verifier=self._verifier,
            leadership=self._leadership,
            clock=self._clock,
            telemetry=self._telemetry,
        )

    @property
    def namespaces(self) -> tuple[str, ...]:
        """The watched namespaces; empty for the whole cluster."""
        return self.settings.namespaces

    async def run(self, watch: Watch) -> None:
        """Serve the probes, run for leader, and lead until cancelled or until the leadership is lost."""
        probes = Probes(live=self._live, ready=self._ready, metrics=self._metrics)
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(serve(probes, self.settings.http_host, self.settings.http_port))
            for source in self._sources.values():
                stack.push_async_callback(asyncio.to_thread, source.close)
            stack.push_async_callback(self._registry.store.close)
            stack.push_async_callback(asyncio.to_thread, self._verifier.close)
            async with asyncio.TaskGroup() as group:
                group.create_task(self._check_cluster_name())
                if self._election is not None:
                    group.create_task(self._keep_leading(self._election))
                    await self._election.elected()
                self._telemetry.leader.set(1)
                group.create_task(self._events.run())
                group.create_task(self._stamp.keep())
                if self.settings.audit.checkpoints is not None:
                    group.create_task(self._keep_checkpoints(self.settings.audit.checkpoints))
                group.create_task(self.controller.run(self.settings.resync.seconds))
                await self.controller.synced.wait()
                watch.start()
                stack.push_async_callback(watch.stop)

    async def _check_cluster_name(self) -> None:
        """End the process where another cluster has this one's name; a registry that is down holds nothing up."""
        try:
            await self._registry.store.check_owner()
        except ClusterTakenError as problem:
            raise ConfigurationError(str(problem)) from problem
        except SerinusError as problem:
            logger.warning("the cluster's name could not be checked yet: %s", problem)

    async def _keep_checkpoints(self, settings: CheckpointSettings) -> None:
        # boto3 takes a second to load, and most installations do without.
        from serinus.audit.checkpoint_writer import Checkpoints, keep_checkpoints  # noqa: PLC0415

        checkpoints = Checkpoints(settings, fence_of(self._leadership))
        try:
            await keep_checkpoints(self._registry.store, checkpoints, self._clock, settings.interval.value)
        finally:
            await checkpoints.close()

    async def _keep_leading(self, election: LeaseElection) -> None:
        await election.run()
        raise LeadershipLostError("another process leads now, or the Lease could not be renewed")

    def _live(self) -> bool:
        return (
            not self.controller.synced.is_set() or self._clock.monotonic() - self.controller.heartbeat < HEARTBEAT_LIMIT
        )

    def _ready(self) -> bool:
        """Return whether the cluster has been listed, or this is a standby whose Lease can be reached."""
        return self.controller.synced.is_set() or (self._election is not None and self._election.reached)

    def _metrics(self) -> bytes:
        self._telemetry.leader.set(self._leadership.epoch is not None)
        for kind, count in self._cache.counts().items():
            self._telemetry.objects.labels(kind).set(count)
        self._telemetry.records_waiting.set(sum(len(record.status.records) for record in self._cache.rollouts()))
        for phase, count in _phases(self._cache).items():
            self._telemetry.phases.labels(phase).set(count)
        return self._telemetry.render()


def _registry_store(settings: Settings, client: KubernetesClient) -> RegistryStore:
    match settings.registry.kind:
        case RegistryKind.KUBERNETES:
            return KubernetesStore(client, namespaces=settings.namespaces)
        case RegistryKind.DYNAMODB:
            # boto3 takes a second to load, and most installations do without.
            from serinus.registry.dynamodb.client import connect  # noqa: PLC0415
            from serinus.registry.dynamodb.store import DynamoDbStore  # noqa: PLC0415

            # Not probed: an operator whose registry is down must still be able to roll back.
            dynamodb = settings.registry.dynamodb
            return DynamoDbStore(dynamodb, connect(dynamodb), identify=cluster_identity(client))
        case _:
            assert_never(settings.registry.kind)


def _phases(cache: ClusterCache) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for record in cache.rollouts():
        counts[record.status.phase.value] = counts.get(record.status.phase.value, 0) + 1
    return counts
