"""Carries the records of Rollouts to the registry: in order, beside the looks, for as long as it takes.

No look ever waits for it. What it has carried is told to the next decision, which takes it out of the status; what a
crash makes it carry again changes nothing, for the registry knows each record by its id.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Final

from serinus.api.audit_record import AuditEntry
from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.engine.rollout.observation import AuditFacts
from serinus.errors import SerinusError
from serinus.ports.cluster_state import RolloutRecord
from serinus.ports.services import AuditLog
from serinus.reconcile.cache import ClusterCache
from serinus.telemetry import Telemetry

logger = logging.getLogger(__name__)

BACKOFF: Final = Backoff(first=0.5, longest=30.0)
TIMEOUT: Final = 30.0
"""Seconds for one record, conflicts with other writers included."""

AT_ONCE: Final = 4
"""How many models are written to at a time: the registry shares the connections with everything else."""


@dataclass(slots=True)
class _Delivery:
    """How far one Rollout's records are."""

    recorded: set[str] = field(default_factory=set)
    problem: str = ""
    busy: bool = False


class OutboxRelay:
    """One task for each Rollout that has something to tell, none for the others."""

    def __init__(
        self,
        ledger: AuditLog,
        store: ClusterCache,
        telemetry: Telemetry,
        *,
        start: Callable[[Coroutine[object, object, object]], None],
        look: Callable[[ObjectKey], None],
    ) -> None:
        """Tell this ledger; ``start`` runs a task beside the looks, ``look`` asks for a look at a Rollout."""
        self._ledger = ledger
        self._store = store
        self._telemetry = telemetry
        self._start = start
        self._look = look
        self._carried: dict[ObjectKey, _Delivery] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    def facts(self, record: RolloutRecord) -> AuditFacts:
        """Return how far a Rollout's records are, for the next decision."""
        held = self._carried.get(record.meta.key)
        if held is None:
            return AuditFacts()
        return AuditFacts(recorded=frozenset(held.recorded), problem=held.problem)

    def notice(self, record: RolloutRecord) -> None:
        """Carry what the Rollout's stored status has to tell, unless that is under way."""
        held = self._carried.get(record.meta.key)
        if held is None:
            if not record.status.records:
                return
            held = self._carried[record.meta.key] = _Delivery()
        waiting = {one.id for one in record.status.records}
        held.recorded &= waiting
        if not held.busy and waiting - held.recorded:
            held.busy = True
            self._start(self._carry(record.meta.key))
        elif not waiting and not held.busy:
            del self._carried[record.meta.key]

    def forget(self, record: RolloutRecord) -> None:
        """Carry the last records of a Rollout that is gone: its status cannot tell them any more."""
        held = self._carried.pop(record.meta.key, None)
        recorded = held.recorded if held is not None else set()
        left = [one for one in record.status.records if one.id not in recorded]
        if left:
            self._start(self._carry_last(record, left))

    async def _carry(self, key: ObjectKey) -> None:
        """Carry until nothing is left; what does not go is tried again, and nothing overtakes it."""
        held, pauses = self._carried[key], iter(BACKOFF)
        try:
            while (following := self._next(key, held)) is not None:
                model, audit_entry = following
                problem = await self._tell(model, audit_entry)
                if not problem:
                    held.recorded.add(audit_entry.id)
                    pauses, held.problem = iter(BACKOFF), ""
                    continue
                first, held.problem = not held.problem, problem
                if first:
                    self._look(key)
                await asyncio.sleep(next(pauses))
        finally:
            held.busy = False
        self._look(key)

    def _next(self, key: ObjectKey, held: _Delivery) -> tuple[ObjectKey, AuditEntry] | None:
        record = self._store.rollout(key)
        if record is None or self._carried.get(key) is not held:
            return None
        model = model_of(self._store, record)
        left = (one for one in record.status.records if one.id not in held.recorded)
        following = next(left, None)
        return (model, following) if following is not None and model is not None else None

    async def _tell(self, model: ObjectKey, audit_entry: AuditEntry) -> str:
        """Return why the registry did not take a record; empty where it did."""
        try:
            async with self._slots, asyncio.timeout(TIMEOUT):
                number = await self._ledger.record(model, audit_entry)
        except TimeoutError:
            problem = f"no answer within {TIMEOUT:g} s"
        except SerinusError as failure:
            problem = str(failure)
        else:
            self._telemetry.records.labels(audit_entry.event.value).inc()
            logger.debug("%s: record %d: %s", model, number, audit_entry.event.value)
            return ""
        self._telemetry.record_failures.inc()
        logger.warning("%s: %s is not recorded yet: %s", model, audit_entry.event.value, problem)
        return problem

    async def _carry_last(self, record: RolloutRecord, left: list[AuditEntry]) -> None:
        plan, pause = self._store.last_plan(record), BACKOFF.first
        if plan is None:
            return
        for audit_entry in left:
            while await self._tell(ObjectKey(record.meta.key.namespace, plan.model), audit_entry):
                await asyncio.sleep(pause)
                pause = BACKOFF.after(pause)


def model_of(store: ClusterCache, record: RolloutRecord) -> ObjectKey | None:
    """Return the model of a Rollout; None where its spec could never be read."""
    plan = store.last_plan(record)
    return ObjectKey(record.meta.key.namespace, plan.model) if plan is not None else None
