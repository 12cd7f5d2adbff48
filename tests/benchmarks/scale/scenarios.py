"""What is measured; each scenario returns its figures by name."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.scale import machine
from benchmarks.scale.apiserver import Writes, writes
from benchmarks.scale.objects import NEW
from benchmarks.scale.process import Operator
from benchmarks.scale.prometheus import received
from benchmarks.scale.world import World, is_at_rest, note
from demo.observe import wait_for

Figures = dict[str, float]

DECISIONS: Final = "serinus_decide_duration_seconds_count"
START_SECONDS: Final = 600.0
_TICKS_BEFORE: Final = 8
"""After so many ticks the past has been read again and each canary is judged by what comes in."""

_AFTER_START: Final = 5.0


@dataclass(frozen=True, slots=True)
class Window:
    """What happened in a measuring window.

    Attributes:
        seconds: its length.
        cpu: seconds of CPU that the operator used.
        metrics: growth of the operator's own metrics.
        queries: that Prometheus received.
        writes: that the API server served.
        rss: the greatest memory that was seen, in MiB.
        foreign: seconds of CPU that processes outside of the cluster used.
    """

    seconds: float
    cpu: float
    metrics: Mapping[str, float]
    queries: float
    writes: Writes
    rss: float
    foreign: float

    @property
    def cores(self) -> float:
        return self.cpu / self.seconds

    @property
    def writes_per_minute(self) -> float:
        return 60 * self.writes.total() / self.seconds

    def mean(self, histogram: str) -> float:
        """Return the mean of a histogram of the operator; 0 where it observed nothing."""
        count = self.metrics.get(f"{histogram}_count")
        return self.metrics[f"{histogram}_sum"] / count if count else 0.0

    def figures(self) -> Figures:
        """Return all of it, per second, minute or tick."""
        ticks = self.metrics.get("serinus_metric_ticks_total")
        found = {
            "cpu_cores": self.cores,
            "foreign_cpu_cores": self.foreign / self.seconds,
            "rss_mib": self.rss,
            "writes_per_minute": self.writes_per_minute,
            "decisions_per_second": self.metrics["serinus_decide_duration_seconds_count"] / self.seconds,
            "decide_microseconds": 1e6 * self.mean("serinus_decide_duration_seconds"),
        }
        found |= {f"writes_per_minute_{what}": 60 * count / self.seconds for what, count in sorted(self.writes.items())}
        if ticks:
            found |= {
                "tick_ms": 1e3 * self.mean("serinus_metric_tick_duration_seconds"),
                "tick_cpu_ms": 1e3 * self.cpu / ticks,
                "tick_interval_seconds": self.seconds / ticks,
                "queries_per_tick": self.queries / ticks,
            }
        return found


async def observe(world: World, operator: Operator, seconds: float) -> Window:
    """Measure the operator for so many seconds in which the harness changes nothing."""
    url = world.cluster.prometheus_url
    wrote, asked, counted = await writes(world.api), await received(world.session, url), await operator.metrics()
    first = last = operator.usage()
    loaded = machine.load()
    rss = first.rss
    while last.at - first.at < seconds:
        await asyncio.sleep(min(2.0, seconds))
        last = operator.usage()
        rss = max(rss, last.rss)
    others = machine.foreign(loaded, machine.load())
    now = await operator.metrics()
    grown = {name: value - counted.get(name, 0.0) for name, value in now.items()}
    queries = await received(world.session, url) - asked
    since = (await writes(world.api)) - wrote
    return Window(last.at - first.at, last.cpu - first.cpu, grown, queries, since, rss, others)


async def start(world: World, operator: Operator, asked: float) -> Figures:
    """See when a started operator works; some Rollouts must be in canary.

    Args:
        world: with settled Rollouts and some in canary.
        operator: that was started a moment ago.
        asked: how many queries Prometheus had received before.
    """
    silence = asyncio.create_task(longest_silence(operator))
    tick = asyncio.create_task(_until_asked(world, operator, asked))
    first = await operator.until(DECISIONS, 1, START_SECONDS)
    everything = await operator.until(DECISIONS, len(world.names), START_SECONDS)
    ticked = await tick
    await asyncio.sleep(_AFTER_START)
    silence.cancel()
    usage = operator.usage()
    return {
        "first_decision_seconds": first,
        "first_tick_seconds": ticked,
        "all_decided_seconds": everything,
        "longest_silence_seconds": max(operator.silences),
        "cpu_seconds": usage.cpu,
        "peak_mib": usage.peak,
    }


async def _until_asked(world: World, operator: Operator, before: float) -> float:
    """Return when Prometheus had received a query of the operator, in seconds since its start."""

    async def read() -> float:
        return await received(world.session, world.cluster.prometheus_url)

    await wait_for(read, lambda count: count > before, within=START_SECONDS, what="a query", every=0.05)
    return time.monotonic() - operator.began


async def longest_silence(operator: Operator) -> None:
    """Note how long each request to /livez takes, from the first that is answered on: the loop answers it."""
    while True:
        began = time.monotonic()
        if await operator.is_live() and operator.answered:
            operator.silences.append(time.monotonic() - began)
        await asyncio.sleep(0.02)


async def one_run(world: World) -> Figures:
    """Promote one version and count all writes, by kind."""
    name = world.names[0]
    before = await writes(world.api)
    began = time.monotonic()
    await world.want([name])
    await world.until_all([name], _is_promoted, "the promotion")
    ended = time.monotonic() - began
    await world.until_calm()
    found = await writes(world.api) - before
    # The harness asked for the version by one write.
    found["rollouts"] -= 1
    return {"writes": found.total(), "seconds": ended} | {f"writes_{what}": found[what] for what in sorted(found)}


def _is_promoted(status: dict[str, Any]) -> bool:
    return is_at_rest(status) and (status.get("stable") or {}).get("version") == NEW


async def rest(world: World, operator: Operator, seconds: float) -> Figures:
    """Measure an operator with nothing to do, once what follows its start is done."""
    await operator.until(DECISIONS, len(world.names), START_SECONDS)
    calm = await world.until_calm()
    window = await observe(world, operator, seconds)
    return window.figures() | {"peak_mib": operator.usage().peak, "seconds_until_calm": calm}


async def until_judging(world: World, operator: Operator) -> None:
    """Wait until a started operator has taken all canaries up again, and is calm."""
    await operator.until(DECISIONS, len(world.names), START_SECONDS)
    await operator.until("serinus_metric_ticks_total", _TICKS_BEFORE, START_SECONDS)
    note("all are decided")
    await world.until_calm()
    note("the registry is calm")


async def canary(world: World, operator: Operator, seconds: float) -> Figures:
    """Measure while all are in canary, with good traffic."""
    window = await observe(world, operator, seconds)
    return window.figures() | {"peak_mib": operator.usage().peak}
