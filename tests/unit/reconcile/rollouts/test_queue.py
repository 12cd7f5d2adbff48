"""The Rollouts' queues: which lane, one timer for each Rollout in each, retries that slow down."""

import asyncio

from serinus.api.names import ObjectKey
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.rollouts.priority import Priority
from serinus.reconcile.rollouts.queue import RolloutQueue
from support.records import key, rollout, spec_for
from support.virtual_loop import in_virtual_time

A, B, C = key("a"), key("b"), key("c")


def queue_of(*names: str, priorities: dict[ObjectKey, Priority] | None = None) -> RolloutQueue:
    cache = ClusterCache()
    for name in names:
        cache.put(rollout(name, spec_for("fraud")))
    return RolloutQueue(cache, lambda one: (priorities or {}).get(one, Priority.ORDINARY))


async def next_after(queue: RolloutQueue) -> tuple[ObjectKey, float]:
    """The next Rollout, and the seconds until it was there; it is given back at once."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    taken = await queue.take(only_urgent=False)
    queue.done(taken)
    return taken, round(loop.time() - began, 6)


async def next_for_safety(queue: RolloutQueue) -> tuple[ObjectKey, float]:
    """The same for the safety lane."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    taken = await queue.take_for_safety()
    queue.secured(taken)
    return taken, round(loop.time() - began, 6)


@in_virtual_time
async def test_what_may_lose_traffic_goes_to_the_safety_lane_and_what_is_known_to_be_bad_first() -> None:
    queue = queue_of(priorities={B: Priority.AT_STAKE, C: Priority.URGENT})
    queue.enqueue_all((A, B, C))
    assert [(await next_for_safety(queue))[0] for _ in range(2)] == [C, B]
    assert (await next_after(queue))[0] == A
    assert len(queue) == 0


@in_virtual_time
async def test_a_rollout_in_work_in_the_ordinary_lane_is_not_busy_for_the_safety_lane() -> None:
    queue = queue_of(priorities={A: Priority.URGENT})
    queue.hand_over(A, urgent=True)
    assert await queue.take(only_urgent=True) == A
    queue.enqueue(A)
    assert await next_for_safety(queue) == (A, 0)


@in_virtual_time
async def test_what_the_safety_lane_has_tried_waits_behind_what_it_has_not_tried_yet() -> None:
    queue = queue_of(priorities={A: Priority.URGENT, B: Priority.URGENT})
    queue.retry_safety(A)
    await asyncio.sleep(1)
    queue.enqueue(B)
    assert [(await next_for_safety(queue))[0] for _ in range(2)] == [B, A]


@in_virtual_time
async def test_no_pause_in_the_safety_lane_is_longer_than_two_seconds() -> None:
    queue, pauses = queue_of(), []
    for _ in range(6):
        queue.retry_safety(A)
        pauses.append((await next_for_safety(queue))[1])
    assert pauses == [0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    queue.safety_succeeded(A)
    queue.retry_safety(A)
    assert await next_for_safety(queue) == (A, 0.2)


@in_virtual_time
async def test_thousands_of_refused_writes_are_not_retried_faster_than_a_hundred_a_second() -> None:
    queue = queue_of()
    for number in range(1000):
        queue.retry_safety(key(f"k{number}"))
    queue.retry_safety(A)
    await asyncio.sleep(10)
    assert A not in {(await next_for_safety(queue))[0] for _ in range(len(queue))}
    await asyncio.sleep(0.1)
    assert await next_for_safety(queue) == (A, 0)


@in_virtual_time
async def test_a_retry_of_the_safety_lane_and_a_later_look_have_a_timer_each() -> None:
    queue = queue_of()
    queue.retry_safety(A)
    queue.requeue_after(A, 30)
    assert await next_for_safety(queue) == (A, 0.2)
    assert await next_after(queue) == (A, 29.8)


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
    assert len(queue._timers) == 0


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
    queue.retry_safety(A)
    queue.forget(A)
    await asyncio.sleep(1)
    assert len(queue) == 0
    assert (len(queue._timers), len(queue._safety_timers)) == (0, 0)
    assert (queue._retries, queue._safety_retries) == ({}, {})
