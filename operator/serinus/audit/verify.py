"""Verifies a chain in itself and against the head, checkpoints and the archive of removed records."""

from dataclasses import dataclass
from typing import Final

from serinus.api.audit_record import AuditEvent, HeadSummary
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.audit.archive import ArchivePlace
from serinus.audit.archive_reader import ArchivedRecords
from serinus.audit.checkpoint_reader import CheckpointAnchors
from serinus.engine.audit.chain import START, Anchor, ChainFault, ChainFinding, Content
from serinus.engine.audit.examination import Examination
from serinus.engine.audit.head import summary_of
from serinus.errors import InvalidObjectError
from serinus.ports.registry_store import RegistryStore
from serinus.registry.service import Registry

_RETRIES: Final = 3
"""The most repetitions of a verification because retention has removed records meanwhile."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The result of verifying a model's chain.

    Attributes:
        model: the model.
        records: the number of records that were read.
        head: the registry's head.
        findings: all defects; none if the chain is intact.
        checkpoints: the number of checkpoints that contain this model.
        archived: the number of records from the archive.
        notes: remarks that are not defects.
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
        """Whether the chain is intact."""
        return not self.findings

    @property
    def unknown(self) -> bool:
        """Whether there is neither a record nor a finding of the model."""
        return self.head.audit.sequence == 0 and self.ok


async def prove(
    registry: Registry,
    model: ObjectKey,
    checkpoints: CheckpointAnchors | None = None,
    archive: ArchivePlace | None = None,
) -> Proof:
    """Recompute a model's chain and compare it with the head, the checkpoints and the archive.

    Args:
        registry: the registry.
        model: the model.
        checkpoints: read before the call; their own defects are not repeated in the result.
        archive: the archive of the removed records; without it the chain begins after them.

    Raises:
        TransientError, RefusedError: see serinus.errors.
    """
    known = checkpoints or CheckpointAnchors()
    proof = await _prove(registry, model, known, archive)
    for _ in range(_RETRIES):
        pruned = (await registry.head(model)).audit.pruned_through
        if proof.ok or pruned == proof.head.audit.pruned_through:
            break
        proof = await _prove(registry, model, known, archive)
    return proof


async def _prove(
    registry: Registry, model: ObjectKey, checkpoints: CheckpointAnchors, archive: ArchivePlace | None
) -> Proof:
    head, owner = await registry.head(model), await registry.store.owner()
    anchors = checkpoints.of(model, owner)
    mentions = checkpoints.mentions.get(model, 0)
    if head.audit.pruned_through == 0:
        verified = await registry.verify(model, anchors)
        return Proof(
            model=model,
            records=verified.records,
            head=verified.head,
            findings=verified.findings,
            checkpoints=mentions,
            notes=verified.notes,
        )
    if archive is not None:
        return await _prove_all(registry.store, model, checkpoints, archive)
    verified = await registry.verify(model, anchors)
    findings = (*verified.findings, *_removal(head, anchors), *await _tombstone(registry.store, model, head))
    note = (
        f"the records up to #{head.audit.pruned_through} were removed by retention and are kept at "
        f"{head.audit.archive}: give --archive to verify them as well"
    )
    return Proof(
        model=model,
        records=verified.records,
        head=head,
        findings=findings,
        checkpoints=mentions,
        notes=(note, *verified.notes),
    )


def _removal(head: Head, anchors: tuple[Anchor, ...]) -> list[ChainFinding]:
    """Compare the head's removal with the checkpoints: a removal must not hide a forgery."""
    audit = head.audit
    findings = [
        ChainFinding(
            ChainFault.CHECKPOINT_DIFFERS,
            anchor.sequence,
            f"{anchor.where} has {anchor.hash}, not {audit.pruned_hash}",
        )
        for anchor in anchors
        if anchor.sequence == audit.pruned_through and anchor.hash != audit.pruned_hash
    ]
    last = max((anchor.sequence for anchor in anchors), default=audit.pruned_through)
    if last < audit.pruned_through:
        message = f"records up to {audit.pruned_through} were removed, but the checkpoints have seen none after {last}"
        findings.append(ChainFinding(ChainFault.CHECKPOINT_DIFFERS, audit.pruned_through, message))
    return findings


async def _tombstone(store: RegistryStore, model: ObjectKey, head: Head) -> list[ChainFinding]:
    """Search the record of the removal, and compare the last record's summary with the head."""
    audit, recorded = head.audit, False
    last: Content = {}
    async for record in store.read_records(model, after=audit.pruned_through, through=audit.sequence):
        recorded = recorded or _is_tombstone(record.content, head)
        last = record.content
    return [*_missing_tombstone(head, recorded=recorded), *_summary_differs(last, head)]


def _is_tombstone(content: Content, head: Head) -> bool:
    details, audit = content.get("details"), head.audit
    return (
        content.get("event") == AuditEvent.RECORDS_PRUNED.value
        and isinstance(details, dict)
        and (details.get("through"), details.get("hash")) == (str(audit.pruned_through), audit.pruned_hash)
    )


def _missing_tombstone(head: Head, *, recorded: bool) -> list[ChainFinding]:
    if recorded:
        return []
    message = f"the head says that records up to {head.audit.pruned_through} were removed, but no record documents it"
    return [ChainFinding(ChainFault.HEAD_DIFFERS, head.audit.pruned_through, message)]


def _summary_differs(last: Content, head: Head) -> list[ChainFinding]:
    try:
        after = decode(HeadSummary, last.get("after"), "after")
    except InvalidObjectError:
        return []  # the record is reported as unreadable already
    if after == summary_of(head):
        return []
    message = "the head differs from the last record in the production version, candidate or generation"
    return [ChainFinding(ChainFault.HEAD_DIFFERS, head.audit.sequence, message)]


# ---- with the archive -------------------------------------------------------------------------


async def _prove_all(
    store: RegistryStore, model: ObjectKey, checkpoints: CheckpointAnchors, archive: ArchivePlace
) -> Proof:
    """Walk the whole chain from its first record, with the removed records from the archive."""
    contents = await store.inspect(model)
    head = await store.read_head(model)
    audit = head.audit
    owner = await store.owner()
    reading = Examination(model, head, begin=START, anchors=checkpoints.of(model, owner), owner=owner)
    removed = ArchivedRecords(archive, model, audit.pruned_through, owner)
    async for record in removed:
        reading.add(record)
    archived, last = reading.records, reading.last
    own: list[ChainFinding] = []
    if (last.sequence, last.hash) != (audit.pruned_through, audit.pruned_hash):
        expected = f"#{audit.pruned_through} {audit.pruned_hash}"
        message = f"the archive ends with #{last.sequence} {last.hash}, the head says {expected} was the last"
        own.append(ChainFinding(ChainFault.HEAD_DIFFERS, audit.pruned_through, message))
    recorded = False
    async for record in store.read_records(model, after=audit.pruned_through):
        recorded = recorded or _is_tombstone(record.content, head)
        reading.add(record)
    latest = await store.read_head(model) if reading.beyond else head
    found, notes = reading.finish(contents, latest=latest.audit.sequence)
    return Proof(
        model=model,
        records=reading.records,
        head=head,
        findings=(*removed.findings, *own, *found, *_missing_tombstone(head, recorded=recorded)),
        checkpoints=checkpoints.mentions.get(model, 0),
        archived=archived,
        notes=notes,
    )
