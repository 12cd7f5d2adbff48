"""The Rollouts to reconcile, in two queues: the safety lane's, and the ordinary one.

Where traffic may have to be taken from a version, the Rollout goes through the safety lane first, which hands it over
to the ordinary queue. Nothing that an ordinary reconcile waits for holds the safety lane up, not even for the same
Rollout.
"""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, assert_never

from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.priority import Priority
from serinus.reconcile.workqueue import WorkQueue

RETRY: Final = Backoff(first=0.2, longest=15.0)

SAFETY_RETRY: Final = Backoff(first=0.2, longest=2.0)
"""As long as a bad version has traffic, no pause is longer."""

SAFETY_RETRIES: Final = 100.0
"""A second, of all Rollouts together: where a policy refuses the writes of thousands, the pauses become longer."""

_TURN: Final = 0.05
_TURNS: Final = 100
"""The longest that an ordinary reconcile gives way to the safety lane is 100 times 0.05 s: they share one core."""

CONFLICTS_FROM: Final = 1.0
"""Seconds. The first conflicts are retried at once; a Rollout whose backoff has come to this pause has another writer
that never rests, so from then on conflicts wait like every other failure."""


class _Timers:
    """One timer for each Rollout at most."""

    def __init__(self, ring: Callable[[ObjectKey], None]) -> None:
        self._ring = ring
        self._handles: dict[ObjectKey, asyncio.TimerHandle] = {}

    def __len__(self) -> int:
        return len(self._handles)

    def start(self, key: ObjectKey, seconds: float) -> None:
        self.cancel(key)
        self._handles[key] = asyncio.get_running_loop().call_later(seconds, self._fire, key)

    def cancel(self, key: ObjectKey) -> None:
        handle = self._handles.pop(key, None)
        if handle is not None:
            handle.cancel()

    def _fire(self, key: ObjectKey) -> None:
        del self._handles[key]
        self._ring(key)


class RolloutQueue:
    """Both queues, with delayed requeues and retries for each; a Rollout has one timer in each of them at most."""

    def __init__(
        self,
        cache: ClusterCache,
        priority_of: Callable[[ObjectKey], Priority],
        handles: Callable[[ObjectKey], bool] = lambda _: True,
        *,
        ordinary: WorkQueue | None = None,
        safety: WorkQueue | None = None,
    ) -> None:
        """``priority_of`` says, when a Rollout is enqueued, which lane it goes to; what nobody ``handles`` to none."""
        self._cache = cache
        self._priority_of = priority_of
        self._handles = handles
        self._ordinary = ordinary if ordinary is not None else WorkQueue()
        self._safety = safety if safety is not None else WorkQueue()
        self._timers, self._safety_timers = _Timers(self.enqueue), _Timers(self._safety.add)
        self._retries: dict[ObjectKey, float] = {}
        self._safety_retries: dict[ObjectKey, float] = {}

    def __len__(self) -> int:
        """How many Rollouts wait for a worker of either lane."""
        return len(self._ordinary) + len(self._safety)

    # ---- adding --------------------------------------------------------------------------------

    def enqueue(self, key: ObjectKey) -> None:
        """Have a Rollout reconciled soon, unless another process handles it."""
        if not self._handles(key):
            return
        priority = self._priority_of(key)
        match priority:
            case Priority.ORDINARY | Priority.REPORT:
                self._ordinary.add(key, urgent=priority is Priority.REPORT)
            case Priority.AT_STAKE | Priority.URGENT:
                self._to_safety(key, urgent=priority is Priority.URGENT)
            case other:
                assert_never(other)

    def enqueue_all(self, keys: Iterable[ObjectKey]) -> None:
        """Have these Rollouts reconciled soon."""
        for key in keys:
            self.enqueue(key)

    def enqueue_model(self, model: ObjectKey) -> None:
        """Have the Rollouts of a model reconciled soon."""
        rollouts = self._cache.rollouts_of(model.namespace, model.name)
        self.enqueue_all(frozenset(record.meta.key for record in rollouts))

    def requeue_after(self, key: ObjectKey, seconds: float) -> None:
        """Have a Rollout reconciled after so many seconds, unless it is before."""
        self._timers.start(key, seconds)

    def retry(self, key: ObjectKey, *, conflict: bool) -> None:
        """Have a Rollout whose reconcile failed reconciled again, ever more slowly."""
        pause = self._retries.get(key, RETRY.first)
        self._retries[key] = RETRY.after(pause)
        self.requeue_after(key, 0 if conflict and pause < CONFLICTS_FROM else pause)

    # ---- the ordinary queue --------------------------------------------------------------------

    async def take(self, *, only_urgent: bool) -> ObjectKey:
        """Wait for a Rollout of the ordinary queue and take it; ``done`` must follow.

        While a version that is known to be bad waits for the safety lane, the ordinary lane stays out of its way.
        """
        key = await self._ordinary.take(only_urgent=only_urgent)
        for _ in range(_TURNS):
            if not self._safety.has_urgent:
                break
            await asyncio.sleep(_TURN)
        self._timers.cancel(key)
        return key

    def done(self, key: ObjectKey) -> None:
        """Give a Rollout back: another worker may take it from now on."""
        self._ordinary.done(key)

    def succeeded(self, key: ObjectKey) -> None:
        """Let the next failure begin with the shortest pause."""
        self._retries.pop(key, None)

    def forget(self, key: ObjectKey) -> None:
        """Drop the timers and the failures of a Rollout that is gone."""
        self._timers.cancel(key)
        self._safety_timers.cancel(key)
        self._retries.pop(key, None)
        self._safety_retries.pop(key, None)

    # ---- the safety lane's queue ---------------------------------------------------------------

    def to_safety(self, key: ObjectKey) -> None:
        """Have the safety lane take the traffic from a Rollout's version, before those not known to be bad."""
        self._to_safety(key, urgent=True)

    def _to_safety(self, key: ObjectKey, *, urgent: bool) -> None:
        # What has failed already waits behind what has not been tried: it may hang again, and there are others.
        self._safety.add(key, urgent=urgent and key not in self._safety_retries)

    def hand_over(self, key: ObjectKey, *, urgent: bool) -> None:
        """Have an ordinary reconcile do the rest, now that the safety lane is done.

        What the lane has written weights for (``urgent``), or what is known to be bad, goes before the others.
        """
        self._ordinary.add(key, urgent=urgent or self._priority_of(key) in {Priority.URGENT, Priority.REPORT})

    async def take_for_safety(self) -> ObjectKey:
        """Wait for a Rollout of the safety lane and take it; ``secured`` must follow."""
        key = await self._safety.take()
        self._safety_timers.cancel(key)
        return key

    def is_waiting_for_safety(self, key: ObjectKey) -> bool:
        """Return whether the safety lane has yet to attempt a Rollout, or to attempt it again."""
        return self._safety.is_waiting(key)

    def is_for_safety(self, key: ObjectKey) -> bool:
        """Return whether a Rollout's next decision may take traffic from a version."""
        return self._priority_of(key) in {Priority.URGENT, Priority.AT_STAKE}

    def withdraw_from_safety(self, key: ObjectKey) -> None:
        """Spare the safety lane another attempt: the ordinary reconcile that follows makes one anyway."""
        self._safety.withdraw(key)

    def secured(self, key: ObjectKey) -> None:
        """Give a Rollout back: another worker of the safety lane may take it from now on."""
        self._safety.done(key)

    def safety_succeeded(self, key: ObjectKey) -> None:
        """Let the next failure in the safety lane begin with the shortest pause."""
        self._safety_retries.pop(key, None)

    def check_safety(self, key: ObjectKey) -> None:
        """Have the safety lane see in a while whether what it wrote has stayed."""
        self._safety_timers.start(key, SAFETY_RETRY.longest)

    def retry_safety(self, key: ObjectKey) -> None:
        """Have the safety lane try again soon, behind the Rollouts that it has not tried yet."""
        pause = self._safety_retries.get(key, SAFETY_RETRY.first)
        self._safety_retries[key] = SAFETY_RETRY.after(pause)
        self._safety.withdraw(key)
        self._safety_timers.start(key, max(pause, len(self._safety_retries) / SAFETY_RETRIES))
