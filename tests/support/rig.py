"""The whole operator on fakes, put together by the same function as in the wiring, with nothing real outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from typing import Any

from prometheus_client import CollectorRegistry

from serinus.api.audit_record import AuditEvent, OperatorIdentity
from serinus.api.model import Verification
from serinus.api.modelversion import ModelVersionStatus
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase, RolloutStatus
from serinus.engine.analysis.measurements import Question
from serinus.ports.cluster_state import ModelRecord, NamespaceRecord, RolloutRecord
from serinus.ports.notifications import NoReceivers, Notifier
from serinus.reconcile.assembly import assemble
from serinus.reconcile.ports import Ports
from serinus.registry.service import Registry
from serinus.telemetry import Telemetry
from support.fake_source import FakeSource
from support.fakes import (
    FakeAuditLog,
    FakeChecks,
    FakeCluster,
    FakeEvents,
    FakeFinalizers,
    FakeJobs,
    FakeLeadership,
    FakeManagedRoutes,
    FakeRouter,
    FakeStatusWriter,
    FakeVerifier,
)
from support.records import (
    NAMESPACE,
    endpoints,
    key,
    model_record,
    model_version,
    namespace_record,
    rollout,
    route,
    spec_for,
)
from support.renamed import renamed
from support.virtual_loop import LoopClock, until


class Rig:
    """One operator process and the cluster around it; a second rig on the same cluster is its successor."""

    def __init__(
        self,
        cluster: FakeCluster | None = None,
        source: FakeSource | None = None,
        *,
        epoch: int = 7,
        notifier: Notifier | None = None,
    ) -> None:
        self.cluster = cluster if cluster is not None else FakeCluster()
        self.source = source if source is not None else FakeSource()
        self.source.share = self._share
        self.leadership, self.clock = FakeLeadership(epoch), LoopClock()
        self.router, self.jobs = FakeRouter(self.cluster), FakeJobs(self.cluster)
        self.managed_routes = FakeManagedRoutes(self.cluster)
        self.finalizers = FakeFinalizers(self.cluster)
        self.statuses, self.events = FakeStatusWriter(self.cluster), FakeEvents(self.cluster)
        self.checks, self.verifier = FakeChecks(), FakeVerifier()
        self.telemetry = Telemetry(CollectorRegistry())
        self.stamped = True
        self.registry = Registry(
            self.cluster.registry, self.clock, OperatorIdentity(version="test", instance=f"rig-{epoch}")
        )
        self.audit_log = FakeAuditLog(self.registry)
        ports = Ports(
            cluster=self.cluster,
            statuses=self.statuses,
            router=self.router,
            managed_routes=self.managed_routes,
            finalizers=self.finalizers,
            jobs=self.jobs,
            http_checks=self.checks,
            events=self.events,
            sources={"default": self.source},
            audit_log=self.audit_log,
            verifier=self.verifier,
            leadership=self.leadership,
            clock=self.clock,
            telemetry=self.telemetry,
            notifier=notifier if notifier is not None else NoReceivers(),
        )
        assembly = assemble(ports, verification=Verification.OFF, actor_stamped=lambda: self.stamped, workers=4)
        self.cache, self.queue, self.background = assembly.cache, assembly.queue, assembly.background
        self.model_versions, self.reconciler = assembly.model_versions, assembly.reconciler
        self.controller, self.memory, self.takeover = assembly.controller, assembly.memory, assembly.takeover
        self.exposition = assembly.exposition

    def model(
        self,
        name: str = "fraud",
        *stages: dict[str, Any],
        version: str = "2.0.0",
        registered: bool = False,
        **fields: Any,
    ) -> RolloutRecord:
        """Put a model into the cluster: 1.0.0 serves, a Rollout wants another version.

        The operator registers both, unless they were ``registered`` before it started.
        """
        put = self.cluster.put
        if (type(namespace_record()), ObjectKey("", NAMESPACE)) not in self.cluster.objects:
            put(namespace_record())
        if (ModelRecord, key(name)) not in self.cluster.objects:
            put(model_record(name))
        for known in ("1.0.0", version):
            record = model_version(known, name)
            status = ModelVersionStatus(spec_hash=record.spec_hash, recorded=(AuditEvent.VERSION_REGISTERED.value,))
            put(replace(record, status=status) if registered else record)
            put(endpoints(name, known))
        put(route(name))
        stored = put(rollout(name, spec_for(name, version, *stages), **fields))
        assert isinstance(stored, RolloutRecord)
        return stored

    async def canaries(self, *names: str) -> None:
        """Bring one model into its canary stage, then put as many more into the cluster that are where it is."""
        self.model()
        async with self.running():
            await self.reaches_canary()
            await until(lambda: not self.status().records, why="its records to be delivered")
        mine = [record for record in self.cluster.objects.values() if not isinstance(record, NamespaceRecord)]
        for name in names:
            for record in mine:
                self.cluster.put(renamed(record, "fraud", name))

    def _share(self, question: Question) -> float:
        """What a gateway that honours the weights gives the backend now."""
        subject = question.subject
        entries = self.cluster.route(ObjectKey(subject.namespace, subject.model)).rules[0].entries
        mine = sum(entry.weight for entry in entries if entry.key.name == subject.backend.name)
        return mine / sum(entry.weight for entry in entries)

    @asynccontextmanager
    async def running(self, resync_every: float = 300.0) -> AsyncIterator["Rig"]:
        """Run the loop and its watch for as long as the context lasts."""
        self.cluster.follow(self.controller.on_change, self.controller.on_delete)
        task = asyncio.create_task(self.controller.run(resync_every))
        synced = asyncio.create_task(self.controller.synced.wait())
        await asyncio.wait({task, synced}, return_when=asyncio.FIRST_COMPLETED)
        try:
            yield self
            assert not task.done(), "the loop has ended by itself"
        finally:
            self.background.cancel()
            self.model_versions._verification.cancel()
            task.cancel()
            synced.cancel()
            with suppress(asyncio.CancelledError):
                await task

    def status(self, name: str = "fraud") -> RolloutStatus:
        return self.cluster.rollout(key(name)).status

    def weight(self, version: str, name: str = "fraud") -> int | None:
        return self.cluster.weight(key(name), f"{name}-v{version.replace('.', '-')}")

    async def reaches(self, phase: Phase, name: str = "fraud", within: float = 3600.0) -> None:
        await until(lambda: self.status(name).phase is phase, why=f"{name} to be {phase}", within=within)

    async def reaches_stage(self, stage: str, name: str = "fraud", within: float = 3600.0) -> None:
        def there() -> bool:
            current = self.status(name).stage
            return current is not None and current.name == stage

        await until(there, why=f"{name} to reach {stage}", within=within)

    async def reaches_canary(self, name: str = "fraud") -> None:
        """The canary stage, and its weight in the route."""
        await self.reaches_stage("canary", name)
        await until(lambda: (self.weight("2.0.0", name) or 0) > 0, why="the canary's weight")

    def published(self, name: str = "fraud") -> dict[str, tuple[str, str]]:
        """The stage and the traffic of each version, as its status shows them."""
        return {version.version: (version.stage, version.traffic) for version in self.cache.versions(NAMESPACE, name)}
