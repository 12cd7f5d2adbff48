"""One look at one Rollout: observe, decide, act, report."""

import logging
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from time import perf_counter

from msgspec import structs

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.actions import SetWeights
from serinus.engine.decide import decide
from serinus.engine.decision import Decision
from serinus.engine.failures import write_refused
from serinus.engine.transitions import Mode, mode_of
from serinus.engine.versionstages import version_stages
from serinus.errors import RefusedError, SerinusError
from serinus.ports import Clock, Events, Leadership, RolloutRecord, StatusWriter
from serinus.reconcile.act import Hands, act
from serinus.reconcile.evidence import EvidenceBook
from serinus.reconcile.observe import Findings, observe, spec_of
from serinus.reconcile.store import Store
from serinus.reconcile.testdesk import TestDesk
from serinus.telemetry import Telemetry

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Shell:
    """What a look needs of the outside."""

    store: Store
    book: EvidenceBook
    desk: TestDesk
    hands: Hands
    statuses: StatusWriter
    events: Events
    leadership: Leadership
    clock: Clock
    telemetry: Telemetry


async def reconcile(shell: Shell, key: ObjectKey) -> timedelta | None:
    """Look at one Rollout once and return when to look again.

    Raises:
        SerinusError: something was not done; nothing is lost, the same decision comes again.
    """
    record = shell.store.rollout(key)
    epoch = shell.leadership.epoch
    if record is None or epoch is None:
        return None
    decision = _decide(shell, record, shell.clock.now())
    if not record.deleting:
        decision = _with_epoch(decision, record, epoch)
    try:
        await _act(shell, record, decision)
    except RefusedError as problem:
        await _say_refused(shell, record, problem)
        raise
    if decision.status != record.status and not record.deleting:
        await _report(shell, record, decision)
    return decision.requeue_after


async def let_go(shell: Shell, record: RolloutRecord) -> None:
    """Leave no candidate with traffic behind a Rollout that was deleted; SerinusError where that failed."""
    if shell.leadership.epoch is None:
        return
    observed = observe(shell.store, record, Findings(), deleted=True)
    for action in decide(spec_of(shell.store, record), record.status, observed, shell.clock.now()).actions:
        await act(shell.hands, record.meta, action)


def _decide(shell: Shell, record: RolloutRecord, now: datetime) -> Decision:
    found = Findings(
        readings=shell.book.readings(record),
        metrics_problem=shell.book.problem(record),
        http_tests=shell.desk.outcomes(record.meta.uid, record.status),
    )
    observed = observe(shell.store, record, found)
    started = perf_counter()
    decision = decide(spec_of(shell.store, record), record.status, observed, now)
    shell.telemetry.decisions.observe(perf_counter() - started)
    return decision


def _with_epoch(decision: Decision, record: RolloutRecord, epoch: int) -> Decision:
    """Stamp the leader's term on a status that says something new."""
    if decision.status == record.status:
        return decision
    return replace(decision, status=structs.replace(decision.status, epoch=max(epoch, record.status.epoch)))


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
    shell.desk.forget(record.meta.uid, decision.status)
    _count(shell, record.status, decision.status)
    for event in decision.events:
        logger.info("%s: %s: %s", record.meta.key, event.reason.value, event.message)
        await shell.events.publish(record.meta, event)
    await _say_of_versions(shell, record, decision.status)


async def _say_of_versions(shell: Shell, record: RolloutRecord, status: RolloutStatus) -> None:
    """Say on each ModelVersion where it stands; a failure is logged, the next status says it again."""
    plan = shell.store.last_plan(record)
    if plan is None:
        return
    standing = version_stages(status)
    for version in shell.store.versions(record.meta.key.namespace, plan.model):
        stage, traffic = standing.get(version.version, (version.stage, version.traffic))
        if (stage, traffic) != (version.stage, version.traffic):
            try:
                await shell.statuses.write_model_version(version.meta.key, stage=stage, traffic=traffic)
                shell.telemetry.writes.labels("modelversion").inc()
            except SerinusError as problem:
                logger.warning("%s: its stage could not be written: %s", version.meta.key, problem)


async def _say_refused(shell: Shell, record: RolloutRecord, problem: RefusedError) -> None:
    """Let the status say why nothing happens: the API server will refuse it again."""
    status = write_refused(record.status, str(problem), record.generation, shell.clock.now())
    if status != record.status:
        shell.hands.learn(await shell.statuses.write_rollout(record.meta, status))


def _count(shell: Shell, before: RolloutStatus, after: RolloutStatus) -> None:
    rollback = after.rollback
    if rollback is None or before.rollback == rollback:
        return
    if before.rollback is None or before.rollback.decided_at != rollback.decided_at:
        shell.telemetry.rollbacks.labels(rollback.reason.value).inc()
    if mode_of(after) is Mode.ROLLED_BACK and rollback.traffic_safe_at is not None:
        shell.telemetry.rollback_seconds.observe((rollback.traffic_safe_at - rollback.decided_at).total_seconds())
