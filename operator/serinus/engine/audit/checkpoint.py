"""A checkpoint: the last record of every audit chain at one moment, signed and kept outside the registry.

It lists the head of every chain. A Merkle root would be shorter, but a list proves each chain on its own, needs no
separate inclusion proof, and can be read by a person.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

import rfc8785
from msgspec import UNSET, Meta, UnsetType

from serinus.api.model import ChainHead
from serinus.api.names import ObjectKey
from serinus.api.parsing import encode
from serinus.api.schema import DIGEST, Model
from serinus.engine.audit.chain import Anchor, digest_of

FORMAT: Final = 1
"""The version of the checkpoint format. A later format gets another number: old checkpoints are never rewritten."""

_DOMAIN: Final = b"serinus checkpoint 1\n"
"""The prefix of what is signed: no signature of the same key over other data is valid for a checkpoint."""

_DIGITS: Final = 64
_HASH: Final = Meta(pattern=DIGEST)
_NO_RECORDS: Final = ChainHead()


class SeenHead(Model, frozen=True, kw_only=True, omit_defaults=False):
    """The last record of one chain at the time of the checkpoint.

    ``cluster`` is the one whose chain it is; absent where the registry is a cluster's own, and before clusters had
    names.
    """

    namespace: str
    model: str
    cluster: str | UnsetType = UNSET
    sequence: Annotated[int, Meta(ge=1)]
    hash: Annotated[str, _HASH]


class Checkpoint(Model, frozen=True, kw_only=True, omit_defaults=False):
    """The heads of all chains at one moment.

    Attributes:
        format: the version of the format.
        at: the time (UTC).
        heads: one for every chain that has a record, ordered by namespace and model.
        previous: the hash of the checkpoint before it; empty for the first.
    """

    format: Annotated[int, Meta(ge=FORMAT, le=FORMAT)]
    at: datetime
    heads: tuple[SeenHead, ...]
    previous: Annotated[str, Meta(pattern=rf"^$|{DIGEST}")]


class SignedCheckpoint(Model, frozen=True, kw_only=True, omit_defaults=False):
    """A checkpoint as stored.

    Attributes:
        checkpoint: the heads.
        key: the fingerprint of the public key; a hint for finding the key, not a proof.
        signature: Ed25519 over :func:`signing_payload`, in base64.
    """

    checkpoint: Checkpoint
    key: str
    signature: str


def checkpoint_of(
    heads: Iterable[tuple[ObjectKey, ChainHead]], at: datetime, previous: str, *, cluster: str = ""
) -> Checkpoint:
    """Return the checkpoint of these heads; a chain without records is left out.

    Args:
        heads: the ends of all chains, in any order; of two for one model the longer chain counts.
        at: the time, aware, UTC.
        previous: the hash of the checkpoint before it; empty where there is none.
        cluster: the cluster whose chains they are; empty where none is named.
    """
    longest: dict[ObjectKey, ChainHead] = {}
    for model, head in heads:
        if head.sequence > longest.get(model, _NO_RECORDS).sequence:
            longest[model] = head
    ordered = tuple(
        SeenHead(
            namespace=model.namespace,
            model=model.name,
            cluster=cluster or UNSET,
            sequence=head.sequence,
            hash=head.hash,
        )
        for model, head in sorted(longest.items(), key=lambda pair: pair[0])
    )
    return Checkpoint(format=FORMAT, at=at, heads=ordered, previous=previous)


def checkpoint_hash(checkpoint: Checkpoint) -> str:
    """Return SHA-256 over the checkpoint's canonical JSON (RFC 8785)."""
    return digest_of(encode(checkpoint))


def signing_payload(checkpoint: Checkpoint) -> bytes:
    """Return the bytes that are signed: the text ``serinus checkpoint 1``, a line feed and the canonical JSON."""
    return _DOMAIN + rfc8785.dumps(encode(checkpoint))


def canonical(signed: SignedCheckpoint) -> bytes:
    """Return the bytes that are stored."""
    return rfc8785.dumps(encode(signed))


def object_name(checkpoint: Checkpoint) -> str:
    """Return the name of its stored object: its time, by which names sort, and its hash."""
    return f"{time_part(checkpoint.at)}-{checkpoint_hash(checkpoint).removeprefix('sha256:')}.json"


def time_part(at: datetime) -> str:
    """Return the time prefix of a checkpoint's name: byte order is chronological."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z"


def hash_in_name(name: str) -> str | None:
    """Return the hash in a stored checkpoint's name; None for any other name."""
    stem, dot, extension = name.rpartition(".")
    digest = stem.rpartition("-")[2]
    if (dot, extension) != (".", "json") or len(digest) != _DIGITS or not set(digest) <= set("0123456789abcdef"):
        return None
    return f"sha256:{digest}"


def time_in_name(name: str) -> datetime | None:
    """Return the time in a stored checkpoint's name; None for any other name."""
    try:
        return datetime.strptime(name.partition("Z-")[0], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None


def anchors_of(checkpoint: Checkpoint) -> Iterator[tuple[ObjectKey, Anchor]]:
    """Yield the anchor that the checkpoint gives to each chain."""
    where = f"the checkpoint of {checkpoint.at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    for head in checkpoint.heads:
        cluster = head.cluster if isinstance(head.cluster, str) else ""
        yield ObjectKey(head.namespace, head.model), Anchor(head.sequence, head.hash, where, cluster)
