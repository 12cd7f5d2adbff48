"""The verification of a chain for the report, and its records decoded from the same reading."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import ChainHead, Head
from serinus.engine.audit.chain import Anchor, ChainFault, ChainFinding, ChainOwner, StoredRecord
from serinus.engine.audit.contents import StoredContents
from serinus.engine.audit.examination import Examination
from serinus.engine.audit.head import fold

_LOST: Final = frozenset({ChainFault.UNREADABLE, ChainFault.MISSING, ChainFault.TRUNCATED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """The result of verifying a chain.

    Attributes:
        records: the number of records that were read.
        head: the chain's end and what retention has removed, according to the registry's head.
        findings: all defects in order; none if the chain is intact.
        anchors: the checkpoints compared with, oldest first; those of removed records are left out.
        unreadable: the numbers of records that are missing or do not match the schema of records.
        slowest: the longest delay between an entry and its record.
        notes: what could not be compared, in words.
    """

    records: int
    head: ChainHead
    findings: tuple[ChainFinding, ...]
    anchors: tuple[Anchor, ...]
    unreadable: tuple[int, ...]
    slowest: timedelta
    notes: tuple[str, ...] = ()

    @property
    def ok(self) -> bool:
        """Whether the chain is intact and the head equals its fold."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class Examined:
    """The records that could be decoded, in order, and the proof of the same reading."""

    records: tuple[AuditRecordSpec, ...]
    proof: Proof


def examine(  # noqa: PLR0913, PLR0917 - what is compared with each other
    head: Head,
    stored: Sequence[StoredRecord],
    anchors: Iterable[Anchor] = (),
    findings: Iterable[ChainFinding] = (),
    contents: StoredContents | None = None,
    latest: int | None = None,
    owner: ChainOwner | None = None,
) -> Examined:
    """Verify a chain and decode its records.

    Both work on one reading, so that the records shown are the ones verified: the chain could change between two.

    Args:
        head: read before the records.
        stored: all records after the removed ones up to the head's.
        anchors: checkpoints whose signatures have been verified.
        findings: defects of the checkpoints themselves.
        contents: what the store shows beside the chain, read before the head; None not to compare.
        latest: the head's number, read after the records; by default that of ``head``.
        owner: the cluster whose records they must be; None not to compare.
    """
    audit, known = head.audit, tuple(anchors)
    reading = Examination(None, head, anchors=known, owner=owner, keep=True)
    for record in stored:
        reading.add(record)
    in_chain, notes = reading.finish(contents, latest=latest)
    lost = {finding.sequence for finding in in_chain if finding.fault in _LOST}
    compared = (anchor for anchor in known if anchor.sequence > audit.pruned_through)
    proof = Proof(
        records=reading.records,
        head=audit,
        findings=tuple(sorted((*findings, *in_chain), key=lambda finding: finding.sequence)),
        anchors=tuple(sorted(compared, key=lambda anchor: (anchor.sequence, anchor.where))),
        unreadable=tuple(sorted(lost)),
        slowest=max((record.recorded_at - record.at for record in reading.decoded), default=timedelta(0)),
        notes=notes,
    )
    return Examined(tuple(reading.decoded), proof)


def head_at(head: Head, records: Sequence[AuditRecordSpec], at: datetime) -> Head:
    """Return the head as of a time: the current one if no record is later.

    Good and quarantined versions from records that retention has removed are unknown.
    """
    until = [record for record in records if record.at <= at]
    if len(until) == len(records):
        return head
    return fold(until)


def breaks(records: Sequence[AuditRecordSpec]) -> frozenset[int]:
    """Return the numbers of the records whose predecessors are missing."""
    return frozenset(after.sequence for before, after in pairwise(records) if after.sequence != before.sequence + 1)
