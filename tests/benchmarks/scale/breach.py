"""How long bad candidates keep their traffic: all at once, and one by one."""

import asyncio
import random
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Final

from benchmarks.scale import machine
from benchmarks.scale.objects import candidate_of
from benchmarks.scale.prometheus import quantile, visible_at
from benchmarks.scale.scenarios import Figures
from benchmarks.scale.world import World
from demo.observe import wait_for

LIMIT: Final = 0.05
"""The tolerated share of failures, as in ``objects.ERRORS``."""

_SAFE_SECONDS: Final = 900.0
_BEFORE: Final = 60.0


async def at_once(world: World, names: list[str], share: float = 1.0) -> Figures:
    """Let all these canaries fail at the same moment."""
    world.gateway.watch_candidates()
    loaded, began = machine.load(), time.monotonic()
    since = await world.gateway.post("errors", {candidate_of(name): share for name in names})
    await _until_safe(world, names)
    others = machine.foreign(loaded, machine.load()) / (time.monotonic() - began)
    return (await _figures(world, dict.fromkeys(names, since))) | {"foreign_cpu_cores": others}


async def one_by_one(world: World, names: list[str], apart: float, seed: int, share: float = 1.0) -> Figures:
    """Let these canaries fail one after the other, at random moments ``apart`` seconds apart on average."""
    world.gateway.watch_candidates()
    chance = random.Random(seed)  # noqa: S311 - moments of failures, no secret
    since = {}
    for name in names:
        since[name] = await world.gateway.post("errors", {candidate_of(name): share})
        await asyncio.sleep(chance.uniform(0.2, 2 * apart - 0.2))
    await _until_safe(world, names)
    return await _figures(world, since)


async def _until_safe(world: World, names: list[str]) -> None:
    async def left() -> int:
        found = world.gateway.without
        return sum(1 for name in names if name not in found or not found[name].accepted)

    await wait_for(left, lambda count: count == 0, within=_SAFE_SECONDS, what="weight 0 of all", every=0.25)


async def _figures(world: World, since: Mapping[str, float]) -> Figures:
    moments = {name: world.gateway.without[name] for name in since}
    # Only now: what is asked of Prometheus or the API server before would cost them while they are needed.
    await world.until_all(since, lambda status: bool(status.get("rollback")), "the statuses")
    back = time.time() - min(since.values()) + _BEFORE
    visible = await visible_at(world.session, world.cluster.prometheus_url, since, LIMIT, back)
    statuses = {name: raw["status"] for name, raw in (await world.rollouts()).items() if name in since}
    decided = {name: _time(status["rollback"]["decidedAt"]) for name, status in statuses.items()}
    figures: Figures = {"rollouts": len(since), "rollouts_visible": len(visible)}
    latencies = {
        "failing_to_visible": {name: visible[name] - since[name] for name in visible},
        "breach_to_safe": {name: moments[name].accepted - visible[name] for name in visible},
        "breach_to_decided": {name: decided[name] - visible[name] for name in visible},
        "decided_to_safe": {name: moments[name].accepted - decided[name] for name in since},
        "decided_to_written": {name: moments[name].written - decided[name] for name in since},
        "written_to_accepted": {name: moments[name].accepted - moments[name].written for name in since},
    }
    for what, values in latencies.items():
        for label, q in (("p50", 0.5), ("p99", 0.99), ("last", 1.0)):
            figures[f"{what}_{label}_seconds"] = quantile(values.values(), q)
    return figures


def _time(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
