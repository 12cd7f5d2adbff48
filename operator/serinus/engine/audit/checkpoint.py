"""A checkpoint: what all audit chains have come to at one moment, in the form in which it is signed and kept elsewhere.

It lists the head of every chain. A Merkle root would be shorter, but a list proves each chain by itself, needs no
proof beside it, and is read by a person.
"""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

import rfc8785
from msgspec import Meta

from serinus.api.model import ChainHead
from serinus.api.names import ObjectKey
from serinus.api.parsing import encode
from serinus.api.schema import DIGEST, Model
from serinus.engine.audit.chain import Anchor, digest_of

FORMAT: Final = 1
"""The form of a checkpoint. A later one gets another number: old ones are never written anew."""

_DOMAIN: Final = b"serinus checkpoint 1\n"
"""Stands before what is signed, so that no signature of the same key over something else is one of a checkpoint."""

_DIGITS: Final = 64
_HASH: Final = Meta(pattern=DIGEST)


class SeenHead(Model, frozen=True, kw_only=True, omit_defaults=False):
    """The last record of one chain, as it was seen."""

    namespace: str
    model: str
    sequence: Annotated[int, Meta(ge=1)]
    hash: Annotated[str, _HASH]


class Checkpoint(Model, frozen=True, kw_only=True, omit_defaults=False):
    """What all chains had come to.

    Attributes:
        format: the form.
        at: when (UTC).
        heads: of every chain that has a record, in the order of namespace and model.
        previous: the hash of the checkpoint before it; empty for the first.
    """

    format: Annotated[int, Meta(ge=FORMAT, le=FORMAT)]
    at: datetime
    heads: tuple[SeenHead, ...]
    previous: Annotated[str, Meta(pattern=rf"^$|{DIGEST}")]


class SignedCheckpoint(Model, frozen=True, kw_only=True, omit_defaults=False):
    """A checkpoint as it is stored.

    Attributes:
        checkpoint: what was seen.
        key: the fingerprint of the public key; tells which key to look for and proves nothing.
        signature: Ed25519 over :func:`signing_payload`, in base64.
    """

    checkpoint: Checkpoint
    key: str
    signature: str


def checkpoint_of(heads: Iterable[tuple[ObjectKey, ChainHead]], at: datetime, previous: str) -> Checkpoint:
    """Return the checkpoint of these heads; a chain without records is left out.

    Args:
        heads: the ends of all chains, in any order; of one that is told twice the longer chain counts.
        at: the time, aware, UTC.
        previous: the hash of the checkpoint before it; empty where there is none.
    """
    seen: dict[ObjectKey, SeenHead] = {}
    for model, head in heads:
        known = seen.get(model)
        if head.sequence > (known.sequence if known is not None else 0):
            seen[model] = SeenHead(namespace=model.namespace, model=model.name, sequence=head.sequence, hash=head.hash)
    ordered = tuple(seen[model] for model in sorted(seen))
    return Checkpoint(format=FORMAT, at=at, heads=ordered, previous=previous)


def checkpoint_hash(checkpoint: Checkpoint) -> str:
    """Return SHA-256 over the checkpoint's canonical JSON (RFC 8785)."""
    return digest_of(encode(checkpoint))


def signing_payload(checkpoint: Checkpoint) -> bytes:
    """Return the bytes that are signed: the words ``serinus checkpoint 1``, a line feed and the canonical JSON."""
    return _DOMAIN + rfc8785.dumps(encode(checkpoint))


def canonical(signed: SignedCheckpoint) -> bytes:
    """Return the bytes that are stored."""
    return rfc8785.dumps(encode(signed))


def object_name(checkpoint: Checkpoint) -> str:
    """Return the name under which it is stored: its time, by which names sort, and its hash."""
    return f"{time_part(checkpoint.at)}-{checkpoint_hash(checkpoint).removeprefix('sha256:')}.json"


def time_part(at: datetime) -> str:
    """Return the time as the names of checkpoints begin with it: their byte order is the order of time."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S}.{at.microsecond // 1000:03d}Z"


def hash_in_name(name: str) -> str | None:
    """Return the hash that a stored checkpoint's name promises; None where it is no name of a checkpoint."""
    stem, dot, extension = name.rpartition(".")
    digest = stem.rpartition("-")[2]
    if (dot, extension) != (".", "json") or len(digest) != _DIGITS or not set(digest) <= set("0123456789abcdef"):
        return None
    return f"sha256:{digest}"


def time_in_name(name: str) -> datetime | None:
    """Return when a stored checkpoint was made, by its name; None where it is no name of a checkpoint."""
    try:
        return datetime.strptime(name.partition("Z-")[0], "%Y%m%dT%H%M%S.%f").replace(tzinfo=UTC)
    except ValueError:
        return None


def anchors_of(checkpoint: Checkpoint) -> Iterator[tuple[ObjectKey, Anchor]]:
    """Yield what the checkpoint has seen of each chain."""
    where = f"the checkpoint of {checkpoint.at.astimezone(UTC):%Y-%m-%d %H:%M:%SZ}"
    for head in checkpoint.heads:
        yield ObjectKey(head.namespace, head.model), Anchor(head.sequence, head.hash, where)
