"""Takes changed objects into the cache and enqueues what they concern."""

from collections.abc import Collection

from serinus.ports.cluster_state import Record, RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.listing import Listing
from serinus.reconcile.modelversions.controller import ModelVersionController
from serinus.reconcile.ownership import Ownership
from serinus.reconcile.rollouts.queue import RolloutQueue


class Informer:
    """The way of every object into the cache, whether the watch, a list, a re-read or an own write brought it."""

    def __init__(
        self, cache: ClusterCache, queue: RolloutQueue, model_versions: ModelVersionController, ownership: Ownership
    ) -> None:
        """Fill this cache, and feed both controllers."""
        self._ownership = ownership
        self._cache = cache
        self._queue = queue
        self._model_versions = model_versions

    def on_change(self, record: Record) -> None:
        """Take in an object; an older version of it changes nothing."""
        self._note_move(record)
        changed = self._cache.is_news(record)
        models = self._cache.models_behind(record) if changed else frozenset()
        self._queue.enqueue_all(self._cache.put(record))
        self._model_versions.enqueue(models)

    def on_written(self, record: Record) -> None:
        """Take in an object as a write has left it, unless it was deleted before that was answered.

        The watch has told of the deletion already, and nothing would tell of it again.
        """
        if not self._cache.is_gone(record.meta.uid):
            self.on_change(record)

    def on_list(self, listing: Listing, records: Collection[Record]) -> None:
        """Take in the members of a complete list."""
        for record in records:
            self._note_move(record)
        changed = [record for record in records if self._cache.is_news(record) or listing.is_behind(record)]
        self._queue.enqueue_all(self._cache.put_all(listing, records))
        self._model_versions.enqueue(frozenset().union(*(self._cache.models_behind(record) for record in changed)))

    def _note_move(self, record: Record) -> None:
        """Note an edit by which another model, and so perhaps another shard, has the Rollout."""
        if isinstance(record, RolloutRecord):
            self._ownership.note(self._cache.rollout(record.meta.key), record)
