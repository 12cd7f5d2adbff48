"""What a decision costs, and a tick of 1,000 rollouts: ``python tests/benchmarks/decide_cost.py``; judges nothing."""

# ruff: noqa: T201 - a benchmark speaks to a person in a terminal

import asyncio
import sys
import time
import timeit
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / part) for part in ("operator", "tests")]

from msgspec import structs  # noqa: E402 - the paths above come first

from serinus.api.rollout_status import Phase, RolloutStatus, Serving  # noqa: E402
from serinus.engine.rollout.decide import decide  # noqa: E402
from serinus.reconcile.cache import ClusterCache  # noqa: E402
from serinus.reconcile.modelversions.admission_cache import AdmissionCache  # noqa: E402
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker  # noqa: E402
from serinus.reconcile.rollouts.observe import LocalFacts, observe, spec_of  # noqa: E402
from support.fake_source import FakeSource  # noqa: E402
from support.records import endpoints, model_version, rollout, route, spec_for  # noqa: E402
from support.world import BAD, World  # noqa: E402

_ROLLOUTS, _TICKS, _LOOKS = 1000, 12, 2000
_WEIGHTS = {"1.0.0": 9500, "2.0.0": 500}


def in_canary() -> World:
    """Walk into the canary stage and let some evidence come in."""
    world = World()
    while world.status.stage is None or world.status.stage.name != "canary":
        world.settle().measure()
    for _ in range(5):
        world.measure().settle()
    return world


def decisions() -> dict[str, float]:
    """Return the CPU time of one decision in microseconds, in the three situations that matter."""
    canary = in_canary()
    bad = in_canary()
    bad.quality["2.0.0"] = BAD
    bad.measure()
    worlds = {"at rest": World().run(Phase.HEALTHY), "canary": canary, "rollback": bad}
    return {name: _microseconds(world) for name, world in worlds.items()}


def _microseconds(world: World) -> float:
    observed = world.observe()
    spec, status, now = world.spec, world.status, world.now
    seconds = min(
        timeit.repeat(
            "decide(spec, status, observed, now)",
            globals={"decide": decide, "spec": spec, "status": status, "observed": observed, "now": now},
            number=_LOOKS,
            repeat=5,
            # Of CPU: what else runs on the machine does not count.
            timer=time.process_time,
        )
    )
    return seconds / _LOOKS * 1e6


def a_thousand(status: RolloutStatus) -> ClusterCache:
    """Return a store in which so many rollouts are in the same state."""
    store = ClusterCache()
    for number in range(_ROLLOUTS):
        name = f"m{number}"
        for version in _WEIGHTS:
            store.put(model_version(version, name))
            store.put(endpoints(name, version))
        store.put(route(name, _WEIGHTS))
        record = rollout(name, spec_for(name), serving_as(name, status))
        store.put(replace(record, has_finalizer=True))
    return store


def serving_as(name: str, status: RolloutStatus) -> RolloutStatus:
    """Return the status with the backends of this model in the place of those of the world's."""

    def moved(serving: Serving | None) -> Serving | None:
        return serving and structs.replace(serving, backend=model_version(serving.version, name).backend)

    own = status.route and structs.replace(status.route, name=name)
    return structs.replace(status, stable=moved(status.stable), candidate=moved(status.candidate), route=own)


async def print_ticks() -> None:
    """Print what a tick of the evidence and the looks after it cost, for all rollouts together."""
    status = in_canary().status
    assert status.stage is not None
    began = time.perf_counter()
    store = a_thousand(status)
    print(f"store, {_ROLLOUTS:,} rollouts with their worlds taken in: {(time.perf_counter() - began) * 1e3:.0f} ms")
    book, reviews = AnalysisTracker(store, {"default": FakeSource()}), AdmissionCache(store)
    now = status.stage.since + timedelta(seconds=60)
    for _ in range(_ROLLOUTS // 100 + 1):
        now += timedelta(seconds=5)
        await book.tick("default", now)
    asking = looking = 0.0
    news = 0
    for _ in range(_TICKS):
        now += timedelta(seconds=5)
        before = time.process_time()
        found = await book.tick("default", now)
        between = time.process_time()
        for one in found:
            record = store.rollout(one)
            assert record is not None
            local = LocalFacts(readings=book.readings(record), metrics_problem=book.problem(record))
            observed = observe(store, reviews, record, local)
            decision = decide(spec_of(store, record), record.status, observed, now)
            assert not decision.actions + decision.events, "the tick of a canary that goes well"
        asking, looking = asking + between - before, looking + time.process_time() - between
        news += len(found)
    print(f"one tick of {_ROLLOUTS:,} canaries: evidence {asking / _TICKS * 1e3:.0f} ms of CPU (the fake's answers")
    print(f"included), observe and decide {looking / _TICKS * 1e3:.0f} ms of CPU, for {news / _TICKS:.0f} with news")


if __name__ == "__main__":
    for situation, microseconds in decisions().items():
        print(f"decide, {situation}: {microseconds:.0f} µs")
    asyncio.run(print_ticks())
