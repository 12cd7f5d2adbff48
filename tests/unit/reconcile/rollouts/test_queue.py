"""The Rollouts' queue: urgency, one timer for each Rollout, retries that slow down."""

import asyncio

from serinus.api.names import ObjectKey
from serinus.reconcile.background import BackgroundTasks
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.queue import RolloutQueue
from support.records import key, rollout, spec_for
from support.virtual_loop import in_virtual_time

A, B = key("a"), key("b")


def queue_of(*names: str, urgent: frozenset[ObjectKey] = frozenset()) -> RolloutQueue:
    cache = ClusterCache()
    for name in names:
        cache.put(rollout(name, spec_for("fraud")))
    return RolloutQueue(cache, BackgroundTasks(), urgent.__contains__)


async def next_after(queue: RolloutQueue) -> tuple[ObjectKey, float]:
    """The next Rollout, and the seconds until it was there; it is given back at once."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    taken = await queue.take(only_urgent=False)
    await queue.done(taken)
    return taken, round(loop.time() - began, 6)


@in_virtual_time
async def test_what_is_urgent_when_it_is_enqueued_overtakes_the_others() -> None:
    queue = queue_of(urgent=frozenset({B}))
    queue.enqueue_all((A, B))
    await asyncio.sleep(0)
    assert await queue.take(only_urgent=True) == B
    assert await queue.take(only_urgent=False) == A


@in_virtual_time
async def test_all_rollouts_of_a_model_are_enqueued() -> None:
    queue = queue_of("a", "b")
    queue.enqueue_model(key("fraud"))
    assert {(await next_after(queue))[0], (await next_after(queue))[0]} == {A, B}


@in_virtual_time
async def test_a_later_requeue_replaces_the_timer_of_an_earlier_one() -> None:
    queue = queue_of()
    queue.requeue_after(A, 5)
    queue.requeue_after(A, 20)
    assert await next_after(queue) == (A, 20)
    assert queue._timers == {}


@in_virtual_time
async def test_a_rollout_that_is_taken_before_its_timer_is_not_requeued_by_it() -> None:
    queue = queue_of()
    queue.requeue_after(A, 5)
    queue.enqueue(A)
    assert await next_after(queue) == (A, 0)
    await asyncio.sleep(10)
    assert len(queue) == 0


@in_virtual_time
async def test_failures_are_retried_ever_more_slowly_until_one_succeeds() -> None:
    queue, pauses = queue_of(), []
    for _ in range(8):
        queue.retry(A, conflict=False)
        pauses.append((await next_after(queue))[1])
    assert pauses == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0]
    queue.succeeded(A)
    queue.retry(A, conflict=False)
    assert await next_after(queue) == (A, 0.2)


@in_virtual_time
async def test_the_first_conflicts_are_retried_at_once() -> None:
    queue, pauses = queue_of(), []
    for _ in range(5):
        queue.retry(A, conflict=True)
        pauses.append((await next_after(queue))[1])
    assert pauses == [0, 0, 0, 1.6, 3.2]


@in_virtual_time
async def test_a_rollout_that_is_forgotten_is_not_requeued() -> None:
    queue = queue_of()
    queue.retry(A, conflict=False)
    queue.forget(A)
    await asyncio.sleep(1)
    assert len(queue) == 0
    assert (queue._timers, queue._retries) == ({}, {})
