"""Who goes first when there is not room for all."""

import asyncio

import pytest

from serinus.kube.priority_limiter import PriorityLimiter


class Line:
    """Callers that hold a slot until they are told to leave."""

    def __init__(self, slots: PriorityLimiter) -> None:
        self._slots = slots
        self.inside: list[str] = []
        self._doors: dict[str, asyncio.Event] = {}
        self.tasks: dict[str, asyncio.Task[None]] = {}

    async def comes(self, name: str, *, urgent: bool = False) -> None:
        self._doors[name] = asyncio.Event()
        self.tasks[name] = asyncio.create_task(self._stay(name, urgent=urgent))
        await settled()

    async def goes(self, name: str) -> None:
        self._doors[name].set()
        await self.tasks[name]
        await settled()

    async def _stay(self, name: str, *, urgent: bool) -> None:
        async with self._slots.hold(urgent=urgent):
            self.inside.append(name)
            await self._doors[name].wait()
            self.inside.remove(name)


async def settled() -> None:
    """Let every task run until it waits for something else."""
    for _ in range(10):
        await asyncio.sleep(0)


async def test_the_reserved_slots_are_for_the_urgent_only() -> None:
    line = Line(PriorityLimiter(3, reserved=1))
    for name in ("a", "b", "c"):
        await line.comes(name)
    assert line.inside == ["a", "b"]
    await line.comes("abort", urgent=True)
    assert line.inside == ["a", "b", "abort"]
    for name in ("abort", "a", "b", "c"):
        await line.goes(name)


async def test_an_urgent_caller_overtakes_all_that_wait() -> None:
    line = Line(PriorityLimiter(1, reserved=0))
    await line.comes("a")
    await line.comes("b")
    await line.comes("abort", urgent=True)
    await line.goes("a")
    assert line.inside == ["abort"]
    await line.goes("abort")
    assert line.inside == ["b"]
    await line.goes("b")


async def test_a_caller_that_gives_up_leaves_no_hole() -> None:
    line = Line(PriorityLimiter(1, reserved=0))
    await line.comes("a")
    await line.comes("gives up")
    await line.comes("c")
    line.tasks["gives up"].cancel()
    await settled()
    await line.goes("a")
    assert line.inside == ["c"]
    await line.goes("c")


async def test_a_slot_given_in_the_moment_of_giving_up_is_handed_on() -> None:
    line = Line(PriorityLimiter(1, reserved=0))
    await line.comes("a")
    await line.comes("gives up")
    await line.comes("c")
    line._doors["a"].set()
    await asyncio.sleep(0)  # its slot is given to the next one, which has not run yet
    line.tasks["gives up"].cancel()
    await settled()
    assert line.inside == ["c"]
    await line.goes("c")


def test_slots_that_would_lock_everybody_out_cannot_be_made() -> None:
    with pytest.raises(ValueError, match="leave at least one"):
        PriorityLimiter(4, reserved=4)
