"""The registry's operations over any store: register, get, list, production, promote, rollback, history, verify."""

from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec import structs

from serinus.api.audit_record import AuditEntry, AuditEvent, AuditRecordSpec, OperatorIdentity, RegistryEntry
from serinus.api.model import Head, ProductionVersion
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.engine.audit.chain import Anchor, ChainFinding
from serinus.engine.audit.examination import Examination
from serinus.engine.audit.head import ChangeRequest, Promote, RollBack
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.versions.catalogue import Query, VersionEntry, registration_of, select
from serinus.ports.registry_store import RegistryStore, Yank
from serinus.ports.services import Clock
from serinus.registry.commits import Commits
from serinus.registry.preconditions import registered_entry

_VERIFICATIONS: Final = 3
"""So often a chain is read at most, while others write it, until its defects are believed."""

_LONGEST_REASON: Final = 4096
_SERVING: Final = frozenset({AuditEvent.PROMOTED, AuditEvent.STABLE_ADOPTED, AuditEvent.ROLLED_BACK})


@dataclass(frozen=True, slots=True)
class Verification:
    """The result of verifying a model's chain.

    Attributes:
        model: the model.
        records: the number of records that were read.
        head: the registry's head.
        findings: all defects; none if the chain is intact.
        anchors: the number of checkpoints compared with.
        notes: what could not be compared, in words.
    """

    model: ObjectKey
    records: int
    head: Head
    findings: tuple[ChainFinding, ...]
    anchors: int = 0
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the chain is intact and the head equals its fold."""
        return not self.findings


class Registry:
    """The operations on one store; ``by`` is the process that records."""

    def __init__(self, store: RegistryStore, clock: Clock, by: OperatorIdentity) -> None:
        """Initialize without sending a request."""
        self.store = store
        self._commits = Commits(store, clock, by)

    # ---- reading -------------------------------------------------------------------------------

    async def head(self, model: ObjectKey) -> Head:
        """Return a model's head by one strongly consistent read."""
        return await self.store.read_head(model)

    async def production(self, model: ObjectKey) -> ProductionVersion | None:
        """Return the production version; None where there is none."""
        return (await self.store.read_head(model)).production

    async def get(self, model: ObjectKey, version: str) -> VersionEntry:
        """Return one version; NotFoundError where it is not registered."""
        return await registered_entry(self.store, model, version.removeprefix("v"))

    async def list(self, model: ObjectKey, query: Query | None = None) -> list[VersionEntry]:
        """Return the versions that match the query in SemVer order, newest first."""
        filters = query or Query()
        head = await self.store.read_head(model)
        return select([entry async for entry in self.store.list_versions(model, filters)], head, filters)

    async def history(self, model: ObjectKey, *, after: int = 0) -> AsyncIterator[AuditRecordSpec]:
        """Yield the audit trail in order; InvalidObjectError where a record cannot be decoded."""
        async for stored in self.store.read_records(model, after=after):
            yield decode(AuditRecordSpec, dict(stored.content), "spec")

    async def verify(self, model: ObjectKey, anchors: Iterable[Anchor] = ()) -> Verification:
        """Recompute the whole chain and compare it with all that the store shows beside it; return all defects.

        Compared are the head, the versions, the attributes that are searched by, checkpoints, and whether records are
        beyond the head. Records that are added concurrently do not matter: a defect counts when it is still there
        after the head has stopped moving. The checkpoints must have been read before the call: a checkpoint that is
        ahead of the head is a finding.
        """
        known = tuple(anchors)
        found = await self._verify(model, known)
        for _ in range(_VERIFICATIONS - 1):
            if found.ok or await self.store.read_head(model) == found.head:
                break
            found = await self._verify(model, known)
        return found

    async def _verify(self, model: ObjectKey, anchors: tuple[Anchor, ...]) -> Verification:
        contents = await self.store.inspect(model)
        head = await self.store.read_head(model)
        examination = Examination(model, head, anchors=anchors, owner=await self.store.owner())
        async for record in self.store.read_records(model, after=head.audit.pruned_through):
            examination.add(record)
        latest = await self.store.read_head(model) if examination.beyond else head
        findings, notes = examination.finish(contents, latest=latest.audit.sequence)
        return Verification(model, examination.records, head, findings, len(anchors), notes)

    # ---- writing -------------------------------------------------------------------------------

    async def register(self, model: ObjectKey, entry: VersionEntry, audit_entry: AuditEntry) -> int:
        """Register a version and return the record's number; registering the same spec again changes nothing.

        The record holds the version's spec, labels and time, and its hash: they are the version's for ever.

        Raises:
            VersionTakenError: the version is registered with another spec.
            TransientError, AmbiguousError: retry with the same entry.
        """
        facts = {
            "event": AuditEvent.VERSION_REGISTERED,
            "version": entry.version,
            "digest": entry.digest,
            "spec_hash": entry.spec_hash,
            "registration": registration_of(entry),
        }
        audit_entry = RegistryEntry(**{**structs.asdict(audit_entry), **facts})
        return await self._commits.commit(model, audit_entry, registers=entry)

    async def record(self, model: ObjectKey, audit_entry: AuditEntry) -> int:
        """Record a fact, which is accepted whatever the head says, and return the record's number.

        The record of a new production version contains the digest that the entry says has served, whatever the
        registry knows: a difference is a finding of :meth:`verify`. An entry without one gets the registered digest.
        """
        return await self._commits.commit(model, await self._with_digest(model, audit_entry))

    async def record_all(self, model: ObjectKey, entries: Sequence[AuditEntry]) -> int:
        """Record facts in this order, as ``record`` does each, and return the number of the last record.

        A store that writes its head apart from the records writes it once. After an error some are recorded.
        """
        return await self._commits.commit_all(model, [await self._with_digest(model, one) for one in entries])

    async def _with_digest(self, model: ObjectKey, audit_entry: AuditEntry) -> AuditEntry:
        """Return the entry with the digest of the version that it makes serve, where it has none."""
        serving = (audit_entry.to or audit_entry.version) if audit_entry.event in _SERVING else ""
        if not serving or audit_entry.digest:
            return audit_entry
        known = await self.store.read_version(model, serving)
        return structs.replace(audit_entry, digest=known.digest if known is not None else "")

    async def set_yanked(self, model: ObjectKey, version: str, reason: str, audit_entry: AuditEntry) -> int:
        """Yank a version, or with an empty reason take its yank back; return the number of the record.

        Each change is a record of its own, numbered: the same state asked for again, by whomever, changes nothing and
        returns the record of the last change.

        Raises:
            NotFoundError: the version is not registered.
            TransientError, AmbiguousError: retry.
        """
        version = version.removeprefix("v")
        event = AuditEvent.VERSION_YANKED if reason else AuditEvent.VERSION_UNYANKED
        audit_entry = structs.replace(audit_entry, event=event, version=version)
        if reason:
            audit_entry = structs.replace(audit_entry, reason=reason[:_LONGEST_REASON])
        return await self._commits.commit(model, audit_entry, yanks=Yank(version, audit_entry.reason if reason else ""))

    async def standing(self, model: ObjectKey, version: str) -> RegisteredVersion | None:
        """Return what the records say of a version, whatever its object says; None where they do not mention it."""
        head = await self.store.read_head(model)
        return await self.store.read_registered(model, head, version.removeprefix("v"))

    async def promote(
        self, model: ObjectKey, version: str, audit_entry: AuditEntry, *, generation: int | None = None
    ) -> int:
        """Make a registered version the production version; see :meth:`_change`."""
        return await self._change(model, Promote(version.removeprefix("v"), generation), audit_entry)

    async def rollback(
        self, model: ObjectKey, audit_entry: AuditEntry, *, to: str | None = None, generation: int | None = None
    ) -> int:
        """Go back to a version, or to the last known good one; see :meth:`_change`."""
        return await self._change(model, RollBack(to.removeprefix("v") if to else None, generation), audit_entry)

    async def _change(self, model: ObjectKey, request: ChangeRequest, audit_entry: AuditEntry) -> int:
        """Apply a client's request if the head allows it, and return the record's number.

        The entry has the actor, the reason and the id; the same id again returns the number of the first record.

        Raises:
            RefusedError: the head does not allow it; the message says why.
            NotFoundError: the version is not registered.
            ConflictError: every attempt conflicted with other writers.
            TransientError, AmbiguousError: retry with the same entry.
        """
        return await self._commits.commit(model, audit_entry, request=request)
