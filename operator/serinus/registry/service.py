"""The registry's verbs over any store: register, get, list, production, promote, rollback, history, verify.

A verb that another one overtakes reads the head anew and decides again; one that may have happened is committed again
under the same id, which changes nothing if it did.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field
from typing import Final

from msgspec import structs

from serinus.api.audit_record import AuditEntry, AuditEvent, AuditRecordSpec, OperatorIdentity
from serinus.api.model import Head, ProductionVersion
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.backoff import Backoff
from serinus.engine.audit.chain import Anchor, ChainFault, ChainFinding, ChainWalk, StoredRecord
from serinus.engine.audit.head import Accepted, ChangeRequest, Promote, Rejected, RollBack, apply, evaluate, seal
from serinus.engine.versions.catalogue import Query, VersionEntry, select
from serinus.errors import (
    AmbiguousError,
    ConflictError,
    InvalidObjectError,
    NotFoundError,
    RefusedError,
    TransientError,
)
from serinus.ports.registry_store import Commit, RegistryStore
from serinus.ports.services import Clock

TRIES: Final = 40
"""How often a step is decided anew: with a dozen writers on one model, each step is overtaken a few times."""

_BACKOFF: Final = Backoff(first=0.05, longest=0.5, jitter=0.5)
_SERVING: Final = frozenset({AuditEvent.PROMOTED, AuditEvent.STABLE_ADOPTED, AuditEvent.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class Verification:
    """What a verification came to.

    Attributes:
        model: whose chain.
        records: how many were read.
        head: what the registry says.
        findings: everything that is wrong; nothing where the chain is whole.
        anchors: how many checkpoints it was held against.
    """

    model: ObjectKey
    records: int
    head: Head
    findings: tuple[ChainFinding, ...]
    anchors: int = 0

    @property
    def ok(self) -> bool:
        """Whether the chain is whole and the head is what it comes to."""
        return not self.findings


@dataclass(slots=True)
class _Reading:
    """What a verification has seen so far: one pass, one record in memory."""

    records: int = 0
    head: Head | None = field(default_factory=Head)
    findings: list[ChainFinding] = field(default_factory=list)

    def take(self, stored: StoredRecord) -> None:
        """Count a record in and fold it into the head that the chain comes to."""
        self.records += 1
        try:
            record = decode(AuditRecordSpec, dict(stored.content), "spec")
        except InvalidObjectError as problem:
            self.findings.append(ChainFinding(ChainFault.UNREADABLE, stored.sequence, str(problem)))
            self.head = None
        else:
            self.head = apply(self.head, record) if self.head is not None else None


class Registry:
    """The verbs, on one store, in the name of one process."""

    def __init__(self, store: RegistryStore, clock: Clock, by: OperatorIdentity) -> None:
        """Nothing is asked yet."""
        self.store = store
        self._clock = clock
        self._by = by

    # ---- reading -------------------------------------------------------------------------------

    async def head(self, model: ObjectKey) -> Head:
        """Return the one truth about a model, in one strongly consistent read."""
        return await self.store.read_head(model)

    async def production(self, model: ObjectKey) -> ProductionVersion | None:
        """Return the version that serves; None where none does."""
        return (await self.store.read_head(model)).production

    async def get(self, model: ObjectKey, version: str) -> VersionEntry:
        """Return one version; NotFoundError where it is not registered."""
        found = await self.store.read_version(model, version.removeprefix("v"))
        if found is None:
            raise NotFoundError(f"{model.name} {version} is not registered in {model.namespace or 'the registry'}")
        return found

    async def list(self, model: ObjectKey, query: Query | None = None) -> list[VersionEntry]:
        """Return the versions that the query wants, the newest first in the order of SemVer."""
        wanted = query or Query()
        head = await self.store.read_head(model)
        return select([entry async for entry in self.store.list_versions(model, wanted)], head, wanted)

    async def history(self, model: ObjectKey, *, after: int = 0) -> AsyncIterator[AuditRecordSpec]:
        """Yield the audit trail in order; InvalidObjectError where a record cannot be read."""
        async for stored in self.store.read_records(model, after=after):
            yield decode(AuditRecordSpec, dict(stored.content), "spec")

    async def verify(self, model: ObjectKey, anchors: Iterable[Anchor] = ()) -> Verification:
        """Recompute the whole chain, hold it against the head and against checkpoints, and say all that is wrong.

        Records that are added meanwhile do not disturb it: the head is read first. The checkpoints must have been read
        before this is called: one that has seen more than the head says is a finding.
        """
        known = tuple(anchors)
        head = await self.store.read_head(model)
        begin = Anchor(head.audit.pruned_through, head.audit.pruned_hash, "the last removed record")
        reading = _Reading(head=Head() if begin.sequence == 0 else None)
        walk = ChainWalk(begin, known)
        async for one in self.store.read_records(model, after=begin.sequence, through=head.audit.sequence):
            walk.add(one)
            reading.take(one)
        found = [*walk.finish(Anchor(head.audit.sequence, head.audit.hash, "the head")), *reading.findings]
        if reading.head is not None and not found and _truth(reading.head) != _truth(head):
            message = "the head does not say what the chain comes to: production, good or quarantined versions differ"
            found.append(ChainFinding(ChainFault.HEAD_DIFFERS, head.audit.sequence, message))
        return Verification(model, reading.records, head, tuple(found), len(known))

    # ---- writing -------------------------------------------------------------------------------

    async def register(self, model: ObjectKey, entry: VersionEntry, audit_entry: AuditEntry) -> int:
        """Make a version known; registering the same spec again changes nothing. Returns the record's number.

        Raises:
            RefusedError: this version is known with another spec.
            TransientError, AmbiguousError: try again with the same audit_entry.
        """
        return await self._commit(model, audit_entry, registers=entry)

    async def record(self, model: ObjectKey, audit_entry: AuditEntry) -> int:
        """Take in a fact: what happened, happened, whatever the head says. Returns the record's number.

        Where a version serves by it that the registry does not know, the record bears the digest that it came with.
        """
        serving = (audit_entry.to or audit_entry.version) if audit_entry.event in _SERVING else ""
        known = await self.store.read_version(model, serving) if serving else None
        if known is not None:
            audit_entry = structs.replace(audit_entry, digest=known.digest)
        return await self._commit(model, audit_entry)

    async def set_yanked(self, model: ObjectKey, version: str, reason: str) -> None:
        """Mark a version so that it can never serve again; NotFoundError where it is not registered."""
        await self.store.set_yanked(model, version, reason)

    async def promote(
        self, model: ObjectKey, version: str, audit_entry: AuditEntry, *, generation: int | None = None
    ) -> int:
        """Make a registered version the production version; see :meth:`_wish`."""
        return await self._wish(model, Promote(version.removeprefix("v"), generation), audit_entry)

    async def rollback(
        self, model: ObjectKey, audit_entry: AuditEntry, *, to: str | None = None, generation: int | None = None
    ) -> int:
        """Go back to a version, or to the last known good one; see :meth:`_wish`."""
        return await self._wish(model, RollBack(to.removeprefix("v") if to else None, generation), audit_entry)

    async def _wish(self, model: ObjectKey, wish: ChangeRequest, audit_entry: AuditEntry) -> int:
        """Grant a client's wish if the head allows it.

        ``audit_entry`` bears who, why and the id; the same id again returns what came of it the first time.

        Raises:
            RefusedError: the head does not allow it, says why.
            NotFoundError: the version is not registered.
            ConflictError: others were faster, forty times.
            TransientError, AmbiguousError: try again with the same audit_entry.
        """
        return await self._commit(model, audit_entry, wish=wish)

    async def _commit(
        self,
        model: ObjectKey,
        audit_entry: AuditEntry,
        *,
        wish: ChangeRequest | None = None,
        serves: str = "",
        registers: VersionEntry | None = None,
    ) -> int:
        pauses = iter(_BACKOFF)
        for attempt in range(1, TRIES + 1):
            head = await self.store.read_head(model)
            told = await self.store.find_record(model, head, audit_entry.id)
            if told is not None:
                return told
            granted = evaluate(head, wish) if wish is not None else None
            if isinstance(granted, Rejected):
                raise RefusedError(f"{model}: {granted.message}")
            told_of, serving = _as_granted(audit_entry, granted), granted.serves if granted is not None else serves
            step = await self._step(model, head, told_of, serves=serving, registers=registers)
            try:
                await self.store.commit(step)
            except (ConflictError, AmbiguousError, TransientError):
                if attempt == TRIES:
                    raise
                await asyncio.sleep(next(pauses))
            else:
                return step.record.sequence
        raise AssertionError("the last try has returned or raised")

    async def _step(
        self, model: ObjectKey, head: Head, audit_entry: AuditEntry, *, serves: str, registers: VersionEntry | None
    ) -> Commit:
        if serves:
            entry = await self.get(model, serves)
            audit_entry = structs.replace(audit_entry, digest=entry.digest)
        record, after = seal(head, audit_entry, model, by=self._by, now=self._clock.now())
        return Commit(
            model=model,
            before=head,
            record=record,
            after=after,
            serves=serves,
            digest=audit_entry.digest if serves else "",
            registers=registers,
        )


def _as_granted(audit_entry: AuditEntry, granted: Accepted | None) -> AuditEntry:
    if granted is None:
        return audit_entry
    return structs.replace(audit_entry, event=granted.event, version=granted.version, to=granted.to)


def _truth(head: Head) -> tuple[object, ...]:
    return (head.production, head.good, head.quarantined, head.generation, head.candidate)
