"""The safety lane: workers that take traffic from bad versions and do nothing else.

They decide as an ordinary reconcile does, but write only the weights that go towards safety, then hand the Rollout
over: status, events and records follow from the ordinary queue, where a write that hangs holds up nobody here. That is
the same as a crash between the weights and the status, which every part of the operator survives anyway.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from serinus.api.names import ObjectKey
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.modes import Idle, mode_of
from serinus.engine.rollout.traffic.confirmation import route_in_use
from serinus.errors import NotLeaderError, RefusedError, SerinusError
from serinus.ports.acting import acting_for
from serinus.ports.cluster_state import Record, RolloutRecord
from serinus.ports.services import Guard
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.decider import Attempt, Decider
from serinus.reconcile.rollouts.queue import SAFETY_RETRY, RolloutQueue
from serinus.reconcile.rollouts.reconciler import RolloutReconciler, log_weights
from serinus.reconcile.rollouts.safety_memory import Correction, Performed, SafetyMemory
from serinus.telemetry import SAFETY

logger = logging.getLogger(__name__)

WORKERS: Final = 32
"""1,000 routes in less than 5 s, where a route takes 100 ms. The API client reserves a slot for each (kube.client)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SafetyLane:
    """Runs until it is cancelled.

    Attributes:
        ports: the router, the leadership, the clock and the telemetry.
        queue: the Rollouts that wait.
        decider: reconciles the Rollouts.
        memory: what was decided and done.
        reconciler: does what follows where nothing is to be written.
        on_change: takes in a route as a write has left it.
    """

    ports: Ports
    queue: RolloutQueue
    decider: Decider
    memory: SafetyMemory
    reconciler: RolloutReconciler
    on_change: Callable[[Record], None]

    async def run(self) -> None:
        """Work until cancelled."""
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        monotonic, durations = self.ports.clock.monotonic, self.ports.telemetry.reconciles.labels(SAFETY)
        while True:
            key = await self.queue.take_for_safety()
            started = monotonic()
            try:
                with acting_for(self.decider.model_of(key)):
                    await self._secure(key)
            except RefusedError as problem:
                logger.warning("%s: a version may keep its traffic: %s", key, problem)
                self.memory.refused(key, problem)
                self.queue.hand_over(key, urgent=True)
                self._retry(key, problem)
            except NotLeaderError as problem:
                logger.warning("%s", problem)
                self._retry(key, problem)
            except SerinusError as problem:
                logger.warning("%s: a version may keep its traffic: %s; retrying", key, problem)
                if self.memory.failed(key, problem, self.ports.clock.monotonic()):
                    self.queue.hand_over(key, urgent=True)
                self._retry(key, problem)
            except Exception as problem:  # a bug with one Rollout must not end the work on the others
                logger.exception("%s: the safety lane failed", key)
                self._retry(key, problem)
            finally:
                durations.observe(monotonic() - started)
                self.queue.secured(key)
            # An attempt alone waits for nothing, and the others have a turn as well.
            await asyncio.sleep(0)

    def _retry(self, key: ObjectKey, problem: Exception) -> None:
        self.ports.telemetry.failures.labels(type(problem).__name__).inc()
        self.queue.retry_safety(key)

    async def _secure(self, key: ObjectKey) -> None:
        """Decide on a Rollout, take the traffic from its bad version, and have the rest done elsewhere.

        Raises:
            SerinusError: the traffic may not have been taken; nothing is lost, the same decision comes again.
        """
        attempt = self.decider.attempt(key)
        if attempt is None:
            if self.decider.ownership.due_in(key) is not None:
                self.queue.hand_over(key, urgent=False)
            await self._drain(key)
            return
        try:
            await self._take_traffic(attempt)
        finally:
            await self._drain_predecessor(attempt)

    async def _take_traffic(self, attempt: Attempt) -> None:
        key, verdict = attempt.key, self.decider.verdict_of(attempt)
        writes = self._writes(attempt)
        if writes or (verdict is not None and attempt.verdict is None):
            # First of all: from here on no other write about this Rollout is sent that does not know of it.
            self.memory.decided(key, verdict)
        if await self._perform_all(attempt, writes):
            if writes and verdict is None and not attempt.observed.deleted:
                self._note_correction(attempt)
            self.queue.safety_succeeded(key)
            self._hand_over(attempt, urgent=bool(writes) or verdict is not None)

    def _note_correction(self, attempt: Attempt) -> None:
        """Keep what was observed of weights that are right now: the ordinary reconcile could not see it any more."""
        if attempt.decision.status != attempt.record.status:
            correction = Correction(
                uid=attempt.record.meta.uid,
                spec=attempt.spec,
                observed=attempt.observed,
                at=attempt.at,
                set_by=attempt.set_by,
            )
            self.memory.corrected(attempt.key, correction)

    def _writes(self, attempt: Attempt) -> tuple[SetWeights, ...]:
        """Return the writes towards safety, but none that only undoes what an ordinary reconcile has just written."""
        if not attempt.begins_rollback and self.memory.is_own(attempt.key, attempt.observed.route):
            return ()
        return attempt.towards_safety

    async def _perform_all(self, attempt: Attempt, writes: tuple[SetWeights, ...]) -> bool:
        """Write the weights towards safety; return False where they were written a moment ago and did not stay."""
        for action in writes:
            if self._is_done(attempt, action):
                self.queue.check_safety(attempt.key)
                self.queue.hand_over(attempt.key, urgent=True)
                return False
            await self._perform(attempt, action)
        if not writes:
            self.memory.settled(attempt.key)
        return True

    def _is_done(self, attempt: Attempt, action: SetWeights) -> bool:
        """Return whether this was written a moment ago, and the route is as that has left it.

        Then something between here and the store changes the weights, such as a mutating webhook, and would do so
        again. What somebody else writes afterwards is put right at once.
        """
        performed = self.memory.performed(attempt.key)
        if performed is None or not performed.is_of(action, attempt.observed.route):
            return False
        return self.ports.clock.monotonic() - performed.at < SAFETY_RETRY.longest

    async def _perform(self, attempt: Attempt, action: SetWeights) -> None:
        namespace = attempt.key.namespace
        known = self.reconciler.cache.route(namespace, action.route)
        route = await self.ports.router.set_weights(namespace, action, guard=self._guard(attempt), known=known)
        self.ports.telemetry.writes.labels(type(action).__name__).inc()
        log_weights(attempt.key, action)
        performed = Performed(action, route.generation, self.ports.clock.monotonic())
        self.memory.succeeded(attempt.key, performed)
        waited = self.queue.is_waiting_for_safety(attempt.key)
        self.on_change(route)
        if not waited or not self.queue.is_for_safety(attempt.key):
            # It was only this change, or no traffic is left to take: the ordinary reconcile sees what came of it.
            self.queue.withdraw_from_safety(attempt.key)

    def _guard(self, attempt: Attempt) -> Guard:
        """Return what ends a loop of retries once this process does not lead any more."""

        def may_write() -> None:
            if self.decider.ownership.epoch_now(attempt.record) != attempt.epoch:
                message = f"{attempt.key}: this process does not lead any more in term {attempt.epoch}"
                raise NotLeaderError(f"{message}: the weights are left to its successor")

        return may_write

    def _hand_over(self, attempt: Attempt, *, urgent: bool) -> None:
        if not attempt.is_idle:
            self.queue.hand_over(attempt.key, urgent=urgent)
            return
        self.queue.succeeded(attempt.key)
        self.reconciler.attend(attempt.record)
        requeue_after = self.reconciler.settle(attempt)
        if requeue_after is not None:
            self.queue.requeue_after(attempt.key, requeue_after.total_seconds())

    # ---- Rollouts that are gone ----------------------------------------------------------------

    async def _drain(self, key: ObjectKey) -> None:
        """Take the traffic from the candidate of a Rollout that is gone; nobody else would ever do it."""
        departed = self.memory.departed(key)
        if departed is not None and await self._drain_departed(departed):
            self.memory.forget(key)
            self.queue.forget(key)

    async def _drain_predecessor(self, attempt: Attempt) -> None:
        """Do the same where another Rollout has the name now, unless that one has taken over the route."""
        departed = self.memory.departed(attempt.key)
        if departed is None:
            return
        if not self._has_taken_over(attempt.record, departed):
            with acting_for(departed.model):
                await self._drain_departed(departed)
        self.memory.returned(attempt.key)

    def _has_taken_over(self, record: RolloutRecord, departed: RolloutRecord) -> bool:
        """Return whether a Rollout serves or runs on the rule that another one of its name was on."""
        if isinstance(mode_of(record.status), Idle):
            return False
        last_plan = self.reconciler.cache.last_plan
        rule, left = (route_in_use(last_plan(one), one.status) for one in (record, departed))
        return rule is not None and left is not None and rule.may_be(left)

    async def _drain_departed(self, departed: RolloutRecord) -> bool:
        """Take the traffic from its candidate; return False where another process leads."""
        attempt = self.decider.attempt_on_departed(departed)
        if attempt is None:
            return False
        try:
            for action in attempt.towards_safety:
                await self._perform(attempt, action)
        except RefusedError as problem:
            logger.warning("%s was deleted; its candidate cannot be drained: %s", attempt.key, problem)
        return True
