"""What a scrape of the operator's own metrics costs: ``python tests/benchmarks/scrape_cost.py``; judges nothing."""

# ruff: noqa: T201 - a benchmark speaks to a person in a terminal

import asyncio
import sys
import time
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / part) for part in ("operator", "tests")]

from support.rig import Rig  # noqa: E402 - the paths above come first
from support.virtual_loop import in_virtual_time  # noqa: E402

_ROLLOUTS, _TIMES = 1000, 5


@in_virtual_time
async def bring_to_canary(rigs: list[Rig]) -> None:
    """Add an operator with so many Rollouts in their canary stage, each with its conditions judged."""
    rig = Rig()
    rigs.append(rig)
    await rig.canaries(*(f"model-{number}" for number in range(1, _ROLLOUTS)))
    async with rig.running():
        await asyncio.sleep(60)


async def longest_turn(rig: Rig) -> tuple[float, float, int]:
    """Return a scrape's CPU time, the longest time that it kept the event loop, in seconds, and its bytes."""
    turns: list[float] = []

    async def watch() -> None:
        while True:
            before = time.perf_counter()
            await asyncio.sleep(0)
            turns.append(time.perf_counter() - before)

    watcher = asyncio.create_task(watch())
    started = time.process_time()
    content = await rig.exposition.render()
    took = time.process_time() - started
    watcher.cancel()
    return took, max(turns), len(content)


if __name__ == "__main__":
    rigs: list[Rig] = []
    bring_to_canary(rigs)
    for _ in range(_TIMES):
        cpu, turn, size = asyncio.run(longest_turn(rigs[0]))
        print(
            f"{_ROLLOUTS} canaries: {1000 * cpu:.1f} ms CPU, longest turn {1000 * turn:.1f} ms, {size / 1024:.0f} KiB"
        )
