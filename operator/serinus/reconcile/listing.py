"""A list of one kind while it is being read."""

from collections.abc import Mapping
from dataclasses import dataclass

from serinus.api.names import ObjectKey
from serinus.ports.cluster_state import Listed, Record


@dataclass(frozen=True, slots=True)
class Listing:
    """A list of one kind while it is being read: what it cannot contain, because it is older than the watch's events.

    Attributes:
        kind: what is listed.
        known: the uids of the objects known when the reading began: only these can have vanished unseen.
        versions: the versions of these objects.
        newest: the version of the list before, of any kind.
        deleted_meanwhile: the uids of the objects that were deleted meanwhile: the list does not bring them back.
    """

    kind: type[Record]
    known: Mapping[ObjectKey, str]
    versions: Mapping[ObjectKey, int]
    newest: int
    deleted_meanwhile: set[str]

    def precedes(self, listed: Listed) -> bool:
        """Return whether the list has everything that was known before it was asked for, as it should."""
        return listed.version is None or max((self.newest, *self.versions.values())) <= listed.version

    def is_behind(self, record: Record) -> bool:
        """Return whether the list has an object in an older version than was known before the list was asked for.

        Such a list is only taken in where the one before it was old as well: the store was set back to a backup.
        """
        known = self.versions.get(record.meta.key)
        return known is not None and record.meta.version < known
