"""One reconcile of one Rollout: observe, decide, act, report."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from time import perf_counter

from msgspec import structs

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import Action, SetWeights
from serinus.engine.rollout.decide import decide
from serinus.engine.rollout.decision import Decision
from serinus.engine.rollout.modes import RolledBack, mode_of
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.status import write_refused
from serinus.errors import NotFoundError, RefusedError, SerinusError
from serinus.ports.cluster_state import Meta, Record, RolloutRecord
from serinus.reconcile.background import BackgroundTasks
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.modelversions.stage_writer import StageWriter
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.act import act
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.http_tests import HttpTestRunner
from serinus.reconcile.rollouts.job_tests import JobTests
from serinus.reconcile.rollouts.observe import LocalFacts, observe, spec_of
from serinus.reconcile.rollouts.outbox_relay import OutboxRelay
from serinus.reconcile.rollouts.queue import RETRY

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutReconciler:
    """Brings one Rollout at a time to its desired state.

    Attributes:
        ports: everything outside the process.
        cache: the cluster's objects.
        admission: the reviews of the model versions.
        tracker: the analyses of the stages under way.
        tests: the HTTP tests under way and their outcomes.
        jobs: creates the Jobs of tests and reads their pods.
        relay: delivers the audit records of the statuses.
        stages: writes the stage of each ModelVersion.
        background: where a deleted Rollout's candidate is drained.
        on_change: takes in an object as a write has left it.
        actor_stamped: whether the annotations that name the actors were stamped by the API server.
    """

    ports: Ports
    cache: ClusterCache
    admission: AdmissionCache
    tracker: AnalysisTracker
    tests: HttpTestRunner
    jobs: JobTests
    relay: OutboxRelay
    stages: StageWriter
    background: BackgroundTasks
    on_change: Callable[[Record], None]
    actor_stamped: bool

    async def reconcile(self, key: ObjectKey) -> timedelta | None:
        """Reconcile a Rollout once and return after which time to do it again, None where only a change needs it.

        Raises:
            SerinusError: something was not done; nothing is lost, the same decision comes again.
        """
        record = self.cache.rollout(key)
        if record is not None:
            self.relay.deliver(record)
        epoch = self.ports.leadership.epoch
        if record is None or epoch is None:
            return None
        self.jobs.watch(record)
        observed = self._observe(record)
        decision = self._decide(record, observed)
        if not record.deleting:
            decision = replace(decision, status=_with_epoch(decision.status, record, epoch))
        try:
            await self._act_all(record, decision)
        except RefusedError as problem:
            if not record.deleting:
                await self._report_refusal(record, problem, epoch)
            raise
        if record.deleting:
            return decision.requeue_after
        if decision.status != record.status:
            await self._report(record, decision)
        plan = self.cache.last_plan(record)
        if plan is not None and not observed.conflict:
            await self.stages.publish(self.cache.versions(key.namespace, plan.model), decision.status)
        return decision.requeue_after

    def on_delete(self, record: RolloutRecord) -> None:
        """Drop what is kept of a deleted Rollout, deliver its last audit records and drain its candidate."""
        self.tracker.forget(record.meta.key)
        self.tests.results.forget_all(record.meta.uid)
        self.jobs.forget(record.meta.uid)
        self.relay.on_delete(record)
        self.background.start(self._drain(record))

    # ---- observe and decide --------------------------------------------------------------------

    def _observe(self, record: RolloutRecord) -> Observation:
        local = LocalFacts(
            readings=self.tracker.readings(record),
            metrics_problem=self.tracker.problem(record),
            http_tests=self.tests.results.outcomes(record.meta.uid, record.status),
            pods=self.jobs.pods(),
            refused_jobs=self.jobs.refusals(record),
            actor_stamped=self.actor_stamped,
            audit=self.relay.facts(record),
        )
        return observe(self.cache, self.admission, record, local)

    def _decide(self, record: RolloutRecord, observed: Observation) -> Decision:
        started = perf_counter()
        decision = decide(spec_of(self.cache, record), record.status, observed, self.ports.clock.now())
        self.ports.telemetry.decisions.observe(perf_counter() - started)
        return decision

    # ---- act -----------------------------------------------------------------------------------

    async def _act_all(self, record: RolloutRecord, decision: Decision) -> None:
        for action in decision.actions:
            await self._act(record.meta, action)
            self.ports.telemetry.writes.labels(type(action).__name__).inc()
            if isinstance(action, SetWeights):
                shares = ", ".join(f"{share.backend.name} {share.parts / 100:g}%" for share in action.shares)
                logger.info("%s: weights %s", record.meta.key, shares)

    async def _act(self, owner: Meta, action: Action) -> None:
        await act(self.ports, self.tests, self.jobs, self.on_change, owner, action)

    async def _drain(self, record: RolloutRecord) -> None:
        """Take the traffic from the candidate of a deleted Rollout; nobody else would ever do it."""
        key, pauses = record.meta.key, iter(RETRY)
        while self.cache.rollout(key) is None:
            try:
                await self._drain_once(record)
            except (RefusedError, NotFoundError) as problem:
                logger.warning("%s was deleted; its candidate cannot be drained: %s", key, problem)
            except SerinusError as problem:
                logger.warning("%s was deleted; its candidate may still have traffic: %s; retrying", key, problem)
                await asyncio.sleep(next(pauses))
                continue
            return

    async def _drain_once(self, record: RolloutRecord) -> None:
        if self.ports.leadership.epoch is None:
            return
        observed = observe(self.cache, self.admission, record, LocalFacts(), deleted=True)
        decision = decide(spec_of(self.cache, record), record.status, observed, self.ports.clock.now())
        for action in decision.actions:
            await self._act(record.meta, action)

    # ---- report --------------------------------------------------------------------------------

    async def _report(self, record: RolloutRecord, decision: Decision) -> None:
        """Write the status, then publish the events."""
        written = await self.ports.statuses.write_rollout(record.meta, decision.status)
        self.ports.telemetry.writes.labels("status").inc()
        self.on_change(written)
        self.relay.deliver(written)
        self.tests.results.forget(record.meta.uid, decision.status)
        self._count(record.status, decision.status)
        for event in decision.events:
            logger.info("%s: %s: %s", record.meta.key, event.reason.value, event.message)
            await self.ports.events.publish(record.meta, event)

    async def _report_refusal(self, record: RolloutRecord, problem: RefusedError, epoch: int) -> None:
        """Record in the status that the API server rejected the write: every retry fails until somebody acts."""
        status = write_refused(record.status, str(problem), record.generation, self.ports.clock.now())
        if status != record.status:
            stamped = _with_epoch(status, record, epoch)
            self.on_change(await self.ports.statuses.write_rollout(record.meta, stamped))
            self.ports.telemetry.writes.labels("status").inc()

    def _count(self, before: RolloutStatus, after: RolloutStatus) -> None:
        rollback, telemetry = after.rollback, self.ports.telemetry
        if rollback is None or before.rollback == rollback:
            return
        if before.rollback is None or before.rollback.decided_at != rollback.decided_at:
            telemetry.rollbacks.labels(rollback.reason.value).inc()
        if isinstance(mode_of(after), RolledBack) and rollback.traffic_safe_at is not None:
            telemetry.rollback_seconds.observe((rollback.traffic_safe_at - rollback.decided_at).total_seconds())


def _with_epoch(status: RolloutStatus, record: RolloutRecord, epoch: int) -> RolloutStatus:
    """Stamp the leader's term on a status that differs from the stored one."""
    return status if status == record.status else structs.replace(status, epoch=max(epoch, record.status.epoch))
