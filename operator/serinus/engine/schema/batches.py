"""The batch dimension: the first dimension of an output has the length of the inputs' first dimension.

A model that gets dynamic batching answers a client that still sends one row with one row, although -1 takes the place
of 1 in its outputs, too.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from serinus.api.signature import Field, Profile

_ANY = -1


@dataclass(frozen=True, slots=True)
class BatchChange:
    """The batch dimension became variable, or fixed: the lengths before and after, one of which is -1."""

    before: int
    after: int

    def followed(self, old: tuple[int, ...], new: tuple[int, ...]) -> bool:
        """Return whether an output of the first shape, and now of the second, has just followed the inputs."""
        return bool(old) and bool(new) and (old[0], new[0]) == (self.before, self.after)


def batch_change(old: Iterable[Field], new: Iterable[Field], profile: Profile) -> BatchChange | None:
    """Return how the batch dimension of the inputs changed; None where it did not, or inputs disagree.

    In a table each row is a request of its own, and a first dimension is the length of a list; only a length of 1,
    which no list has for long, is taken for a batch there.
    """
    before, after = _first_lengths(old), _first_lengths(new)
    common = before.keys() & after.keys()
    grown = _agreed(before[name] for name in common if after[name] == _ANY)
    if grown is not None and _is_batch(grown, profile):
        return BatchChange(grown, _ANY)
    shrunk = _agreed(after[name] for name in common if before[name] == _ANY)
    return BatchChange(_ANY, shrunk) if shrunk is not None and _is_batch(shrunk, profile) else None


def _first_lengths(fields: Iterable[Field]) -> dict[str, int]:
    return {field.name: max(_ANY, field.shape[0]) for field in fields if field.shape}


def _agreed(lengths: Iterable[int]) -> int | None:
    different = set(lengths)
    return different.pop() if len(different) == 1 else None


def _is_batch(length: int, profile: Profile) -> bool:
    return length != _ANY and (profile is Profile.TENSOR or length == 1)
