"""The composition root: settings in, a running operator out. The only module that knows every adapter."""

import asyncio
import gc
import logging
import platform
import socket
from contextlib import AsyncExitStack, nullcontext, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol, Self, assert_never

from serinus import __version__
from serinus.api.audit_record import OperatorIdentity
from serinus.api.names import ObjectKey
from serinus.artifacts.verifier import Verifier
from serinus.clock import SystemClock
from serinus.errors import ClusterTakenError, ConfigurationError, NotLeaderError, SerinusError
from serinus.kube.client import KubernetesClient
from serinus.kube.cluster import ApiCluster
from serinus.kube.events import ApiEvents
from serinus.kube.fence import fence_of
from serinus.kube.finalizers import ApiFinalizers
from serinus.kube.httpchecks import ServiceChecks
from serinus.kube.identity import cluster_identity
from serinus.kube.jobs.api import ApiJobs
from serinus.kube.kinds import Source
from serinus.kube.lease import LeadsForAll, LeaseElection
from serinus.kube.service_endpoints import ServiceEndpoints
from serinus.kube.shards import ShardLeases
from serinus.kube.stamp_probe import StampProbe
from serinus.kube.status import ApiStatusWriter
from serinus.metrics import PrometheusSource
from serinus.notifications import Notifications
from serinus.ports.acting import INSTALLATION
from serinus.ports.registry_store import RegistryStore
from serinus.ports.services import Leadership
from serinus.reconcile.assembly import assemble
from serinus.reconcile.ports import Ports
from serinus.registry.fenced import FencedStore
from serinus.registry.kubernetes.mirror import MirroringAuditLog
from serinus.registry.kubernetes.store import KubernetesStore
from serinus.registry.service import Registry
from serinus.routers import Routers, load_routers
from serinus.routers.managed_http_route import ManagedHttpRoutes
from serinus.settings import CheckpointSettings, RegistryKind, Settings
from serinus.source_settings import SourceSettings
from serinus.telemetry import Telemetry
from serinus.telemetry.server import Probes, serve

logger = logging.getLogger(__name__)

CHECKPOINTS_SHARD: Final = 0
"""Where there are several shards, the process that holds this one writes the checkpoints of all audit chains."""

HEARTBEAT_LIMIT: Final = 15.0
"""Seconds without a heartbeat after which /livez fails."""

_WATCHED_WITHIN: Final = 3.0
"""Seconds that the first list waits for the watch: a list that begins earlier is read once more after it."""

_GARBAGE: Final = (50_000, 20, 50)
"""By how many objects each generation grows before it is searched for garbage. A tick of a thousand canaries makes
hundreds of thousands of objects and no cycles among them: with Python's own 700 a quarter of its CPU time went into
searching them."""


@dataclass(slots=True)
class SoleLeader(LeadsForAll):
    """Always leads: for installations in which a second process can never run."""

    term: int

    @property
    def epoch(self) -> int:
        """The term number."""
        return self.term

    def outrank(self, epoch: int, _model: ObjectKey, /) -> None:
        """Raise the term above this epoch: there is nobody else whose it could be."""
        self.term = max(self.term, epoch + 1)

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

    @property
    def begun(self) -> asyncio.Event:
        """Set once every kind is watched."""

    @property
    def restarts(self) -> int:
        """How often it has ended by itself."""

    @property
    def working(self) -> bool:
        """Whether every kind is watched since it was last restarted."""


class LeadershipLostError(SerinusError):
    """This process must exit at once: another one may write now."""


class Operator:
    """One operator process."""

    def __init__(self, settings: Settings, client: KubernetesClient) -> None:
        """Put the parts together; nothing is sent yet."""
        self.settings = settings
        self._clock = SystemClock()
        self._telemetry = Telemetry()
        self._routers = load_routers(settings.routers)
        self._cluster = ApiCluster(client, settings.namespaces, self.route_sources)
        self._telemetry.build.labels(__version__, platform.python_version()).set(1)
        self._sources = {name: self._source(name, source) for name, source in settings.sources.items()}
        self._instance = settings.identity or socket.gethostname()
        self._watch: Watch | None = None
        self._events = ApiEvents(client, self._clock, self._instance)
        self._notifications = Notifications.over_http(
            settings.notifications, self._clock, self._telemetry, self._events
        )
        self._election = self._elect(client)
        self._shards = self._share(client)
        self._leadership: Leadership = self._shards or self._election or SoleLeader.since(self._clock.now())
        may_write = fence_of(self._leadership)
        tracking = self._shards.writing if self._shards is not None else nullcontext
        client.fence(may_write, tracking)
        self._registry = Registry(
            FencedStore(_registry_store(settings, client), may_write, tracking),
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
            rollout_series=settings.telemetry.rollout_series,
        )
        self.controller, self._takeover, self._exposition = assembly.controller, assembly.takeover, assembly.exposition

    def _source(self, name: str, settings: SourceSettings) -> PrometheusSource:
        self._telemetry.know_source(name)
        durations = self._telemetry.query_seconds
        return PrometheusSource(
            name, settings, on_query=lambda outcome, seconds: durations.labels(name, outcome).observe(seconds)
        )

    def _elect(self, client: KubernetesClient) -> LeaseElection | None:
        settings = self.settings
        if not settings.leader_election or settings.shards > 1:
            return None
        return LeaseElection(client, self._clock, self._lease, self._instance)

    def _share(self, client: KubernetesClient) -> ShardLeases | None:
        shards = self.settings.shards
        return ShardLeases(client, self._clock, self._lease, self._instance, shards) if shards > 1 else None

    @property
    def _lease(self) -> ObjectKey:
        return ObjectKey(self.settings.lease_namespace, self.settings.lease_name)

    def _ports(self, client: KubernetesClient) -> Ports:
        registry_elsewhere = self.settings.registry.kind is not RegistryKind.KUBERNETES
        return Ports(
            cluster=self._cluster,
            statuses=ApiStatusWriter(client),
            router=Routers(client, self._routers),
            managed_routes=ManagedHttpRoutes(client),
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
            notifier=self._notifications,
        )

    @property
    def route_sources(self) -> tuple[Source, ...]:
        """How the kinds of routes are watched that are switched on."""
        return tuple(router.source for router in self._routers)

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
                group.create_task(self._events.run())
                group.create_task(self._notifications.run())
                group.create_task(self._stamp.keep())
                if self.settings.audit.checkpoints is not None:
                    group.create_task(self._keep_checkpoints(self.settings.audit.checkpoints))
                await self._begin(watch, stack)
                group.create_task(self.controller.run(self.settings.resync.seconds))
                await self.controller.synced.wait()
                # What was listed stays: the garbage collector need not go through it again and again, which stops the
                # event loop for longer the more there is.
                gc.freeze()
                gc.set_threshold(*_GARBAGE)
                if self._shards is not None:
                    # With all objects known, so that a shard is decided about as soon as it is taken.
                    group.create_task(self._keep_shards(self._shards))

    async def _begin(self, watch: Watch, stack: AsyncExitStack) -> None:
        """Have the watch begin before the first list, which then need not be read twice."""
        await self._cluster.until_served()
        self._watch = watch
        watch.start()
        stack.push_async_callback(watch.stop)
        self._telemetry.watch_restarts.set_function(lambda: watch.restarts)
        self._telemetry.watch_works.set_function(lambda: watch.working)
        with suppress(TimeoutError):
            async with asyncio.timeout(_WATCHED_WITHIN):
                await watch.begun.wait()

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

        checkpoints = Checkpoints(settings, self._may_write_checkpoints)
        try:
            await keep_checkpoints(self._registry.store, checkpoints, self._clock, settings.interval.value)
        finally:
            await checkpoints.close()

    def _may_write_checkpoints(self) -> None:
        """Raise NotLeaderError where another process writes the checkpoints: of several shards, that of shard 0."""
        if self._shards is None:
            fence_of(self._leadership)()
        elif CHECKPOINTS_SHARD not in self._shards.held:
            raise NotLeaderError("another process writes the checkpoints")

    async def _keep_shards(self, shards: ShardLeases) -> None:
        await shards.run(self._takeover)
        raise LeadershipLostError("the Lease of a shard could not be renewed, or another process has taken it")

    async def _keep_leading(self, election: LeaseElection) -> None:
        await election.run()
        raise LeadershipLostError("another process leads now, or the Lease could not be renewed")

    def _live(self) -> bool:
        return (
            not self.controller.synced.is_set() or self._clock.monotonic() - self.controller.heartbeat < HEARTBEAT_LIMIT
        )

    def _ready(self) -> bool:
        """Return whether the cluster is listed and watched, or this is a standby whose Lease can be reached."""
        if self._watch is not None:
            return self.controller.synced.is_set() and self._watch.working
        return self._election is not None and self._election.reached

    def _leads(self) -> bool:
        return (
            bool(self._shards.held) if self._shards is not None else self._leadership.epoch_of(INSTALLATION) is not None
        )

    async def _metrics(self) -> bytes:
        self._telemetry.leader.set(self._leads())
        if self._shards is not None:
            held = self._shards.held
            for shard in range(self._shards.shards):
                self._telemetry.shards.labels(str(shard)).set(shard in held)
        return await self._exposition.render()


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
