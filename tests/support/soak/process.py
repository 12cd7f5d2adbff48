"""One operator process: the real reconcilers and engine over the ports of the simulation."""

import asyncio
from contextlib import suppress
from typing import Final

from prometheus_client import CollectorRegistry

from serinus.api.audit_record import OperatorIdentity
from serinus.api.model import Verification
from serinus.api.modelversion import BackendRef
from serinus.api.rollout_status import TestResult
from serinus.api.stage_tests import HttpCheck
from serinus.engine.rollout.decision import Event
from serinus.engine.rollout.observation import TestOutcome
from serinus.errors import TransientError
from serinus.ports.cluster_state import Meta
from serinus.reconcile.assembly import assemble
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.ports import Ports
from serinus.registry.service import Registry
from serinus.telemetry import Telemetry
from support.fakes import (
    PASSED,
    FakeAuditLog,
    FakeEvents,
    FakeFinalizers,
    FakeJobs,
    FakeLeadership,
    FakeManagedRoutes,
    FakeRouter,
    FakeStatusWriter,
    FakeVerifier,
)
from support.soak.cluster import Forgetful, SoakCluster, version_of
from support.soak.facts import Trouble
from support.soak.faults import Failures, Weather
from support.soak.source import SoakSource
from support.virtual_loop import LoopClock

WORKERS: Final = 4
FAILED: Final = TestOutcome(TestResult.FAILED, "score is not a number")

_KINDS = ClusterCache().kinds


class _Checks:
    """The port ``HttpChecks``: a version passes its tests or does not."""

    def __init__(self, cluster: SoakCluster) -> None:
        self._cluster = cluster

    async def run(self, namespace: str, backend: BackendRef, check: HttpCheck) -> TestOutcome:  # noqa: ARG002 - the port's
        await asyncio.sleep(0.2)
        model = backend.name.partition("-v")[0]
        return PASSED if self._cluster.qualities[model, version_of(model, backend.name)].passes_tests else FAILED


class _Events(FakeEvents):
    """The port ``Events``: published to nobody."""

    async def publish(self, owner: Meta, event: Event) -> None:  # noqa: ARG002 - the port's
        await asyncio.sleep(0)


class _AuditLog(FakeAuditLog):
    """The port ``AuditLog``; it is down while the weather says so."""

    def __init__(self, registry: Registry, weather: Weather) -> None:
        super().__init__(registry)
        self._weather = weather

    async def _refuse(self) -> None:
        if self._weather.is_on(Trouble.REGISTRY):
            await asyncio.sleep(1)
            raise TransientError("the registry is down")


class Process:
    """The operator from its start to its end; the cluster outlives it."""

    def __init__(  # noqa: PLR0913 - what is outside of it
        self,
        cluster: SoakCluster,
        source: SoakSource,
        weather: Weather,
        clock: LoopClock,
        *,
        seed: int,
        epoch: int,
    ) -> None:
        self._cluster = cluster

        def failures(port: int, *, moves_routes: bool = False, reads: bool = False) -> Failures:
            return Failures(weather=weather, seed=(seed, epoch, port), moves_routes=moves_routes, reads=reads)

        router, statuses, finalizers = FakeRouter(cluster), FakeStatusWriter(cluster), FakeFinalizers(cluster)
        router.faults, statuses.faults, finalizers.faults = failures(1, moves_routes=True), failures(2), failures(3)
        router.sent, statuses.sent = Forgetful(), Forgetful()
        cluster.use_weather(weather, failures(4, reads=True))
        identity = OperatorIdentity(version="soak", instance=f"process-{epoch}")
        ports = Ports(
            cluster=cluster,
            statuses=statuses,
            router=router,
            managed_routes=FakeManagedRoutes(cluster),
            finalizers=finalizers,
            jobs=FakeJobs(cluster),
            http_checks=_Checks(cluster),
            events=_Events(cluster),
            sources={"default": source},
            audit_log=_AuditLog(Registry(cluster.registry, clock, identity), weather),
            verifier=FakeVerifier(),
            leadership=FakeLeadership(epoch),
            clock=clock,
            telemetry=Telemetry(CollectorRegistry()),
        )
        self.parts = assemble(ports, verification=Verification.OFF, actor_stamped=lambda: True, workers=WORKERS)
        self._task: asyncio.Task[None] | None = None

    async def start(self, resync_every: float) -> None:
        """Run until ``stop``; returns once the cluster has been listed."""
        controller = self.parts.controller
        self._cluster.follow(controller.on_change, controller.on_delete)
        self._task = asyncio.create_task(controller.run(resync_every))
        await controller.synced.wait()

    async def stop(self) -> None:
        """End as a killed process does: nothing more is sent, and all that it knew is lost.

        Raises:
            AssertionError: it had ended by itself.
        """
        assert self._task is not None
        assert not self._task.done(), "the loop has ended by itself"
        self._cluster.unfollow()
        self.parts.background.cancel()
        self.parts.model_versions._verification.cancel()
        self._task.cancel()
        with suppress(asyncio.CancelledError):
            await self._task

    def relist(self) -> None:
        """Every watch has begun anew."""
        for kind in _KINDS:
            self.parts.controller.on_relist(kind)

    def queue_lengths(self) -> dict[str, int]:
        """Return how much waits where."""
        memory = self.parts.memory
        return {
            "rollouts": len(self.parts.queue),
            "models": len(self.parts.model_versions._queue),
            "background tasks": len(self.parts.background),
            "tasks": len(asyncio.all_tasks()),
            "safety memory": sum(len(part) for part in vars(memory).values() if isinstance(part, dict)),
        }
