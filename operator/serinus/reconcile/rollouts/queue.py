"""The Rollouts to reconcile: what is urgent comes first, what failed is retried with backoff."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.reconcile.background import BackgroundTasks
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.workqueue import WorkQueue

RETRY: Final = Backoff(first=0.2, longest=15.0)

CONFLICTS_FROM: Final = 1.0
"""Seconds. The first conflicts are retried at once; a Rollout whose backoff has come to this pause has another writer
that never rests, so from then on conflicts wait like every other failure."""


class RolloutQueue:
    """A work queue of Rollouts with delayed requeues; a Rollout has one timer at most."""

    def __init__(
        self, cache: ClusterCache, background: BackgroundTasks, is_urgent: Callable[[ObjectKey], bool]
    ) -> None:
        """``is_urgent`` says, when a Rollout is enqueued, whether it overtakes the others."""
        self._cache = cache
        self._background = background
        self._is_urgent = is_urgent
        self._work = WorkQueue()
        self._timers: dict[ObjectKey, asyncio.TimerHandle] = {}
        self._retries: dict[ObjectKey, float] = {}

    def __len__(self) -> int:
        """How many Rollouts wait for a worker."""
        return len(self._work)

    # ---- adding --------------------------------------------------------------------------------

    def enqueue(self, key: ObjectKey) -> None:
        """Have a Rollout reconciled soon."""
        self.enqueue_all((key,))

    def enqueue_all(self, keys: Iterable[ObjectKey]) -> None:
        """Have these Rollouts reconciled soon."""
        for key in keys:
            self._background.start(self.add(key, urgent=self._is_urgent(key)))

    def enqueue_model(self, model: ObjectKey) -> None:
        """Have the Rollouts of a model reconciled soon."""
        rollouts = self._cache.rollouts_of(model.namespace, model.name)
        self.enqueue_all(frozenset(record.meta.key for record in rollouts))

    async def add(self, key: ObjectKey, *, urgent: bool) -> None:
        """Have a Rollout reconciled soon, with the urgency that the caller knows."""
        await self._work.add(key, urgent=urgent)

    def requeue_after(self, key: ObjectKey, seconds: float) -> None:
        """Have a Rollout reconciled after so many seconds, unless it is before."""
        self._cancel_timer(key)
        self._timers[key] = asyncio.get_running_loop().call_later(seconds, self.enqueue, key)

    def retry(self, key: ObjectKey, *, conflict: bool) -> None:
        """Have a Rollout whose reconcile failed reconciled again, ever more slowly."""
        pause = self._retries.get(key, RETRY.first)
        self._retries[key] = RETRY.after(pause)
        self.requeue_after(key, 0 if conflict and pause < CONFLICTS_FROM else pause)

    # ---- taking --------------------------------------------------------------------------------

    async def take(self, *, only_urgent: bool) -> ObjectKey:
        """Wait for a Rollout and take it; ``done`` must follow."""
        key = await self._work.take(only_urgent=only_urgent)
        self._cancel_timer(key)
        return key

    async def done(self, key: ObjectKey) -> None:
        """Give a Rollout back: another worker may take it from now on."""
        await self._work.done(key)

    def succeeded(self, key: ObjectKey) -> None:
        """Let the next failure begin with the shortest pause."""
        self._retries.pop(key, None)

    def forget(self, key: ObjectKey) -> None:
        """Drop the timer and the failures of a Rollout that is gone."""
        self._cancel_timer(key)
        self._retries.pop(key, None)

    def _cancel_timer(self, key: ObjectKey) -> None:
        timer = self._timers.pop(key, None)
        if timer is not None:
            timer.cancel()
