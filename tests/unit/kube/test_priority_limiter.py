"""Precedence of callers when the slots are taken."""

import asyncio

import pytest

from serinus.kube.priority_limiter import BESIDE, GIVE_WAY, PriorityLimiter
from support.virtual_loop import in_virtual_time


class Callers:
    """Callers that occupy a slot until a test makes them leave."""

    def __init__(self, limiter: PriorityLimiter) -> None:
        self._limiter = limiter
        self.inside: list[str] = []
        self.release: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def enter(self, name: str, *, urgent: bool = False) -> None:
        self.release[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._occupy(name, urgent=urgent))
        await settle()

    async def leave(self, name: str) -> None:
        self.release[name].set()
        await self.tasks[name]
        await settle()

    async def _occupy(self, name: str, *, urgent: bool) -> None:
        async with self._limiter.slot(urgent=urgent):
            self.inside.append(name)
            await self.release[name].wait()
            self.inside.remove(name)


async def settle() -> None:
    """Let every task run until it waits for something else."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_reserved_slots_are_for_urgent_callers_only() -> None:
    callers = Callers(PriorityLimiter(3, reserved=1))
    for name in ("a", "b", "c"):
        await callers.enter(name)
    assert callers.inside == ["a", "b"]
    await callers.enter("abort", urgent=True)
    assert callers.inside == ["a", "b", "abort"]
    for name in ("abort", "a", "b", "c"):
        await callers.leave(name)


async def test_urgent_callers_within_their_reserve_take_no_slot_from_the_others() -> None:
    callers = Callers(PriorityLimiter(4, reserved=2))
    for name in ("abort 1", "abort 2"):
        await callers.enter(name, urgent=True)
    for name in ("a", "b", "c"):
        await callers.enter(name)
    assert callers.inside == ["abort 1", "abort 2", "a", "b"]
    await callers.leave("abort 1")
    assert callers.inside == ["abort 2", "a", "b"]
    await callers.leave("a")
    assert callers.inside == ["abort 2", "b", "c"]
    for name in ("abort 2", "b", "c"):
        await callers.leave(name)


async def test_urgent_callers_may_use_the_slots_that_the_others_leave() -> None:
    callers = Callers(PriorityLimiter(3, reserved=1))
    for name in ("abort 1", "abort 2", "abort 3"):
        await callers.enter(name, urgent=True)
    await callers.enter("a")
    assert callers.inside == ["abort 1", "abort 2", "abort 3"]
    await callers.leave("abort 3")
    assert callers.inside == ["abort 1", "abort 2", "a"]
    for name in ("abort 1", "abort 2", "a"):
        await callers.leave(name)


async def test_an_urgent_caller_overtakes_all_waiting_callers() -> None:
    callers = Callers(PriorityLimiter(1, reserved=0))
    await callers.enter("a")
    await callers.enter("b")
    await callers.enter("abort", urgent=True)
    await callers.leave("a")
    assert callers.inside == ["abort"]
    await callers.leave("abort")
    assert callers.inside == ["b"]
    await callers.leave("b")


async def test_a_cancelled_caller_does_not_block_the_queue() -> None:
    callers = Callers(PriorityLimiter(1, reserved=0))
    await callers.enter("a")
    await callers.enter("cancelled")
    await callers.enter("c")
    callers.tasks["cancelled"].cancel()
    await settle()
    await callers.leave("a")
    assert callers.inside == ["c"]
    await callers.leave("c")


async def test_a_slot_granted_to_a_cancelled_caller_is_passed_on() -> None:
    callers = Callers(PriorityLimiter(1, reserved=0))
    await callers.enter("a")
    await callers.enter("cancelled")
    await callers.enter("c")
    callers.release["a"].set()
    await asyncio.sleep(0)  # its slot is granted to the next caller, which has not run yet
    callers.tasks["cancelled"].cancel()
    await settle()
    assert callers.inside == ["c"]
    await callers.leave("c")


async def test_beside_urgent_callers_only_few_others_are_admitted() -> None:
    callers = Callers(PriorityLimiter(20, reserved=5))
    await callers.enter("abort 1", urgent=True)
    await callers.enter("abort 2", urgent=True)
    names = [f"status {number}" for number in range(BESIDE + 3)]
    for name in names:
        await callers.enter(name)
    assert callers.inside == ["abort 1", "abort 2", *names[:BESIDE]]
    await callers.leave(names[0])
    assert callers.inside == ["abort 1", "abort 2", *names[1 : BESIDE + 1]]
    await callers.leave("abort 1")
    assert callers.inside == ["abort 2", *names[1 : BESIDE + 1]]
    await callers.leave("abort 2")
    assert callers.inside == names[1:]
    for name in names[1:]:
        await callers.leave(name)


@in_virtual_time
async def test_an_urgent_call_that_hangs_holds_the_others_back_for_a_moment_only() -> None:
    callers = Callers(PriorityLimiter(20, reserved=5))
    await callers.enter("abort", urgent=True)
    names = [f"status {number}" for number in range(BESIDE + 3)]
    for name in names:
        await callers.enter(name)
    assert len(callers.inside) == 1 + BESIDE
    await asyncio.sleep(GIVE_WAY)
    await settle()
    assert callers.inside == ["abort", *names]
    for name in ("abort", *names):
        await callers.leave(name)


def test_reserving_all_slots_is_refused() -> None:
    with pytest.raises(ValueError, match="leave at least one"):
        PriorityLimiter(4, reserved=4)
