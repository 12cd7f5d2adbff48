"""Commits steps to a model's history with optimistic concurrency.

On a conflict, the head is read again and the step decided again; after an ambiguous outcome, it is committed again
under the same id, which is idempotent.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from msgspec import structs

from serinus.api.audit_record import AuditEntry, OperatorIdentity
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.engine.audit.head import (
    MOST_BEHIND,
    Accepted,
    ChangeRequest,
    Rejected,
    evaluate,
    head_may_follow,
    seal,
)
from serinus.engine.versions.catalogue import VersionEntry
from serinus.errors import AmbiguousError, ConflictError, RefusedError, SerinusError, TransientError
from serinus.ports.registry_store import Commit, RegistryStore, Yank
from serinus.ports.services import Clock
from serinus.registry.preconditions import passing_over_yanked, registered_as, registered_entry, yank_entry

logger = logging.getLogger(__name__)

TRIES: Final = 40
"""The most attempts of one step: with a dozen writers on one model, each step has a few conflicts."""

_BACKOFF: Final = Backoff(first=0.05, longest=0.5, jitter=0.5)


class Commits:
    """The steps of one process on one store; ``by`` is the process that records."""

    def __init__(self, store: RegistryStore, clock: Clock, by: OperatorIdentity) -> None:
        """Initialize without sending a request."""
        self._store = store
        self._clock = clock
        self._by = by

    async def commit(
        self,
        model: ObjectKey,
        audit_entry: AuditEntry,
        *,
        request: ChangeRequest | None = None,
        registers: VersionEntry | None = None,
        yanks: Yank | None = None,
    ) -> int:
        """Commit one step and return the number of its record; of one that is known, the number that it has."""
        pauses = iter(_BACKOFF)
        for attempt in range(1, TRIES + 1):
            step = await self._decide(model, audit_entry, request=request, registers=registers, yanks=yanks)
            if isinstance(step, int):
                return step
            try:
                await self._store.commit(step)
            except (ConflictError, AmbiguousError, TransientError):
                if attempt == TRIES:
                    raise
                await asyncio.sleep(next(pauses))
            else:
                return step.record.sequence
        raise AssertionError("the last attempt returns or raises")

    async def commit_all(self, model: ObjectKey, entries: Sequence[AuditEntry]) -> int:
        """Commit facts in this order and return the number of the last record; the head is moved as seldom as it may.

        Raises:
            SerinusError: as of ``commit``; some of them may be recorded.
        """
        if len(entries) > 1:
            try:
                return await self._commit_together(model, entries)
            except SerinusError as problem:
                logger.debug("%s: its records are committed one by one: %s", model, problem)
        # One that is recorded already moves a head that was left behind.
        number = 0
        for entry in entries:
            number = await self.commit(model, entry)
        return number

    async def _commit_together(self, model: ObjectKey, entries: Sequence[AuditEntry]) -> int:
        head = stored = await self._store.read_head(model)
        behind = 0
        for entry in entries:
            if (known := await self._store.find_record(model, head, entry.id)) is not None:
                raise ConflictError(f"{model}: record {known} is of the same entry")
            step = await self._step(model, head, entry, serves="")
            may_follow = stored.audit.sequence > 0 and behind + 1 < MOST_BEHIND and head_may_follow(entry.event)
            later = may_follow and entry is not entries[-1]
            await self._store.commit(replace(step, head_later=later, stored=stored))
            head, behind = step.after, behind + 1 if later else 0
            stored = stored if later else head
        return head.audit.sequence

    async def _decide(
        self,
        model: ObjectKey,
        audit_entry: AuditEntry,
        *,
        request: ChangeRequest | None,
        registers: VersionEntry | None,
        yanks: Yank | None,
    ) -> Commit | int:
        """Return the step to store, or the number of the record that has it already."""
        head = await self._store.read_head(model)
        if yanks is not None:
            audit_entry, done = await yank_entry(self._store, model, head, audit_entry, yanks)
            if done:
                return done
        known = await self._store.find_record(model, head, audit_entry.id)
        if known is not None:
            return known
        if registers is not None and (registered := await registered_as(self._store, model, head, registers)):
            return registered
        change = await self._evaluated(model, head, request) if request is not None else None
        serves = change.serves if change is not None else ""
        step = await self._step(model, head, _with_change(audit_entry, change), serves=serves)
        return replace(step, registers=registers, yanks=yanks)

    async def _evaluated(self, model: ObjectKey, head: Head, request: ChangeRequest) -> Accepted:
        change = evaluate(head, await passing_over_yanked(self._store, model, head, request))
        if isinstance(change, Rejected):
            raise RefusedError(f"{model}: {change.message}")
        return change

    async def _step(self, model: ObjectKey, head: Head, audit_entry: AuditEntry, *, serves: str) -> Commit:
        if serves:
            known = await self._store.read_registered(model, head, serves)
            states = known is not None and bool(known.holds_spec or known.digest)
            stored = known if known is not None and states else await registered_entry(self._store, model, serves)
            audit_entry = structs.replace(audit_entry, digest=stored.digest)
        cluster = (await self._store.owner()).cluster
        record, after = seal(head, audit_entry, model, by=self._by, now=self._clock.now(), cluster=cluster)
        return Commit(
            model=model,
            before=head,
            record=record,
            after=after,
            serves=serves,
            digest=audit_entry.digest if serves else "",
        )


def _with_change(audit_entry: AuditEntry, change: Accepted | None) -> AuditEntry:
    if change is None:
        return audit_entry
    return structs.replace(audit_entry, event=change.event, version=change.version, to=change.to)
