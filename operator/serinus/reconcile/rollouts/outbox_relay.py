"""Delivers queued audit records to the registry, in order, outside the reconcile path, retrying until accepted.

No reconcile ever waits for it. What was delivered is a fact for the next decision, which takes it out of the status. A
record that a crash makes it deliver again changes nothing: the registry knows each record by its id.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final
from weakref import WeakValueDictionary

from serinus.api.audit_record import AuditEntry
from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.engine.rollout.observation import AuditFacts
from serinus.errors import SerinusError
from serinus.ports.acting import acted_for, acting_for
from serinus.ports.cluster_state import RolloutRecord
from serinus.reconcile.background import BackgroundTasks
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.ports import Ports
from serinus.reconcile.rollouts.announcements import Announcements
from serinus.telemetry import AuditWrite

logger = logging.getLogger(__name__)

_MODEL_UNKNOWN: Final = "the Rollout's spec cannot be read, so its model is not known"

BACKOFF: Final = Backoff(first=0.5, longest=30.0)
TIMEOUT: Final = 30.0
"""Seconds for one delivery, conflicts with other writers included."""

GATHER: Final = 2.0
"""Seconds from a record to its delivery: those of one moment go together, and the registry's head is written once."""

BATCH: Final = 16
"""The most records that are delivered together."""

CONCURRENCY: Final = 4
"""How many deliveries are under way at a time: the registry shares the connections with everything else."""


@dataclass(slots=True)
class _Delivery:
    """The state of one Rollout's records.

    Attributes:
        recorded: the ids that the registry has accepted and the status still contains.
        problem: why the last try failed; empty where it did not.
        running: whether a task delivers them.
    """

    recorded: set[str] = field(default_factory=set)
    problem: str = ""
    running: bool = False


@dataclass(slots=True, eq=False)
class _LastRecords:
    """The records of a Rollout that is gone, which only this process has.

    Attributes:
        model: the Rollout's model.
        remaining: those that the registry has not accepted yet.
    """

    model: ObjectKey
    remaining: list[AuditEntry]


class OutboxRelay:
    """One background task for each Rollout whose status contains records, none for the others."""

    def __init__(
        self,
        ports: Ports,
        cache: ClusterCache,
        background: BackgroundTasks,
        announcements: Announcements,
        enqueue: Callable[[ObjectKey], None],
    ) -> None:
        """Deliver nothing yet.

        Args:
            ports: everything outside the process.
            cache: the cluster's objects.
            background: the tasks beside the workers.
            announcements: told of each record before the registry is, and never waited for.
            enqueue: has a Rollout reconciled when its records were delivered, or cannot be.
        """
        self._audit_log, self._telemetry = ports.audit_log, ports.telemetry
        self._leadership = ports.leadership
        self._cache = cache
        self._background = background
        self._announcements = announcements
        self._enqueue = enqueue
        self._deliveries: dict[ObjectKey, _Delivery] = {}
        self._last: set[_LastRecords] = set()
        self._slots = asyncio.Semaphore(CONCURRENCY)
        self._turns: WeakValueDictionary[ObjectKey, asyncio.Lock] = WeakValueDictionary()

    def facts(self, record: RolloutRecord) -> AuditFacts:
        """Return which of a Rollout's records were delivered, for the next decision."""
        delivery = self._deliveries.get(record.meta.key)
        if delivery is None:
            return AuditFacts()
        return AuditFacts(recorded=frozenset(delivery.recorded), problem=delivery.problem)

    def deliver(self, record: RolloutRecord) -> None:
        """Announce the records of the Rollout's stored status, and deliver them unless that is under way.

        Those of one that is gone are delivered since ``on_delete``.
        """
        if self._cache.is_gone(record.meta.uid):
            return
        self._announcements.records(record)
        delivery = self._deliveries.get(record.meta.key)
        if delivery is None:
            if not record.status.records:
                return
            delivery = self._deliveries[record.meta.key] = _Delivery()
        stored = {audit_entry.id for audit_entry in record.status.records}
        delivery.recorded &= stored
        if not delivery.running and stored - delivery.recorded:
            if model_of(self._cache, record) is None:
                # Started all the same it would end at once and have the Rollout reconciled, without end.
                delivery.problem = _MODEL_UNKNOWN
                return
            delivery.running = True
            self._background.start(self._deliver(record.meta.key))
        elif not stored and not delivery.running:
            del self._deliveries[record.meta.key]

    def on_delete(self, record: RolloutRecord) -> None:
        """Deliver the last records of a Rollout that is gone: its status cannot bring them any more."""
        self._announcements.last(record)
        delivery = self._deliveries.pop(record.meta.key, None)
        recorded = delivery.recorded if delivery is not None else set()
        remaining = [audit_entry for audit_entry in record.status.records if audit_entry.id not in recorded]
        model = model_of(self._cache, record)
        if remaining and model is not None:
            last = _LastRecords(model, remaining)
            self._last.add(last)
            self._background.start(self._deliver_last(last))

    def forget(self, key: ObjectKey) -> None:
        """Stop the delivery of a Rollout's records: another process delivers what the status contains."""
        self._announcements.forget(key)
        self._deliveries.pop(key, None)

    def forget_models(self, belongs: Callable[[ObjectKey], bool]) -> None:
        """Give up the last records of Rollouts that are gone, whose models another process handles.

        It may have recorded more of these models by now, and a promotion that is recorded after a later one would make
        the wrong version the production version. The log has what no record has.
        """
        for last in [one for one in self._last if belongs(one.model)]:
            self._last.discard(last)
            logger.error(
                "%s: not recorded, as its Rollout was deleted and another process handles the model now: %s",
                last.model,
                "; ".join(f"{one.at:%Y-%m-%dT%H:%M:%SZ} {one.event.value} {one.version}" for one in last.remaining),
            )

    async def _deliver(self, key: ObjectKey) -> None:
        """Deliver until nothing is left; a record that fails is retried, and none overtakes it."""
        delivery, pauses = self._deliveries[key], iter(BACKOFF)
        try:
            await self._gather(key)
            while (following := self._next(key, delivery)) is not None:
                model, entries = following
                async with self._turn_of(model):
                    problem = await self._record(model, entries)
                if not problem:
                    delivery.recorded.update(audit_entry.id for audit_entry in entries)
                    pauses, delivery.problem = iter(BACKOFF), ""
                    continue
                first, delivery.problem = not delivery.problem, problem
                if first:
                    self._enqueue(key)
                await asyncio.sleep(next(pauses))
        finally:
            delivery.running = False
        self._enqueue(key)

    async def _gather(self, key: ObjectKey) -> None:
        """Wait for what happens at the same moment, unless the Rollout is being deleted and waits for its records."""
        record = self._cache.rollout(key)
        if record is not None and not record.deleting:
            await asyncio.sleep(GATHER)

    def _next(self, key: ObjectKey, delivery: _Delivery) -> tuple[ObjectKey, list[AuditEntry]] | None:
        record = self._cache.rollout(key)
        if record is None or self._deliveries.get(key) is not delivery:
            return None
        model = model_of(self._cache, record)
        remaining = [audit_entry for audit_entry in record.status.records if audit_entry.id not in delivery.recorded]
        # After a failure one by one: each that the registry accepts need not be sent again.
        most = 1 if delivery.problem else BATCH
        return (model, remaining[:most]) if remaining and model is not None else None

    async def _record(self, model: ObjectKey, entries: Sequence[AuditEntry]) -> str:
        """Return why the registry did not accept all of these records; empty where it did."""
        if self._leadership.epoch_of(acted_for()) is None:
            return "this process does not lead any more"
        told = ", ".join(audit_entry.event.value for audit_entry in entries)
        try:
            async with self._slots, asyncio.timeout(TIMEOUT):
                sequence = await self._audit_log.record_all(model, entries)
        except TimeoutError:
            problem = f"no answer within {TIMEOUT:g} s"
        except SerinusError as failure:
            problem = str(failure)
        else:
            self._telemetry.audit_writes.labels(AuditWrite.ACCEPTED.value).inc(len(entries))
            logger.debug("%s: records up to %d: %s", model, sequence, told)
            return ""
        self._telemetry.audit_writes.labels(AuditWrite.FAILED.value).inc()
        logger.warning("%s: not recorded yet: %s: %s", model, told, problem)
        return problem

    async def _deliver_last(self, last: _LastRecords) -> None:
        with acting_for(last.model):
            async with self._turn_of(last.model):
                pauses = iter(BACKOFF)
                while last in self._last and last.remaining:
                    if not await self._record(last.model, last.remaining[:1]):
                        del last.remaining[0]
                        pauses = iter(BACKOFF)
                        continue
                    await asyncio.sleep(next(pauses))
        self._last.discard(last)

    def _turn_of(self, model: ObjectKey) -> asyncio.Lock:
        """Return what a Rollout of a model holds while it delivers; who asks first has it first.

        The last records of a Rollout that is gone come before those of the next one: a promotion that is recorded after
        a later one would make the wrong version the production version.
        """
        turn = self._turns.get(model)
        if turn is None:
            turn = self._turns[model] = asyncio.Lock()
        return turn


def model_of(cache: ClusterCache, record: RolloutRecord) -> ObjectKey | None:
    """Return the model of a Rollout; None where its spec could never be read."""
    plan = cache.last_plan(record)
    return ObjectKey(record.meta.key.namespace, plan.model) if plan is not None else None
