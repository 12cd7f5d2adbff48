"""What an auditor may believe: one reading of a chain, what is wrong with it, and what it was held against."""

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
    """What the verification of a chain came to.

    Attributes:
        records: how many records were read.
        head: the chain's end and what retention has removed, as the registry's head says.
        findings: everything that is wrong, in order; nothing where the chain is whole.
        anchors: the checkpoints that it was held against, the oldest first; those of removed records are left out.
        unreadable: the numbers of records that do not have the form of a record, and of those that are not there.
        slowest: the longest time between an entry and its record.
    """

    records: int
    head: ChainHead
    findings: tuple[ChainFinding, ...]
    anchors: tuple[Anchor, ...]
    unreadable: tuple[int, ...]
    slowest: timedelta

    @property
    def ok(self) -> bool:
        """Whether the chain is whole and the head is what it comes to."""
        return not self.findings


@dataclass(frozen=True, slots=True)
class Examined:
    """The records that could be read, in order, and the proof; both come from one reading."""

    records: tuple[AuditRecordSpec, ...]
    proof: Proof


def examine(
    head: Head, stored: Sequence[StoredRecord], anchors: Iterable[Anchor] = (), findings: Iterable[ChainFinding] = ()
) -> Examined:
    """Verify a chain and read its records.

    What is shown and what is verified are the same records: a chain that is read twice could differ between.

    Args:
        head: read before the records.
        stored: all records after the removed ones up to the head's.
        anchors: checkpoints whose signatures have been verified.
        findings: what was wrong with the checkpoints themselves.
    """
    audit, known = head.audit, tuple(anchors)
    begin = Anchor(audit.pruned_through, audit.pruned_hash, "the last removed record")
    records, unreadable = _read(stored)
    in_chain = verify_chain(stored, begin=begin, end=Anchor(audit.sequence, audit.hash, ""), anchors=known)
    lost = {one.sequence for one in (*in_chain, *unreadable) if one.fault in _LOST}
    wrong = [*findings, *in_chain, *unreadable]
    if not wrong and begin.sequence == 0 and not _leads_to(records, head):
        message = "the head does not say what the chain comes to: production, good or quarantined versions differ"
        wrong.append(ChainFinding(ChainFault.HEAD_DIFFERS, audit.sequence, message))
    compared = (anchor for anchor in known if anchor.sequence > begin.sequence)
    proof = Proof(
        records=len(stored),
        head=audit,
        findings=tuple(sorted(wrong, key=lambda one: one.sequence)),
        anchors=tuple(sorted(compared, key=lambda one: (one.sequence, one.where))),
        unreadable=tuple(sorted(lost)),
        slowest=max((one.recorded_at - one.at for one in records), default=timedelta(0)),
    )
    return Examined(records, proof)


def _read(stored: Iterable[StoredRecord]) -> tuple[tuple[AuditRecordSpec, ...], list[ChainFinding]]:
    records, unreadable = [], []
    for one in stored:
        try:
            records.append(decode(AuditRecordSpec, dict(one.content), "spec"))
        except InvalidObjectError as problem:
            unreadable.append(
                ChainFinding(ChainFault.UNREADABLE, one.sequence, f"the record cannot be read: {problem}")
            )
    return tuple(records), unreadable


def _leads_to(records: Iterable[AuditRecordSpec], head: Head) -> bool:
    return _truth(fold(records)) == _truth(head)


def _truth(head: Head) -> tuple[object, ...]:
    return (head.production, head.good, head.quarantined, head.generation, head.candidate)


def head_at(head: Head, records: Sequence[AuditRecordSpec], at: datetime) -> Head:
    """Return the head as it was at a time: the present one where no record is later.

    Where retention has removed records, what they said of good and quarantined versions is not known any more.
    """
    until = [record for record in records if record.at <= at]
    if len(until) == len(records):
        return head
    return fold(until)


def breaks(records: Sequence[AuditRecordSpec]) -> frozenset[int]:
    """Return the numbers of the records before which others are missing."""
    return frozenset(after.sequence for before, after in pairwise(records) if after.sequence != before.sequence + 1)
