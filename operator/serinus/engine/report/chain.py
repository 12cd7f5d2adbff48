"""The verification of a chain for the report, and its records decoded from the same reading."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import ChainHead, Head
from serinus.api.parsing import decode
from serinus.engine.audit.chain import Anchor, ChainFault, ChainFinding, StoredRecord, verify_chain
from serinus.engine.audit.head import fold
from serinus.errors import InvalidObjectError

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
    """

    records: int
    head: ChainHead
    findings: tuple[ChainFinding, ...]
    anchors: tuple[Anchor, ...]
    unreadable: tuple[int, ...]
    slowest: timedelta

    @property
    def ok(self) -> bool:
        """Whether the chain is intact and the head equals its fold."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class Examined:
    """The records that could be decoded, in order, and the proof of the same reading."""

    records: tuple[AuditRecordSpec, ...]
    proof: Proof


def examine(
    head: Head, stored: Sequence[StoredRecord], anchors: Iterable[Anchor] = (), findings: Iterable[ChainFinding] = ()
) -> Examined:
    """Verify a chain and decode its records.

    Both work on one reading, so that the records shown are the ones verified: the chain could change between two.

    Args:
        head: read before the records.
        stored: all records after the removed ones up to the head's.
        anchors: checkpoints whose signatures have been verified.
        findings: defects of the checkpoints themselves.
    """
    audit, known = head.audit, tuple(anchors)
    begin = Anchor(audit.pruned_through, audit.pruned_hash, "the last removed record")
    records, unreadable = _decoded(stored)
    in_chain = verify_chain(stored, begin=begin, end=Anchor(audit.sequence, audit.hash, ""), anchors=known)
    lost = {finding.sequence for finding in (*in_chain, *unreadable) if finding.fault in _LOST}
    all_findings = [*findings, *in_chain, *unreadable]
    if not all_findings and begin.sequence == 0 and _state(fold(records)) != _state(head):
        message = "the head differs from the fold of the chain in its production, good or quarantined versions"
        all_findings.append(ChainFinding(ChainFault.HEAD_DIFFERS, audit.sequence, message))
    compared = (anchor for anchor in known if anchor.sequence > begin.sequence)
    proof = Proof(
        records=len(stored),
        head=audit,
        findings=tuple(sorted(all_findings, key=lambda finding: finding.sequence)),
        anchors=tuple(sorted(compared, key=lambda anchor: (anchor.sequence, anchor.where))),
        unreadable=tuple(sorted(lost)),
        slowest=max((record.recorded_at - record.at for record in records), default=timedelta(0)),
    )
    return Examined(records, proof)


def _decoded(stored: Iterable[StoredRecord]) -> tuple[tuple[AuditRecordSpec, ...], list[ChainFinding]]:
    records, unreadable = [], []
    for record in stored:
        try:
            records.append(decode(AuditRecordSpec, dict(record.content), "spec"))
        except InvalidObjectError as problem:
            unreadable.append(
                ChainFinding(ChainFault.UNREADABLE, record.sequence, f"the record cannot be read: {problem}")
            )
    return tuple(records), unreadable


def _state(head: Head) -> tuple[object, ...]:
    return (head.production, head.good, head.quarantined, head.generation, head.candidate)


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
