"""Everything that a chain can be held against: itself, the head, checkpoints, and the archive of what was removed."""

from dataclasses import dataclass
from typing import Final

from serinus.api.audit_record import AuditEvent, AuditRecordSpec, HeadSummary
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.audit.archive import ArchivePlace
from serinus.audit.archive_reader import ArchivedRecords
from serinus.audit.checkpoint_reader import Seen
from serinus.engine.audit.chain import Anchor, ChainFault, ChainFinding, ChainWalk, Content, StoredRecord
from serinus.engine.audit.head import apply, summary_of
from serinus.errors import InvalidObjectError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.service import Registry

_LOOKS: Final = 3
"""How often a chain is read anew because retention has removed records meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What a chain was held against, and what is wrong with it.

    Attributes:
        model: whose chain.
        records: how many were read.
        head: what the registry says.
        findings: everything that is wrong; nothing where the chain is whole.
        checkpoints: how many have seen this model.
        archived: how many of the records came from the archive.
        notes: what is not wrong, but whoever verifies should know.
    """

    model: ObjectKey
    records: int
    head: Head
    findings: tuple[ChainFinding, ...]
    checkpoints: int = 0
    archived: int = 0
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the chain is whole."""
        return not self.findings

    @property
    def unknown(self) -> bool:
        """Whether nobody has ever heard of the model."""
        return self.head.audit.sequence == 0 and self.ok


async def prove(
    registry: Registry, model: ObjectKey, seen: Seen | None = None, archive: ArchivePlace | None = None
) -> Proof:
    """Recompute a model's chain and hold it against all that there is.

    Args:
        registry: whose.
        model: which.
        seen: the checkpoints, read before this is called; what is wrong with themselves is not repeated here.
        archive: where retention put what it removed; without it the chain begins after that.

    Raises:
        TransientError, RefusedError: the registry or the archive could not be asked, or will not answer.
    """
    known = seen or Seen()
    proof = await _prove(registry, model, known, archive)
    for _ in range(_LOOKS):
        pruned = (await registry.head(model)).audit.pruned_through
        if proof.ok or pruned == proof.head.audit.pruned_through:
            break
        proof = await _prove(registry, model, known, archive)
    return proof


async def _prove(registry: Registry, model: ObjectKey, seen: Seen, archive: ArchivePlace | None) -> Proof:
    head, anchors = await registry.head(model), seen.of(model)
    mentions = seen.mentions.get(model, 0)
    if head.audit.pruned_through == 0:
        held = await registry.verify(model, anchors)
        return Proof(model=model, records=held.records, head=held.head, findings=held.findings, checkpoints=mentions)
    if archive is not None:
        return await _prove_all(registry.store, model, head, seen, archive)
    held = await registry.verify(model, anchors)
    findings = (*held.findings, *_removal(head, anchors), *await _tombstone(registry.store, model, head))
    note = (
        f"the records up to #{head.audit.pruned_through} were removed by retention and are kept at "
        f"{head.audit.archive}: give --archive to verify them as well"
    )
    return Proof(model=model, records=held.records, head=head, findings=findings, checkpoints=mentions, notes=(note,))


def _removal(head: Head, anchors: tuple[Anchor, ...]) -> list[ChainFinding]:
    """Hold what is said of the removed records against the checkpoints: a removal must not hide a forgery."""
    audit = head.audit
    found = [
        ChainFinding(
            ChainFault.CHECKPOINT_DIFFERS, one.sequence, f"{one.where} has seen {one.hash}, not {audit.pruned_hash}"
        )
        for one in anchors
        if one.sequence == audit.pruned_through and one.hash != audit.pruned_hash
    ]
    last = max((one.sequence for one in anchors), default=audit.pruned_through)
    if last < audit.pruned_through:
        message = f"records up to {audit.pruned_through} were removed, but the checkpoints have seen none after {last}"
        found.append(ChainFinding(ChainFault.CHECKPOINT_DIFFERS, audit.pruned_through, message))
    return found


async def _tombstone(store: RegistryStore, model: ObjectKey, head: Head) -> list[ChainFinding]:
    """Look for the record that says what was removed, and hold the last record against the head."""
    audit, told = head.audit, False
    last: Content = {}
    async for record in store.read_records(model, after=audit.pruned_through, through=audit.sequence):
        told = told or _tells_of(record.content, head)
        last = record.content
    return [*_untold(head, told=told), *_standing(last, head)]


def _tells_of(content: Content, head: Head) -> bool:
    details, audit = content.get("details"), head.audit
    return (
        content.get("event") == AuditEvent.RECORDS_PRUNED.value
        and isinstance(details, dict)
        and (details.get("through"), details.get("hash")) == (str(audit.pruned_through), audit.pruned_hash)
    )


def _untold(head: Head, *, told: bool) -> list[ChainFinding]:
    if told:
        return []
    message = f"the head says that records up to {head.audit.pruned_through} were removed, but no record says so"
    return [ChainFinding(ChainFault.HEAD_DIFFERS, head.audit.pruned_through, message)]


def _standing(last: Content, head: Head) -> list[ChainFinding]:
    try:
        after = decode(HeadSummary, last.get("after"), "after")
    except InvalidObjectError:
        return []  # The record is told of as unreadable already.
    if after == summary_of(head):
        return []
    message = "the head does not say what the last record says: production, candidate or generation differ"
    return [ChainFinding(ChainFault.HEAD_DIFFERS, head.audit.sequence, message)]


# ---- with the archive -------------------------------------------------------------------------


async def _prove_all(store: RegistryStore, model: ObjectKey, head: Head, seen: Seen, archive: ArchivePlace) -> Proof:
    """Walk the whole chain from its first record, the removed ones out of the archive."""
    audit, anchors = head.audit, seen.of(model)
    whole = _Whole(ChainWalk(anchors=anchors))
    removed = ArchivedRecords(archive, model, audit.pruned_through)
    async for record in removed:
        whole.take(record)
    archived = whole.records
    if (whole.last.sequence, whole.last.hash) != (audit.pruned_through, audit.pruned_hash):
        said = f"#{audit.pruned_through} {audit.pruned_hash}"
        message = f"the archive ends with #{whole.last.sequence} {whole.last.hash}, the head says {said} was the last"
        whole.findings.append(ChainFinding(ChainFault.HEAD_DIFFERS, audit.pruned_through, message))
    told = False
    async for record in store.read_records(model, after=audit.pruned_through, through=audit.sequence):
        told = told or _tells_of(record.content, head)
        whole.take(record)
    findings = (*removed.findings, *whole.finish(head), *_untold(head, told=told))
    return Proof(
        model=model,
        records=whole.records,
        head=head,
        findings=findings,
        checkpoints=seen.mentions.get(model, 0),
        archived=archived,
    )


class _Whole:
    """One pass over a whole chain: its links, its records' form, and the head that it comes to."""

    def __init__(self, walk: ChainWalk) -> None:
        self._walk = walk
        self._head: Head | None = Head()
        self.findings: list[ChainFinding] = []
        self.records = 0
        self.last = Anchor(0, "", "the chain")

    def take(self, record: StoredRecord) -> None:
        self._walk.add(record)
        self.records += 1
        self.last = Anchor(record.sequence, str(record.content.get("hash", "")), "the chain")
        try:
            read = decode(AuditRecordSpec, dict(record.content), "record")
        except InvalidObjectError as problem:
            self.findings.append(ChainFinding(ChainFault.UNREADABLE, record.sequence, str(problem)))
            self._head = None
        else:
            self._head = apply(self._head, read) if self._head is not None else None

    def finish(self, head: Head) -> list[ChainFinding]:
        end = Anchor(head.audit.sequence, head.audit.hash, "the head")
        found = [*self._walk.finish(end), *self.findings]
        if not found and self._head is not None and _truth(self._head) != _truth(head):
            message = "the head does not say what the chain comes to: production, good or quarantined versions differ"
            found.append(ChainFinding(ChainFault.HEAD_DIFFERS, head.audit.sequence, message))
        return found


def _truth(head: Head) -> tuple[object, ...]:
    return (head.production, head.good, head.quarantined, head.generation, head.candidate)
