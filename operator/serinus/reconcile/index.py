"""Groups of objects, found by a key instead of a search through all objects."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Generic, TypeVar

from serinus.api.names import ObjectKey

G = TypeVar("G")
V = TypeVar("V")

_NOTHING: Final[Mapping[ObjectKey, object]] = MappingProxyType({})


class Index(Generic[G, V]):
    """Members by group, each with a value; an empty group takes no memory."""

    def __init__(self) -> None:
        """Begin empty."""
        self._groups: dict[G, dict[ObjectKey, V]] = {}

    def add(self, group: G, key: ObjectKey, value: V) -> None:
        """Add a member to a group, or replace its value."""
        self._groups.setdefault(group, {})[key] = value

    def discard(self, group: G, key: ObjectKey) -> None:
        """Remove a member from a group, if it is in it."""
        members = self._groups.get(group)
        if members is not None:
            members.pop(key, None)
            if not members:
                del self._groups[group]

    def keys(self, group: G) -> frozenset[ObjectKey]:
        """Return the members' keys."""
        return frozenset(self._groups.get(group, _NOTHING))

    def values(self, group: G) -> tuple[V, ...]:
        """Return the members' values."""
        return tuple(self._groups.get(group, {}).values())

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._groups)
