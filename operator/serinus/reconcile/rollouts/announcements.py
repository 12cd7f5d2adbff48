"""Announces what happened to Rollouts to the receivers of notifications, each record once for each process.

The records are taken from the stored statuses: what is in a status was decided and done, it is there before the
registry is asked, and a process that takes over finds what the one before has not delivered to the registry. So every
record is announced at least once, by whichever process delivers it; after that it is in memory only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from serinus.api.audit_record import AuditEntry
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.decision import Event
from serinus.ports.cluster_state import RolloutRecord
from serinus.ports.notifications import Notification, Notifier, UnrecordedEvent, unrecorded
from serinus.reconcile.cache import ClusterCache


@dataclass(frozen=True, slots=True)
class _Seen:
    """The records of one stored status: the resource version and the ids."""

    version: int
    ids: frozenset[str]


class Announcements:
    """Remembers which records of the stored statuses were announced."""

    def __init__(self, notifier: Notifier, cache: ClusterCache) -> None:
        """Begin empty: as after a restart, all records that wait in a status are announced."""
        self._notifier = notifier
        self._cache = cache
        self._seen: dict[ObjectKey, _Seen] = {}

    def records(self, record: RolloutRecord) -> None:
        """Announce the records of a stored status that were not announced yet; a status older than the last is not."""
        key, stored = record.meta.key, record.status.records
        seen = self._seen.get(key)
        if seen is None and not stored:
            return
        known = seen if seen is not None else _Seen(0, frozenset())
        if record.meta.version <= known.version:
            return
        self._announce(record, (entry for entry in stored if entry.id not in known.ids))
        self._seen[key] = _Seen(record.meta.version, frozenset(entry.id for entry in stored))

    def last(self, record: RolloutRecord) -> None:
        """Announce the last records of a Rollout that is gone, which may never have been stored."""
        seen = self._seen.pop(record.meta.key, None)
        ids = seen.ids if seen is not None else frozenset()
        self._announce(record, (entry for entry in record.status.records if entry.id not in ids))

    def events(self, record: RolloutRecord, after: RolloutStatus, at: datetime, events: Iterable[Event]) -> None:
        """Announce the events of a decision that are not records; the status was written."""
        self._announce(record, unrecorded(record, after, at, events))

    def forget(self, key: ObjectKey) -> None:
        """Forget a Rollout that another process decides about."""
        self._seen.pop(key, None)

    def _announce(self, record: RolloutRecord, happened: Iterable[AuditEntry | UnrecordedEvent]) -> None:
        plan = self._cache.last_plan(record)
        model = ObjectKey(record.meta.key.namespace, plan.model) if plan is not None else record.model
        for facts in happened:
            self._notifier.notify(Notification(owner=record.meta, model=model, facts=facts))
