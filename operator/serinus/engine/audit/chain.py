"""The audit chain: hashing and sealing of records, and verification of a chain.

``hash = sha256(RFC 8785 canonical JSON of all fields but hash)``; each record contains the hash of its predecessor.
The chain alone reveals any partial change; a chain rewritten as a whole is revealed by checkpoints kept elsewhere.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

import rfc8785
from msgspec import structs

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.parsing import encode

Content = Mapping[str, Any]
"""A record's content as stored, not yet validated."""


def digest_of(content: Content) -> str:
    """Return SHA-256 over the canonical JSON (RFC 8785) of a mapping, as ``sha256:<hex>``."""
    return f"sha256:{sha256(rfc8785.dumps(dict(content))).hexdigest()}"


def record_hash(content: Content) -> str:
    """Return the hash that a record with this content must have."""
    return digest_of({name: value for name, value in content.items() if name != "hash"})


def sealed(record: AuditRecordSpec) -> AuditRecordSpec:
    """Return the record with its hash."""
    return structs.replace(record, hash=record_hash(encode(record)))


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as stored; ``sequence`` comes from its key, not from its content.

    ``defects`` says in words where the attributes that it is searched by contradict its content.
    """

    sequence: int
    content: Content
    defects: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ChainOwner:
    """The cluster whose chains a store keeps.

    Attributes:
        cluster: its name, which its records name; empty for a store within one cluster, whose records name none.
        unnamed: whether its chains may begin with records from before clusters had names.
    """

    cluster: str = ""
    unnamed: bool = True

    def owns(self, cluster: str) -> bool:
        """Return whether a record or an anchor that names this cluster, or none, belongs to the chains."""
        return cluster == self.cluster or (self.unnamed and not cluster)


NO_CLUSTER: Final = ChainOwner()
"""Of a store within one cluster."""


class ChainFault(StrEnum):
    """The kinds of defects of a chain."""

    MISSING = "Missing"
    """A record between two others is missing."""
    MISPLACED = "Misplaced"
    """A record is stored in the place of another one."""
    ALTERED = "Altered"
    """A record's content does not match its hash."""
    BROKEN = "Broken"
    """A record does not contain the hash of its predecessor."""
    TRUNCATED = "Truncated"
    """The chain ends before the record that the head or a checkpoint names."""
    HEAD_DIFFERS = "HeadDiffers"
    """The head does not equal the fold of the chain."""
    CHECKPOINT_DIFFERS = "CheckpointDiffers"
    """A record's hash differs from the one in a checkpoint: the chain was rewritten."""
    CHECKPOINT_UNSIGNED = "CheckpointUnsigned"
    """A checkpoint is not signed by a trusted key."""
    UNREADABLE = "Unreadable"
    """A record does not match the schema of records."""
    DUPLICATE = "Duplicate"
    """Two records have one id."""
    ATTRIBUTE_DIFFERS = "AttributeDiffers"
    """An attribute that people search by contradicts the content beside it."""
    HEAD_MISSING = "HeadMissing"
    """There are records, but no head."""
    VERSION_DIFFERS = "VersionDiffers"
    """A version is not the one that its first record registers."""
    VERSION_MISSING = "VersionMissing"
    """A registered version is not in the registry any more."""
    VERSION_UNRECORDED = "VersionUnrecorded"
    """The registry shows a version that no record registers."""
    DIGEST_DIFFERS = "DigestDiffers"
    """A version served with another digest than it was registered with."""


@dataclass(frozen=True, slots=True)
class ChainFinding:
    """One defect and the number of the record that it concerns."""

    fault: ChainFault
    sequence: int
    message: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """The hash of one record as observed outside the chain; ``where`` names the observer for messages.

    ``cluster`` is the one whose chain it is; empty where the observer names none.
    """

    sequence: int
    hash: str
    where: str
    cluster: str = ""


MOST_LISTED: Final = 1000
"""The most missing records of one gap that are listed one by one: a forged number must not exhaust the memory."""

START: Final = Anchor(0, "", "the beginning")


def verify_chain(
    records: Iterable[StoredRecord], *, begin: Anchor = START, end: Anchor | None = None, anchors: Iterable[Anchor] = ()
) -> tuple[ChainFinding, ...]:
    """Return all defects of a chain in order; none if it is intact.

    Args:
        records: in the order of their keys.
        begin: the record that precedes them: the start, or the last one that retention has removed.
        end: the last record according to the head; None where no head is available.
        anchors: checkpoints; those of removed records are ignored.
    """
    walk = ChainWalk(begin, anchors)
    for record in records:
        walk.add(record)
    return tuple(walk.finish(end))


class ChainWalk:
    """One pass over a chain, one record at a time; see :func:`verify_chain`."""

    def __init__(self, begin: Anchor = START, anchors: Iterable[Anchor] = ()) -> None:
        """Begin after the record ``begin``; anchors up to it are ignored."""
        self._sequence, self._hash = begin.sequence, begin.hash
        self._anchors: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            if anchor.sequence > begin.sequence:
                self._anchors.setdefault(anchor.sequence, []).append(anchor)
        self._findings: list[ChainFinding] = []

    def add(self, record: StoredRecord) -> None:
        """Check the next record in the order of the keys."""
        content, number = record.content, record.sequence
        listed = min(number, self._sequence + 1 + MOST_LISTED)
        for missing in range(self._sequence + 1, listed):
            self._report(ChainFault.MISSING, missing, f"record {missing} is missing")
        if number > listed > self._sequence:
            self._report(ChainFault.MISSING, listed, f"records {listed} to {number - 1} are missing")
        if number <= self._sequence:
            self._report(ChainFault.MISPLACED, number, f"it comes after record {self._sequence}")
        if content.get("sequence") != number:
            self._report(ChainFault.MISPLACED, number, f"its content has the number {content.get('sequence')}")
        actual = _hash_of(content)
        if content.get("hash") != actual:
            self._report(
                ChainFault.ALTERED, number, f"its hash is {content.get('hash')}, its content hashes to {actual}"
            )
        if number == self._sequence + 1 and content.get("previousHash", "") != self._hash:
            self._report(
                ChainFault.BROKEN,
                number,
                f"it follows {content.get('previousHash', '')}, but record {number - 1} is {self._hash}",
            )
        for anchor in self._anchors.pop(number, ()):
            if anchor.hash != actual:
                self._report(ChainFault.CHECKPOINT_DIFFERS, number, f"{anchor.where} has {anchor.hash} for this record")
        self._sequence, self._hash = number, actual

    def finish(self, end: Anchor | None) -> list[ChainFinding]:
        """Compare the last record with the head and the remaining anchors; return all findings."""
        if end is not None and end.sequence > self._sequence:
            self._report(
                ChainFault.TRUNCATED, end.sequence, f"the chain ends at {self._sequence}, the head says {end.sequence}"
            )
        elif end is not None and (end.sequence, end.hash) != (self._sequence, self._hash):
            self._report(
                ChainFault.HEAD_DIFFERS,
                end.sequence,
                f"the head says {end.sequence} {end.hash}, the chain ends with {self._sequence} {self._hash}",
            )
        for anchor in (anchor for anchors in self._anchors.values() for anchor in anchors):
            self._report(
                ChainFault.TRUNCATED, anchor.sequence, f"{anchor.where} has this record: it is missing from the chain"
            )
        return self._findings

    def _report(self, fault: ChainFault, sequence: int, message: str) -> None:
        self._findings.append(ChainFinding(fault, sequence, message))


def _hash_of(content: Content) -> str:
    try:
        return record_hash(content)
    except (rfc8785.CanonicalizationError, RecursionError):
        return "nothing: it has no canonical form"
