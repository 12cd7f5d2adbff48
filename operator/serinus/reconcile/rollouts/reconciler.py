"""The ordinary reconcile of one Rollout: decide, act, report. Writes towards safety are the safety lane's."""

import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from msgspec import structs

from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.actions import Action, CreateRoute, SetFinalizer, SetMirror, SetWeights, ShapeRoute
from serinus.engine.rollout.decision import Event
from serinus.engine.rollout.status import write_refused
from serinus.engine.rollout.told_once import told_once
from serinus.errors import (
    AmbiguousError,
    NotLeaderError,
    OvertakenError,
    RefusedError,
    SerinusError,
    TransientError,
)
from serinus.ports.cluster_state import Record, RolloutRecord
from serinus.ports.services import Guard
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.stage_writer import StageWriter
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.act import act
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker
from serinus.reconcile.rollouts.announcements import Announcements
from serinus.reconcile.rollouts.change_counts import count_changes
from serinus.reconcile.rollouts.decider import Attempt, Decider
from serinus.reconcile.rollouts.http_tests import HttpTestRunner
from serinus.reconcile.rollouts.job_tests import JobTests
from serinus.reconcile.rollouts.observe import contents_in
from serinus.reconcile.rollouts.outbox_relay import OutboxRelay
from serinus.reconcile.rollouts.queue import RolloutQueue
from serinus.reconcile.rollouts.safety_memory import SafetyMemory
from serinus.reconcile.rollouts.status_delays import StatusDelays
from serinus.reconcile.rollouts.unreadable import UnreadableStatuses

logger = logging.getLogger(__name__)

_AT_ONCE: Final = timedelta(0)


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutReconciler:
    """Brings one Rollout at a time to its desired state.

    Attributes:
        ports: everything outside the process.
        cache: the cluster's objects.
        decider: reconciles the Rollouts.
        memory: what the safety lane has decided and done.
        queue: where a Rollout whose bad version has traffic waits for the safety lane.
        tracker: the analyses of the stages under way.
        tests: the HTTP tests under way and their outcomes.
        jobs: creates the Jobs of tests and reads their pods.
        relay: delivers the audit records of the statuses.
        announcements: tells the receivers of notifications what happened.
        stages: writes the stage of each ModelVersion.
        unreadable: the statuses that could not be read.
        delays: the statuses that wait to be written.
        on_change: takes in an object as a write has left it.
    """

    ports: Ports
    cache: ClusterCache
    decider: Decider
    memory: SafetyMemory
    queue: RolloutQueue
    tracker: AnalysisTracker
    tests: HttpTestRunner
    jobs: JobTests
    relay: OutboxRelay
    announcements: Announcements
    stages: StageWriter
    unreadable: UnreadableStatuses
    delays: StatusDelays
    on_change: Callable[[Record], None]

    async def reconcile(self, key: ObjectKey) -> timedelta | None:
        """Reconcile a Rollout once and return after which time to do it again, None where only a change needs it.

        Raises:
            SerinusError: something was not done; nothing is lost, the same decision comes again.
        """
        attempt = self.decider.attempt_to_report(key)
        if attempt is None:
            return self._arrives_in(key)
        self.attend(attempt.record)
        if attempt.record.status_problem:
            await self._publish(attempt, self.unreadable.events(attempt.record, attempt.decision))
            return self.unreadable.due_in(key)
        if attempt.is_idle:
            self.delays.forget(key)
            self.memory.settled(key)
            return self.settle(attempt)
        self._refuse_if_outranked(attempt)
        if not self._is_secured(attempt):
            return await self._leave_to_safety(attempt)
        if attempt.towards_safety and attempt.correction is None:
            self.queue.check_safety(key)
        self.tracker.anticipate(attempt.record, attempt.decision.status)
        try:
            return await self._act_and_report(attempt, self._guard(attempt))
        finally:
            self.tracker.arrive(key)
            self.memory.end(key)

    def attend(self, record: RolloutRecord) -> None:
        """Have what goes on beside a Rollout go on: the delivery of its records, the watch over its Jobs' pods."""
        self.relay.deliver(record)
        self.jobs.watch(record)

    def settle(self, attempt: Attempt) -> timedelta | None:
        """Do what follows from a status that is stored and waits for nothing; return when to reconcile again."""
        plan = self.cache.last_plan(attempt.record)
        if plan is not None and not attempt.observed.conflict and not attempt.record.status_problem:
            versions = self.cache.versions(attempt.key.namespace, plan.model)
            self.stages.publish(versions, attempt.decision.status)
        return attempt.decision.requeue_after

    def on_delete(self, record: RolloutRecord) -> None:
        """Drop what is kept of a deleted Rollout, deliver its last audit records and drain its candidate."""
        self._drop(record)
        # One without a finalizer was gone before its end could be written into its status.
        attempt = self.decider.attempt_on_departed(record)
        self.decider.clocks.forget(record.meta.key)
        self.relay.on_delete(replace(record, status=attempt.decision.status) if attempt is not None else record)
        self.memory.depart(record)
        self.queue.to_safety(record.meta.key)

    def _arrives_in(self, key: ObjectKey) -> timedelta | None:
        """Return when to decide about a Rollout that comes from another process's shard; None for all others."""
        due, record = self.decider.ownership.due_in(key), self.cache.rollout(key)
        if due is not None and record is not None:
            # It may have been this process's before that.
            self.forget(record)
        return due

    def forget_departed(self, belongs: Callable[[ObjectKey], bool]) -> None:
        """Forget the Rollouts that are gone, of models that another process decides about."""
        self.relay.forget_models(belongs)
        for record in self.memory.all_departed():
            if belongs(record.model):
                logger.warning("%s was deleted; its candidate is not drained by this process any more", record.meta.key)
                self.memory.forget(record.meta.key)
                self.queue.forget(record.meta.key)

    def forget(self, record: RolloutRecord) -> None:
        """Forget everything about a Rollout that another process decides about."""
        self._drop(record)
        self.decider.clocks.forget(record.meta.key)
        self.relay.forget(record.meta.key)
        self.memory.forget(record.meta.key)

    def _drop(self, record: RolloutRecord) -> None:
        self.tracker.forget(record.meta.key)
        self.tests.results.forget_all(record.meta.uid)
        self.jobs.forget(record.meta.uid)
        self.unreadable.forget(record.meta.key)
        self.delays.forget(record.meta.key)

    # ---- who may write -------------------------------------------------------------------------

    def _refuse_if_outranked(self, attempt: Attempt) -> None:
        """Write nothing where a later leader has written the status."""
        stored = attempt.record.status.epoch
        if stored <= attempt.epoch:
            return
        self.ports.leadership.outrank(stored, attempt.record.model)
        message = (
            f"{attempt.key}: its status was written in term {stored}, and this process leads in term {attempt.epoch}"
        )
        raise NotLeaderError(f"{message}: nothing is written")

    def _guard(self, attempt: Attempt) -> Guard:
        """Return what stops the writes of this attempt once it was overtaken."""
        key, epoch, mark = attempt.key, attempt.epoch, attempt.mark

        def may_write() -> None:
            if self.decider.ownership.epoch_now(attempt.record) != epoch:
                raise NotLeaderError(
                    f"{key}: this process does not lead any more in term {epoch}: the write is dropped"
                )
            if self.memory.mark(key) != mark:
                raise OvertakenError(f"{key}: a decision towards safety came first: the write is dropped")

        return may_write

    # ---- the safety lane -----------------------------------------------------------------------

    def _is_secured(self, attempt: Attempt) -> bool:
        """Return whether every write towards safety that the decision wants has been done on the route as it is."""
        if attempt.correction is not None:
            return True
        performed = self.memory.performed(attempt.key)
        return all(
            performed is not None and performed.is_of(action, attempt.observed.route)
            for action in attempt.towards_safety
        )

    async def _leave_to_safety(self, attempt: Attempt) -> timedelta | None:
        """Have the safety lane take the traffic first; where that was refused, report why."""
        refusal = self.memory.refusal(attempt.key)
        if refusal is None:
            self.queue.to_safety(attempt.key)
            return None
        await self._report_refusal(attempt, refusal, self._guard(attempt))
        return attempt.decision.requeue_after

    # ---- act -----------------------------------------------------------------------------------

    async def _act_and_report(self, attempt: Attempt, guard: Guard) -> timedelta | None:
        try:
            if await self._act_all(attempt, guard):
                return _AT_ONCE
        except RefusedError as problem:
            await self._report_refusal(attempt, problem, guard)
            raise
        except (AmbiguousError, TransientError) as problem:
            if self.memory.is_stuck(attempt.key, self.ports.clock.monotonic()):
                await self._report_refusal(attempt, problem, guard)
            raise
        self.memory.advanced(attempt.key)
        left = self._delay(attempt)
        if left:
            return min(left, attempt.decision.requeue_after or left)
        await self._report(attempt, guard)
        if attempt.correction is not None:
            self.memory.reported(attempt.key)
            return _AT_ONCE
        return self.settle(attempt)

    async def _act_all(self, attempt: Attempt, guard: Guard) -> bool:
        """Perform the actions; return whether the Rollout must be reconciled again before anything else is done."""
        for action in attempt.others:
            guard()
            try:
                await self._act(attempt, action, guard)
            except RefusedError as problem:
                if not _may_go_without(action, attempt):
                    raise
                logger.warning("%s: %s could not be done: %s", attempt.key, type(action).__name__, problem)
                continue
            if isinstance(action, SetFinalizer):
                # The decision was about the object as it was before: as after a crash, decide anew.
                return True
        guard()
        return False

    async def _act(self, attempt: Attempt, action: Action, guard: Guard) -> None:
        if isinstance(action, SetWeights):
            self.memory.begin(attempt.key, action)
        await act(self.ports, self.tests, self.jobs, attempt.record.meta, action, on_change=self.on_change, guard=guard)
        self.ports.telemetry.writes.labels(type(action).__name__).inc()
        if isinstance(action, SetWeights):
            log_weights(attempt.key, action)
        elif isinstance(action, CreateRoute):
            # Its generations begin anew: no write of the old one was done on it.
            self.memory.recreated(attempt.key)
            logger.info("%s: made %s", attempt.key, action.route.title)

    # ---- report --------------------------------------------------------------------------------

    def _delay(self, attempt: Attempt) -> timedelta:
        """Return how long the status may still wait; what the safety lane has done is reported at once."""
        if attempt.correction is not None or attempt.verdict is not None:
            return _AT_ONCE
        now = self.ports.clock.monotonic()
        return self.delays.left(attempt.key, attempt.record.status, attempt.decision, now)

    async def _report(self, attempt: Attempt, guard: Guard) -> None:
        """Write the status, then publish the events."""
        record, decision = attempt.record, attempt.decision
        if decision.status == record.status:
            return
        status = _with_epoch(decision.status, attempt)
        written = await self.ports.statuses.write_rollout(record.meta, status, guard=guard)
        self.ports.telemetry.writes.labels("status").inc()
        self.on_change(written)
        self.relay.deliver(written)
        self.tests.results.forget(record.meta.uid, status, contents_in(self.cache, written))
        count_changes(self.ports.telemetry, record.status, status)
        await self._publish(attempt, decision.events)

    async def _publish(self, attempt: Attempt, events: tuple[Event, ...]) -> None:
        self.announcements.events(attempt.record, attempt.decision.status, attempt.at, events)
        for event in events:
            logger.info("%s: %s: %s", attempt.key, event.reason.value, event.message)
        for event in told_once(events):
            await self.ports.events.publish(attempt.record.meta, event)

    async def _report_refusal(self, attempt: Attempt, problem: SerinusError, guard: Guard) -> None:
        """Record in the status that the API server rejects the write, or answers none: a person must act."""
        record = attempt.record
        status = write_refused(record.status, str(problem), record.generation, self.ports.clock.now())
        if status != record.status:
            stamped = _with_epoch(status, attempt)
            self.on_change(await self.ports.statuses.write_rollout(record.meta, stamped, guard=guard))
            self.ports.telemetry.writes.labels("status").inc()


def log_weights(key: ObjectKey, action: SetWeights) -> None:
    """Log the weights that were written."""
    shares = ", ".join(f"{share.backend.name} {share.parts / 100:g}%" for share in action.shares)
    logger.info("%s: weights %s", key, shares)


def _may_go_without(action: Action, attempt: Attempt) -> bool:
    """Return whether the status is written although the finalizer could not be put on, or the route not put right.

    Only where it reports a rollback: no weight rests on either then, and a status that speaks of traffic which is gone
    is worse than records that a deletion would lose, or than a route that is not as its template says.
    """
    optional = isinstance(action, ShapeRoute | SetMirror) or (isinstance(action, SetFinalizer) and action.present)
    if not optional or attempt.decision.status.rollback is None:
        return False
    return not any(isinstance(other, SetWeights) for other in attempt.others)


def _with_epoch(status: RolloutStatus, attempt: Attempt) -> RolloutStatus:
    """Stamp the leader's term on a status."""
    return structs.replace(status, epoch=attempt.epoch)
