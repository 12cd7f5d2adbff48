"""Groups of objects, found by a key instead of a search through all objects."""

from typing import Generic, TypeVar

from serinus.api.names import ObjectKey

G = TypeVar("G")
V = TypeVar("V")


class Index(Generic[G, V]):
    """Members by group, each with a value; an empty group takes no memory, and one of a single member little."""

    def __init__(self) -> None:
        """Begin empty."""
        self._groups: dict[G, tuple[ObjectKey, V] | dict[ObjectKey, V]] = {}

    def add(self, group: G, key: ObjectKey, value: V) -> None:
        """Add a member to a group, or replace its value."""
        members = self._groups.get(group)
        if isinstance(members, dict):
            members[key] = value
        elif members is None or members[0] == key:
            self._groups[group] = (key, value)
        else:
            self._groups[group] = {members[0]: members[1], key: value}

    def discard(self, group: G, key: ObjectKey) -> None:
        """Remove a member from a group, if it is in it."""
        members = self._groups.get(group)
        if isinstance(members, dict):
            members.pop(key, None)
            if not members:
                del self._groups[group]
        elif members is not None and members[0] == key:
            del self._groups[group]

    def keys(self, group: G) -> frozenset[ObjectKey]:
        """Return the members' keys."""
        members = self._groups.get(group)
        if isinstance(members, dict):
            return frozenset(members)
        return frozenset() if members is None else frozenset({members[0]})

    def values(self, group: G) -> tuple[V, ...]:
        """Return the members' values."""
        members = self._groups.get(group)
        if isinstance(members, dict):
            return tuple(members.values())
        return () if members is None else (members[1],)

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._groups)
