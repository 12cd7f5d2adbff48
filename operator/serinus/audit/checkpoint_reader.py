"""Reads and verifies the checkpoints in a bucket, which anchor the audit chains.

Every version of every object is read, so that overwritten and deleted checkpoints count as well.
"""

import asyncio
import base64
import binascii
from collections import Counter
from collections.abc import AsyncIterator, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

import msgspec
from cryptography.exceptions import InvalidSignature

from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.audit.bucket import Bucket, ObjectVersion, Place
from serinus.audit.signing_keys import PublicKeys
from serinus.engine.audit.chain import NO_CLUSTER, Anchor, ChainFault, ChainFinding, ChainOwner
from serinus.engine.audit.checkpoint import (
    Checkpoint,
    SignedCheckpoint,
    anchors_of,
    checkpoint_hash,
    hash_in_name,
    signing_payload,
)
from serinus.errors import InvalidObjectError

_AT_ONCE: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointAnchors:
    """The contents of all checkpoints in one place.

    Attributes:
        anchors: by model, every record that was the last of its chain in some checkpoint.
        mentions: by model, the number of checkpoints that contain it.
        findings: the defects of the checkpoints themselves.
        notes: remarks that are not defects.
        checkpoints: the number of checkpoints with a valid signature.
        last: the time of the latest of them.
    """

    anchors: Mapping[ObjectKey, tuple[Anchor, ...]] = field(default_factory=dict)
    mentions: Mapping[ObjectKey, int] = field(default_factory=dict)
    findings: tuple[ChainFinding, ...] = ()
    notes: tuple[str, ...] = ()
    checkpoints: int = 0
    last: datetime | None = None

    def of(self, model: ObjectKey, owner: ChainOwner = NO_CLUSTER) -> tuple[Anchor, ...]:
        """Return the anchors of a model's chain in one cluster."""
        return tuple(anchor for anchor in self.anchors.get(model, ()) if owner.owns(anchor.cluster))


async def read_checkpoints(
    bucket: Bucket, keys: PublicKeys, *, only: Collection[ObjectKey] | None = None
) -> CheckpointAnchors:
    """Read every checkpoint and verify its signature with the trusted keys.

    An invalid checkpoint, or one that is not signed by a trusted key, is a finding and anchors nothing; a gap between
    checkpoints is a finding too.

    Args:
        bucket: their location.
        keys: the trusted keys.
        only: the models whose anchors to return; None for all.

    Raises:
        TransientError, RefusedError: see serinus.errors.
    """
    reading = _Reading(bucket.place, keys, only)
    async for batch in _batches(bucket.versions()):
        fetched = await asyncio.gather(*(bucket.get(version.name, version.version) for version in batch))
        for version, stored in zip(batch, fetched, strict=True):
            reading.add(version, stored.content, locked=stored.locked_until is not None)
    return reading.result()


async def _batches(versions: AsyncIterator[ObjectVersion]) -> AsyncIterator[list[ObjectVersion]]:
    batch: list[ObjectVersion] = []
    async for version in versions:
        batch.append(version)
        if len(batch) == _AT_ONCE:
            yield batch
            batch = []
    if batch:
        yield batch


class _Reading:
    """One pass over the checkpoints in the order of their names, which is chronological."""

    def __init__(self, place: Place, keys: PublicKeys, only: Collection[ObjectKey] | None) -> None:
        self._place, self._keys, self._only = place, keys, only
        self._anchors: dict[ObjectKey, dict[tuple[int, str, str], Anchor]] = {}
        self._mentions: Counter[ObjectKey] = Counter()
        self._findings: list[ChainFinding] = []
        self._hidden = self._unlocked = 0
        self._present: set[str] = set()
        self._followed: dict[str, str] = {}
        self._read: dict[str, datetime] = {}

    def add(self, version: ObjectVersion, content: bytes, *, locked: bool) -> None:
        """Verify one version of one object and add its anchors."""
        if (named := hash_in_name(version.name)) is not None:
            self._present.add(named)
        checkpoint = self._verified(version.name, content)
        if checkpoint is None:
            return
        self._hidden += version.hidden
        self._unlocked += not locked
        digest = checkpoint_hash(checkpoint)
        if digest in self._read:
            return
        if self._read and checkpoint.previous:
            self._followed[checkpoint.previous] = version.name
        self._present.add(digest)
        self._read[digest] = checkpoint.at
        for model, anchor in anchors_of(checkpoint):
            if self._only is None or model in self._only:
                self._anchors.setdefault(model, {}).setdefault((anchor.sequence, anchor.hash, anchor.cluster), anchor)
                self._mentions[model] += 1

    def _verified(self, name: str, content: bytes) -> Checkpoint | None:
        try:
            signed = decode(SignedCheckpoint, msgspec.json.decode(content), "checkpoint")
            signature = base64.b64decode(signed.signature, validate=True)
        except (msgspec.DecodeError, InvalidObjectError, binascii.Error, RecursionError) as problem:
            self._report_unsigned(name, f"it is not a signed checkpoint: {problem}")
            return None
        payload = signing_payload(signed.checkpoint)
        for key in self._keys.values():
            try:
                key.verify(signature, payload)
            except InvalidSignature:
                continue
            return signed.checkpoint
        self._report_unsigned(name, f"its signature is not by the key given; it says that it is by {signed.key}")
        return None

    def _report_unsigned(self, name: str, why: str) -> None:
        self._findings.append(ChainFinding(ChainFault.CHECKPOINT_UNSIGNED, 0, f"{self._place}{name}: {why}"))

    def result(self) -> CheckpointAnchors:
        """Return the contents of all checkpoints added, and the gaps between them."""
        gaps = [
            ChainFinding(ChainFault.MISSING, 0, f"{self._place}{name} follows a checkpoint {previous} that is missing")
            for previous, name in self._followed.items()
            if previous not in self._present
        ]
        return CheckpointAnchors(
            anchors={model: tuple(anchors.values()) for model, anchors in self._anchors.items()},
            mentions=dict(self._mentions),
            findings=(*self._findings, *gaps),
            notes=tuple(self._notes()),
            checkpoints=len(self._read),
            last=max(self._read.values(), default=None),
        )

    def _notes(self) -> Iterable[str]:
        if self._hidden:
            yield f"{self._hidden} checkpoints are hidden by a deletion or a later version; they were read all the same"
        if self._unlocked:
            yield (
                f"{self._unlocked} checkpoints are not seen to be locked (Object Lock in COMPLIANCE mode; to see it "
                "these credentials need s3:GetObjectRetention)"
            )
