"""The work queue: each key at most once, with one worker at a time, the urgent ones first; no add is ever lost."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from serinus.api.names import ObjectKey
from serinus.reconcile.workqueue import WorkQueue
from support.examples import examples
from support.records import key
from support.virtual_loop import in_virtual_time

A, B, C = key("a"), key("b"), key("c")


async def taken(queue: WorkQueue, *, only_urgent: bool = False) -> ObjectKey | None:
    """What a worker gets at once; None where it has to wait."""
    try:
        async with asyncio.timeout(1):
            return await queue.take(only_urgent=only_urgent)
    except TimeoutError:
        return None


@in_virtual_time
async def test_a_key_that_is_added_twice_is_given_out_once() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(A)
    assert len(queue) == 1
    assert [await taken(queue), await taken(queue)] == [A, None]


@in_virtual_time
async def test_how_long_a_key_has_waited_is_told_when_it_is_taken() -> None:
    waits: list[float] = []
    queue = WorkQueue(asyncio.get_running_loop().time, waits.append)
    queue.add(A)
    await asyncio.sleep(2)
    queue.add(A)
    await queue.take()
    await asyncio.sleep(3)
    queue.add(A)
    await asyncio.sleep(5)
    queue.done(A)
    await asyncio.sleep(1)
    await queue.take()

    assert waits == pytest.approx([2, 6])


@in_virtual_time
async def test_keys_come_in_the_order_in_which_they_were_added() -> None:
    queue = WorkQueue()
    for added in (B, A, C):
        queue.add(added)
    assert [await taken(queue) for _ in range(3)] == [B, A, C]


@in_virtual_time
async def test_the_urgent_ones_overtake_all_others() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(B, urgent=True)
    assert [await taken(queue), await taken(queue)] == [B, A]


@in_virtual_time
async def test_a_waiting_key_can_become_urgent_but_not_the_other_way_round() -> None:
    queue = WorkQueue()
    for added in (A, B, C):
        queue.add(added)
    queue.add(C, urgent=True)
    queue.add(C, urgent=False)
    assert [await taken(queue) for _ in range(4)] == [C, A, B, None]


@in_virtual_time
async def test_two_workers_never_have_the_same_key_and_it_comes_again_after_the_first_is_done() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert await taken(queue) == A
    queue.add(A)
    assert await taken(queue) is None
    queue.done(A)
    assert await taken(queue) == A
    queue.done(A)
    assert await taken(queue) is None


@in_virtual_time
async def test_a_busy_key_that_becomes_urgent_comes_again_as_an_urgent_one() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert await taken(queue) == A
    queue.add(A)
    queue.add(A, urgent=True)
    queue.add(B)
    queue.done(A)
    assert await taken(queue, only_urgent=True) == A


@in_virtual_time
async def test_a_worker_for_urgent_keys_takes_no_others_and_is_woken_by_an_urgent_one() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert await taken(queue, only_urgent=True) is None
    waiting = asyncio.create_task(queue.take(only_urgent=True))
    await asyncio.sleep(1)
    assert not waiting.done()
    queue.add(A, urgent=True)
    assert await waiting == A
    assert await taken(queue) is None


@in_virtual_time
async def test_a_worker_that_was_called_off_while_it_waited_takes_nothing_with_it() -> None:
    queue = WorkQueue()
    waiting = asyncio.create_task(queue.take())
    await asyncio.sleep(1)
    waiting.cancel()
    queue.add(A)
    assert await taken(queue) == A


Step = tuple[int, bool, int]
steps = st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 3)), max_size=60)


@settings(max_examples=examples(200))
@given(steps=steps, length=st.integers(0, 4))
def test_whatever_the_interleaving_every_add_is_followed_by_a_reconcile_that_began_after_it(
    steps: list[Step], length: int
) -> None:
    @in_virtual_time
    async def story() -> None:
        queue, busy, begun, clock = WorkQueue(), set[ObjectKey](), dict[ObjectKey, int](), [0]

        async def work(*, only_urgent: bool) -> None:
            while True:
                taken_key = await queue.take(only_urgent=only_urgent)
                assert taken_key not in busy, "two workers have one key"
                busy.add(taken_key)
                clock[0] += 1
                begun[taken_key] = clock[0]
                await asyncio.sleep(length)
                busy.remove(taken_key)
                queue.done(taken_key)

        workers = [asyncio.create_task(work(only_urgent=number == 0)) for number in range(3)]
        added: dict[ObjectKey, int] = {}
        for number, urgent, pause in steps:
            added_key = key(f"k{number}")
            clock[0] += 1
            added[added_key] = clock[0]
            queue.add(added_key, urgent=urgent)
            await asyncio.sleep(pause)
        await asyncio.sleep((length + 1) * (len(steps) + 1))
        assert len(queue) == 0
        for added_key, at in added.items():
            assert begun[added_key] > at
        for worker in workers:
            assert not worker.done()
            worker.cancel()

    story()


@in_virtual_time
async def test_the_place_that_an_urgent_key_has_left_behind_gives_it_to_nobody_while_it_is_busy() -> None:
    queue = WorkQueue()
    queue.add(A)
    queue.add(A, urgent=True)
    assert await taken(queue) == A
    queue.add(A)
    assert await taken(queue) is None
    queue.done(A)
    assert await taken(queue) == A


@in_virtual_time
async def test_it_knows_whether_an_urgent_key_waits() -> None:
    queue = WorkQueue()
    queue.add(A)
    assert not queue.has_urgent
    queue.add(A, urgent=True)
    queue.add(B, urgent=True)
    assert [await taken(queue), queue.has_urgent] == [A, True]
    assert [await taken(queue), queue.has_urgent] == [B, False]
    queue.add(A, urgent=True)
    queue.done(A)
    assert [queue.has_urgent, await taken(queue), queue.has_urgent] == [True, A, False]


@in_virtual_time
async def test_a_key_that_is_withdrawn_is_not_given_out_until_it_is_added_again() -> None:
    queue = WorkQueue()
    queue.add(A, urgent=True)
    assert await taken(queue) == A
    queue.add(A, urgent=True)
    assert queue.is_waiting(A)
    queue.withdraw(A)
    queue.done(A)
    assert [len(queue), queue.has_urgent, await taken(queue)] == [0, False, None]
    queue.add(A)
    assert await taken(queue) == A


@in_virtual_time
async def test_a_wake_up_that_a_cancelled_worker_had_is_passed_on() -> None:
    queue = WorkQueue()
    first, second = (asyncio.create_task(queue.take()) for _ in range(2))
    await asyncio.sleep(0)
    queue.add(A)
    first.cancel()
    await asyncio.sleep(1)
    assert second.done()
