"""One look at one Rollout: observe, decide, act, report."""

import logging
from dataclasses import dataclass, replace
from datetime import timedelta
from time import perf_counter

from msgspec import structs

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.decide import decide
from serinus.engine.rollout.decision import Decision
from serinus.engine.rollout.modes import RolledBack, mode_of
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.status import write_refused
from serinus.errors import RefusedError
from serinus.ports.cluster_state import RolloutRecord
from serinus.ports.services import Clock, Events, Leadership, StatusWriter
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.modelversions.stage_writer import StageWriter
from serinus.reconcile.rollouts.act import Hands, act
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.http_tests import HttpTestRunner
from serinus.reconcile.rollouts.observe import LocalFacts, observe, spec_of
from serinus.reconcile.rollouts.outbox_relay import OutboxRelay
from serinus.telemetry import Telemetry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shell:
    """What a look needs of the outside."""

    store: ClusterCache
    tracker: AnalysisTracker
    desk: HttpTestRunner
    hands: Hands
    statuses: StatusWriter
    news: StageWriter
    events: Events
    leadership: Leadership
    clock: Clock
    telemetry: Telemetry
    reviews: AdmissionCache
    relay: OutboxRelay
    actor_stamped: bool = False


async def reconcile(shell: Shell, key: ObjectKey) -> timedelta | None:
    """Look at one Rollout once and return when to look again.

    Raises:
        SerinusError: something was not done; nothing is lost, the same decision comes again.
    """
    record = shell.store.rollout(key)
    if record is not None:
        shell.relay.notice(record)
    epoch = shell.leadership.epoch
    if record is None or epoch is None:
        return None
    observed = _observe(shell, record)
    decision = _decide(shell, record, observed)
    if not record.deleting:
        decision = replace(decision, status=_with_epoch(decision.status, record, epoch))
    try:
        await _act(shell, record, decision)
    except RefusedError as problem:
        if not record.deleting:
            await _say_refused(shell, record, problem, epoch)
        raise
    if record.deleting:
        return decision.requeue_after
    if decision.status != record.status:
        await _report(shell, record, decision)
    plan = shell.store.last_plan(record)
    if plan is not None and not observed.conflict:
        await shell.news.publish(shell.store.versions(key.namespace, plan.model), decision.status)
    return decision.requeue_after


async def let_go(shell: Shell, record: RolloutRecord) -> None:
    """Leave no candidate with traffic behind a Rollout that was deleted; SerinusError where that failed."""
    if shell.leadership.epoch is None:
        return
    observed = observe(shell.store, shell.reviews, record, LocalFacts(), deleted=True)
    for action in decide(spec_of(shell.store, record), record.status, observed, shell.clock.now()).actions:
        await act(shell.hands, record.meta, action)


def _observe(shell: Shell, record: RolloutRecord) -> Observation:
    found = LocalFacts(
        readings=shell.tracker.readings(record),
        metrics_problem=shell.tracker.problem(record),
        http_tests=shell.desk.outcomes(record.meta.uid, record.status),
        actor_stamped=shell.actor_stamped,
        audit=shell.relay.facts(record),
    )
    return observe(shell.store, shell.reviews, record, found)


def _decide(shell: Shell, record: RolloutRecord, observed: Observation) -> Decision:
    started = perf_counter()
    decision = decide(spec_of(shell.store, record), record.status, observed, shell.clock.now())
    shell.telemetry.decisions.observe(perf_counter() - started)
    return decision


def _with_epoch(status: RolloutStatus, record: RolloutRecord, epoch: int) -> RolloutStatus:
    """Stamp the leader's term on a status that says something new."""
    return status if status == record.status else structs.replace(status, epoch=max(epoch, record.status.epoch))


async def _act(shell: Shell, record: RolloutRecord, decision: Decision) -> None:
    for action in decision.actions:
        await act(shell.hands, record.meta, action)
        shell.telemetry.writes.labels(type(action).__name__).inc()
        if isinstance(action, SetWeights):
            shares = ", ".join(f"{share.backend.name} {share.parts / 100:g}%" for share in action.shares)
            logger.info("%s: weights %s", record.meta.key, shares)


async def _report(shell: Shell, record: RolloutRecord, decision: Decision) -> None:
    """Write the status, then tell people."""
    written = await shell.statuses.write_rollout(record.meta, decision.status)
    shell.telemetry.writes.labels("status").inc()
    shell.hands.learn(written)
    shell.relay.notice(written)
    shell.desk.forget(record.meta.uid, decision.status)
    _count(shell, record.status, decision.status)
    for event in decision.events:
        logger.info("%s: %s: %s", record.meta.key, event.reason.value, event.message)
        await shell.events.publish(record.meta, event)


async def _say_refused(shell: Shell, record: RolloutRecord, problem: RefusedError, epoch: int) -> None:
    """Let the status say why nothing happens: the API server will refuse it again."""
    status = write_refused(record.status, str(problem), record.generation, shell.clock.now())
    if status != record.status:
        shell.hands.learn(await shell.statuses.write_rollout(record.meta, _with_epoch(status, record, epoch)))
        shell.telemetry.writes.labels("status").inc()


def _count(shell: Shell, before: RolloutStatus, after: RolloutStatus) -> None:
    rollback = after.rollback
    if rollback is None or before.rollback == rollback:
        return
    if before.rollback is None or before.rollback.decided_at != rollback.decided_at:
        shell.telemetry.rollbacks.labels(rollback.reason.value).inc()
    if isinstance(mode_of(after), RolledBack) and rollback.traffic_safe_at is not None:
        shell.telemetry.rollback_seconds.observe((rollback.traffic_safe_at - rollback.decided_at).total_seconds())
