"""The audit chain: how a record is hashed and sealed, and how a chain is verified.

``hash = sha256(RFC 8785 canonical JSON of all fields but hash)``; each record names the hash of the one before. A
chain alone shows every change of a part of it; against a checkpoint kept elsewhere also one written anew.
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
"""A record as it is stored, before anything is believed of it."""


def digest_of(content: Content) -> str:
    """Return SHA-256 over the canonical JSON (RFC 8785) of a mapping, as ``sha256:<hex>``."""
    return f"sha256:{sha256(rfc8785.dumps(dict(content))).hexdigest()}"


def record_hash(content: Content) -> str:
    """Return the hash that a stored record must have."""
    return digest_of({name: value for name, value in content.items() if name != "hash"})


def sealed(record: AuditRecordSpec) -> AuditRecordSpec:
    """Return the record with its hash."""
    return structs.replace(record, hash=record_hash(encode(record)))


@dataclass(frozen=True, slots=True)
class StoredRecord:
    """A record as a store holds it; ``sequence`` is what its key says, whatever its content says."""

    sequence: int
    content: Content


class ChainFault(StrEnum):
    """What is wrong with a chain."""

    MISSING = "Missing"
    """A record between two others is not there."""
    MISPLACED = "Misplaced"
    """A record stands where another one belongs."""
    ALTERED = "Altered"
    """A record's content does not have its hash."""
    BROKEN = "Broken"
    """A record does not follow the one before it."""
    TRUNCATED = "Truncated"
    """The chain ends before the head says."""
    HEAD_DIFFERS = "HeadDiffers"
    """The head is not what the chain comes to."""
    CHECKPOINT_DIFFERS = "CheckpointDiffers"
    """A record is not the one that a checkpoint has seen: the chain was written anew."""
    CHECKPOINT_UNSIGNED = "CheckpointUnsigned"
    """A checkpoint's signature is not by the key given."""
    UNREADABLE = "Unreadable"
    """A record does not have the form of a record."""


@dataclass(frozen=True, slots=True)
class ChainFinding:
    """One thing that is wrong, and where."""

    fault: ChainFault
    sequence: int
    message: str


@dataclass(frozen=True, slots=True)
class Anchor:
    """What somebody outside has seen: the hash of one record at some time. ``where`` says who."""

    sequence: int
    hash: str
    where: str


MOST_LISTED: Final = 1000
"""So many missing records of one gap are told one by one: a forged number must not fill the memory."""

START: Final = Anchor(0, "", "the beginning")


def verify_chain(
    records: Iterable[StoredRecord], *, begin: Anchor = START, end: Anchor | None = None, anchors: Iterable[Anchor] = ()
) -> tuple[ChainFinding, ...]:
    """Return everything that is wrong with a chain, in order; nothing where it is whole.

    Args:
        records: in the order of their keys.
        begin: the record after which they begin: the start, or the last that retention has removed.
        end: the head's word on the last record; None where there is no head to ask.
        anchors: checkpoints; those of removed records are left out.
    """
    walk = ChainWalk(begin, anchors)
    for record in records:
        walk.take(record)
    return tuple(walk.finish(end))


class ChainWalk:
    """One pass over a chain, one record at a time; see :func:`verify_chain`."""

    def __init__(self, begin: Anchor = START, anchors: Iterable[Anchor] = ()) -> None:
        """Begin after the record that ``begin`` names."""
        self._sequence, self._hash = begin.sequence, begin.hash
        self._anchors: dict[int, list[Anchor]] = {}
        for anchor in anchors:
            if anchor.sequence > begin.sequence:
                self._anchors.setdefault(anchor.sequence, []).append(anchor)
        self._found: list[ChainFinding] = []

    def take(self, record: StoredRecord) -> None:
        """Look at the next record in the order of the keys."""
        content, number = record.content, record.sequence
        listed = min(number, self._sequence + 1 + MOST_LISTED)
        for missing in range(self._sequence + 1, listed):
            self._find(ChainFault.MISSING, missing, f"record {missing} is not there")
        if number > listed > self._sequence:
            self._find(ChainFault.MISSING, listed, f"records {listed} to {number - 1} are not there")
        if number <= self._sequence:
            self._find(ChainFault.MISPLACED, number, f"it comes after record {self._sequence}")
        if content.get("sequence") != number:
            self._find(ChainFault.MISPLACED, number, f"the record says that it is number {content.get('sequence')}")
        actual = _hash_of(content)
        if content.get("hash") != actual:
            self._find(ChainFault.ALTERED, number, f"its hash is {content.get('hash')}, its content hashes to {actual}")
        if number == self._sequence + 1 and content.get("previousHash", "") != self._hash:
            self._find(
                ChainFault.BROKEN,
                number,
                f"it follows {content.get('previousHash', '')}, but record {number - 1} is {self._hash}",
            )
        for anchor in self._anchors.pop(number, ()):
            if anchor.hash != actual:
                self._find(ChainFault.CHECKPOINT_DIFFERS, number, f"{anchor.where} has seen {anchor.hash} here")
        self._sequence, self._hash = number, actual

    def finish(self, end: Anchor | None) -> list[ChainFinding]:
        """Hold the end against the head's word and return all that was found."""
        if end is not None and end.sequence > self._sequence:
            self._find(
                ChainFault.TRUNCATED, end.sequence, f"the chain ends at {self._sequence}, the head says {end.sequence}"
            )
        elif end is not None and (end.sequence, end.hash) != (self._sequence, self._hash):
            self._find(
                ChainFault.HEAD_DIFFERS,
                end.sequence,
                f"the head says {end.sequence} {end.hash}, the chain ends with {self._sequence} {self._hash}",
            )
        for anchor in (one for anchors in self._anchors.values() for one in anchors):
            self._find(ChainFault.TRUNCATED, anchor.sequence, f"{anchor.where} has seen a record here: it is not there")
        return self._found

    def _find(self, fault: ChainFault, sequence: int, message: str) -> None:
        self._found.append(ChainFinding(fault, sequence, message))


def _hash_of(content: Content) -> str:
    try:
        return record_hash(content)
    except (rfc8785.CanonicalizationError, RecursionError):
        return "nothing: it has no canonical form"
