"""Which shard a model belongs to, and which shards each of several processes should hold.

Every process decides for itself, from the Leases of the shards and the live members as it sees them. Those who see the
same come to the same target, in which the shards are spread evenly; where they see something else, the Lease of a shard
says who holds it. So a disagreement costs time and is never a danger. Prior art: the buckets of Knative's leader
election, which are not balanced, and the shard Leases of timebertt/kubernetes-controller-sharding.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from serinus.api.names import ObjectKey

_DIGEST_BYTES: Final = 8
_REMEMBERED: Final = 2**17
"""So many models are remembered with their shard, which is asked for at every tick and every write."""


@lru_cache(maxsize=_REMEMBERED)
def shard_of(model: ObjectKey, shards: int) -> int:
    """Return the shard of a model, from 0 to ``shards`` - 1: the same in every process and every release.

    The hash is BLAKE2b over ``namespace/name``, whose first 8 bytes are a big-endian number, modulo ``shards``.
    """
    if shards == 1:
        return 0
    # Neither part can contain a slash, so no two models have the same text.
    digest = blake2b(f"{model.namespace}/{model.name}".encode(), digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest) % shards


@dataclass(frozen=True, slots=True)
class SeenLease:
    """The Lease of a shard as this process sees it.

    Attributes:
        holder: who holds it; empty where it was released, or never held.
        unchanged_since: when it was first seen as it is, in seconds of the monotonic clock.
        duration: for so many seconds from then on nobody else may take it.
    """

    holder: str = ""
    unchanged_since: float = 0.0
    duration: float = 15.0

    def holder_at(self, now: float) -> str:
        """Return who holds it now; empty where it may be taken."""
        return self.holder if now - self.unchanged_since < self.duration else ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """What one process does about the shards; those in none of the three are others', or to be taken by others.

    Attributes:
        take: free shards that this process should try to take.
        keep: shards that it holds and should go on with.
        hand_back: shards that it holds and another process should take.
    """

    take: frozenset[int]
    keep: frozenset[int]
    hand_back: frozenset[int]


def assign(
    leases: Sequence[SeenLease], members: Mapping[str, float], me: str, *, now: float, alive_for: float
) -> Assignment:
    """Return what a process should take, keep and hand back.

    Args:
        leases: the Lease of each shard, in the order of the shards.
        members: when each process last gave a sign of life, in seconds of this process's monotonic clock.
        me: this process, which counts as alive.
        now: the same clock.
        alive_for: seconds without a sign of life after which a process counts as dead. It must be less than a Lease
            lasts, so that nothing is left to the dead once their Leases have ended.
    """
    alive = {me, *(member for member, seen in members.items() if now - seen < alive_for)}
    holders = [lease.holder_at(now) for lease in leases]
    target = targets(holders, alive)
    mine = frozenset(shard for shard, holder in enumerate(holders) if holder == me)
    wanted = frozenset(shard for shard, holder in enumerate(target) if holder == me)
    return Assignment(
        take=frozenset(shard for shard in wanted if not holders[shard]),
        keep=mine & wanted,
        hand_back=mine - wanted,
    )


def targets(holders: Sequence[str], alive: Collection[str]) -> tuple[str, ...]:
    """Return who should hold each shard: the numbers of any two differ by one at most, and as few as possible move.

    Args:
        holders: who holds each shard; empty where nobody does. What a process that is not alive still holds counts as
            held until its Lease ends, and is then to be taken.
        alive: the processes among which the shards are spread; not empty.
    """
    held = {member: [shard for shard, holder in enumerate(holders) if holder == member] for member in alive}
    # Those with the most shards may keep one more, so that none of these moves for nothing.
    ranked = sorted(alive, key=lambda member: (-len(held[member]), member))
    least, larger = divmod(len(holders), len(ranked))
    quota = {member: least + (rank < larger) for rank, member in enumerate(ranked)}
    target = {shard: member for member in ranked for shard in held[member][: quota[member]]}
    open_places = [member for member in ranked for _ in range(quota[member] - len(held[member][: quota[member]]))]
    unassigned = [shard for shard in range(len(holders)) if shard not in target]
    target.update(zip(unassigned, open_places, strict=True))
    return tuple(target[shard] for shard in range(len(holders)))
