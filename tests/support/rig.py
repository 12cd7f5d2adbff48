"""The whole operator on fakes, put together as the wiring does it, with nothing real outside."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

from prometheus_client import CollectorRegistry

from serinus.api.audit_record import OperatorIdentity
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase, RolloutStatus
from serinus.engine.analysis.measurements import Question
from serinus.ports.cluster_state import ModelRecord, RolloutRecord
from serinus.ports.services import MetricSource
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.modelversions.controller import ModelVersionController, Outside
from serinus.reconcile.modelversions.stage_writer import StageWriter
from serinus.reconcile.rollouts.act import Hands
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.controller import RolloutController
from serinus.reconcile.rollouts.http_tests import HttpTestRunner
from serinus.reconcile.rollouts.outbox_relay import OutboxRelay
from serinus.reconcile.rollouts.reconciler import Shell
from serinus.registry.service import Registry
from serinus.telemetry import Telemetry
from support.fake_source import FakeSource
from support.fakes import (
    FakeChecks,
    FakeCluster,
    FakeEvents,
    FakeJobs,
    FakeLeadership,
    FakeLedger,
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
from support.virtual_loop import LoopClock, until


class Rig:
    """One operator process and the cluster around it; a second rig on the same cluster is its successor."""

    def __init__(self, cluster: FakeCluster | None = None, source: FakeSource | None = None, *, epoch: int = 7) -> None:
        self.cluster = cluster if cluster is not None else FakeCluster()
        self.source = source if source is not None else FakeSource()
        self.source.share = self._share
        self.leadership = FakeLeadership(epoch)
        self.router, self.jobs = FakeRouter(self.cluster), FakeJobs(self.cluster)
        self.statuses, self.events = FakeStatusWriter(self.cluster), FakeEvents(self.cluster)
        self.checks, self.store, self.clock = FakeChecks(), ClusterCache(), LoopClock()
        self.telemetry = Telemetry(CollectorRegistry())
        sources: dict[str, MetricSource] = {"default": self.source}
        self.tracker = AnalysisTracker(self.store, sources)
        self.desk = HttpTestRunner(self.checks)
        hands = Hands(
            self.router,
            self.jobs,
            self.desk,
            lambda owner, action: self.loop.begin_http_test(owner, action),  # noqa: PLW0108 - the loop is made later
            lambda record: self.loop.on_change(record),  # noqa: PLW0108 - likewise
        )
        self.registry = Registry(
            self.cluster.registry, self.clock, OperatorIdentity(version="test", instance=f"rig-{epoch}")
        )
        self.ledger, self.verifier = FakeLedger(self.registry), FakeVerifier()
        self.reviews = AdmissionCache(self.store)
        self.relay = OutboxRelay(
            self.ledger,
            self.store,
            self.telemetry,
            start=lambda work: self.loop.begin(work),  # noqa: PLW0108 - the loop is made later
            look=lambda one: self.loop.look(one),  # noqa: PLW0108 - likewise
        )
        outside = Outside(self.ledger, self.statuses, self.verifier, self.leadership, self.clock, self.telemetry)
        self.versiondesk = ModelVersionController(
            self.store,
            self.reviews,
            outside,
            actor_stamped=True,
            look=lambda model: self.loop.look_at_model(model),  # noqa: PLW0108 - likewise
        )
        self.shell = Shell(
            store=self.store,
            tracker=self.tracker,
            desk=self.desk,
            hands=hands,
            statuses=self.statuses,
            news=StageWriter(self.statuses, self.telemetry),
            events=self.events,
            leadership=self.leadership,
            clock=self.clock,
            telemetry=self.telemetry,
            reviews=self.reviews,
            relay=self.relay,
            actor_stamped=True,
        )
        self.loop = RolloutController(self.shell, self.versiondesk, self.cluster, sources, workers=4)

    def model(
        self, name: str = "fraud", *stages: dict[str, Any], version: str = "2.0.0", **fields: Any
    ) -> RolloutRecord:
        """Put a model into the cluster: 1.0.0 serves, a Rollout wants another version."""
        put = self.cluster.put
        if (type(namespace_record()), ObjectKey("", NAMESPACE)) not in self.cluster.objects:
            put(namespace_record())
        if (ModelRecord, key(name)) not in self.cluster.objects:
            put(model_record(name))
        for one in ("1.0.0", version):
            put(model_version(one, name))
            put(endpoints(name, one))
        put(route(name))
        stored = put(rollout(name, spec_for(name, version, *stages), **fields))
        assert isinstance(stored, RolloutRecord)
        return stored

    def _share(self, question: Question) -> float:
        """What a gateway that honours the weights gives the backend now."""
        subject = question.subject
        entries = self.cluster.route(ObjectKey(subject.namespace, subject.model)).rules[0].entries
        mine = sum(entry.weight for entry in entries if entry.key.name == subject.backend.name)
        return mine / sum(entry.weight for entry in entries)

    @asynccontextmanager
    async def running(self, resync_every: float = 300.0) -> AsyncIterator["Rig"]:
        """Run the loop and its watch for as long as the context lasts."""
        self.cluster.follow(self.loop.on_change, self.loop.on_delete)
        task = asyncio.create_task(self.loop.run(resync_every))
        synced = asyncio.create_task(self.loop.synced.wait())
        await asyncio.wait({task, synced}, return_when=asyncio.FIRST_COMPLETED)
        try:
            yield self
            assert not task.done(), "the loop has ended by itself"
        finally:
            for one in (task, synced, *self.loop._tasks, *self.versiondesk._tasks):
                one.cancel()
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
