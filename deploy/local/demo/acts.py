"""The acts of the demo: change one field, watch the run to its end, and collect the facts."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Protocol

from demo.cluster import ClusterView, Kubectl, set_version_command
from demo.errors import CouldNotAskError
from demo.manifests import GOOD, Version
from demo.metrics.prometheus import Probe, is_visible
from demo.observe import ended, position, wait_for
from demo.portable.server import PORT
from demo.process import Running
from demo.result import PromotionFacts, RollbackFacts
from demo.settings import DemoSettings
from demo.terminal import Style, Terminal
from demo.track import Snapshot, Track
from demo.traffic.requestlog import RequestLog, between
from serinus.api.abort_condition import AbortCondition
from serinus.api.rollout_status import Phase, RolloutStatus, StageState

RULE: Final = "predict"

_AFTERWARDS_SECONDS: Final = 4.0


class Meter(Protocol):
    """Counts the operator's queries during analysis."""

    @property
    def tick(self) -> float:
        """Seconds between two readings."""
        ...

    @property
    def per_tick(self) -> float | None:
        """The queries per tick so far; None where they cannot be measured."""
        ...

    async def record(self, status: RolloutStatus) -> None:
        """Take a reading.

        Raises:
            CouldNotAskError: Prometheus did not answer.
        """
        ...


@dataclass(slots=True)
class QueryMeter:
    """Counts the operator's queries during analysis, from Prometheus' own counter.

    The readings are not synchronised with the operator's ticks: in the time of n and a half ticks it may tick n + 1
    times. So each uninterrupted period of analysis is counted as one tick longer than it was.

    Attributes:
        probe: reads the counter.
        tick: interval of the operator's queries, in seconds.
    """

    probe: Probe
    tick: float
    _queries: float = 0.0
    _ticks: float = 0.0
    _last: tuple[float, float] | None = None

    @property
    def per_tick(self) -> float:
        """The queries per tick so far; 0 before the first analysis."""
        return self._queries / self._ticks if self._ticks else 0.0

    async def record(self, status: RolloutStatus) -> None:
        """Take a reading; the queries since the last one count if all of that time was analysis.

        Raises:
            CouldNotAskError: Prometheus did not answer.
        """
        if status.stage is None or status.stage.state is not StageState.ANALYZING:
            self._last = None
            return
        at, received = time.monotonic(), await self.probe.queries_of_others()
        if self._last is None:
            self._ticks += 1
        else:
            self._ticks += (at - self._last[0]) / self.tick
            self._queries += received - self._last[1]
        self._last = (at, received)


@dataclass(slots=True)
class BreachWatch:
    """Polls Prometheus until it shows a breach; ``visible_at`` is when the query was sent that showed it."""

    probe: Probe
    condition: AbortCondition
    backend: str
    every: float
    visible_at: float | None = None

    async def watch(self) -> None:
        """Poll; failed queries are ignored."""
        before = None
        while self.visible_at is None:
            sent_at = time.time()
            with suppress(CouldNotAskError):
                counts = await self.probe.counts(self.condition, self.backend)
                before = counts if before is None else before
                if is_visible(self.condition, counts.since(before)):
                    self.visible_at = sent_at
            await asyncio.sleep(self.every)


@dataclass(slots=True, kw_only=True)
class Scene:
    """What the acts work with: the cluster, the traffic, the terminal."""

    settings: DemoSettings
    view: ClusterView
    kubectl: Kubectl
    probe: Probe
    log: RequestLog
    terminal: Terminal
    programs: tuple[Running, ...]
    meter: Meter

    async def snapshot(self, track: Track) -> Snapshot:
        """Read Rollout and route once, and print what has changed.

        Raises:
            DemoError: the operator or the load generator has exited, or the cluster cannot be read.
        """
        for program in self.programs:
            program.check()
        key = self.settings.key
        rollout, route = await asyncio.gather(self.view.rollout(key), self.view.route(key, RULE))
        snapshot = Snapshot(time.time(), rollout, route)
        if track.record_route(snapshot.at, route):
            self.terminal.line(f"the gateway has accepted {track.weights[-1]:g}% for {track.backend}", Style.YELLOW)
        if rollout.current and track.record_position(position(rollout.status)):
            self.terminal.line(track.positions[-1], *_style(rollout.status.phase))
        return snapshot

    async def follow(self, version: Version, track: Track) -> Snapshot:
        """Follow the run of a version to its end.

        Raises:
            DemoError: it did not end in time; the message has the Rollout's own summary.
        """
        over = ended(version.number)
        return await wait_for(
            lambda: self.snapshot(track),
            lambda snapshot: over(snapshot.rollout),
            within=self.settings.pace.run,
            every=self.settings.pace.poll,
            what=f"the end of the run of {version.number}",
            describe=lambda snapshot: f"{position(snapshot.rollout.status)}: {snapshot.rollout.status.summary}",
        )

    async def afterwards(self, track: Track) -> Snapshot:
        """Keep watching for a while after the end, for late failures.

        Raises:
            DemoError: the operator or the load generator has exited, or the cluster cannot be read.
        """
        start = time.monotonic()
        seconds = _AFTERWARDS_SECONDS + self.settings.pace.settled
        return await wait_for(
            lambda: self.snapshot(track),
            lambda snapshot: snapshot.route.accepted and time.monotonic() - start >= seconds,
            within=self.settings.pace.run,
            every=self.settings.pace.poll,
            what="a route that the gateway accepts",
            describe=lambda snapshot: f"accepted shares {dict(snapshot.route.weights)}",
        )

    async def show(self, *arguments: str, keep: Callable[[str], str] = str, piped: str = "") -> None:
        """Run a kubectl command and show it with its output."""
        output = keep(await self.kubectl.run(arguments))
        self.terminal.command(f"kubectl {' '.join(arguments)}{piped}", output)

    async def set_version(self, version: Version) -> float:
        """Change ``spec.version``, the only manual step of a run, and return the time of the change."""
        arguments = set_version_command(self.settings.key, version.number)
        shown = [f"'{part}'" if "{" in part else part for part in arguments]
        at = time.time()
        output = await self.kubectl.run(arguments)
        self.terminal.command(f"kubectl {' '.join(shown)}", output)
        return at


async def promote(scene: Scene, version: Version) -> PromotionFacts:
    """Play the act in which a good version is promoted to 100 %.

    Raises:
        DemoError: the run did not end in time.
    """
    track = Track(version.backend)
    started = await scene.set_version(version)
    async with _background(_measure(scene)):
        end = await scene.follow(version, track)
    after = await scene.afterwards(track)
    return PromotionFacts(
        version=version,
        started=started,
        ended=end.at,
        status=after.rollout.status,
        route=after.route,
        track=track,
        requests=tuple(between(scene.log.read(), started)),
        settled=scene.settings.pace.settled,
    )


async def roll_back(scene: Scene, version: Version, condition: AbortCondition, stable: Version = GOOD) -> RollbackFacts:
    """Play the act in which a bad version is rolled back.

    Raises:
        DemoError: the run did not end in time.
    """
    settings, track = scene.settings, Track(version.backend)
    backend = settings.plane.backend(settings.namespace, version.backend, PORT)
    breach = BreachWatch(scene.probe, condition, backend, settings.pace.probe)
    async with _background(breach.watch()):
        started = await scene.set_version(version)
        await scene.follow(version, track)
        after = await scene.afterwards(track)
    return RollbackFacts(
        version=version,
        condition=condition,
        stable=stable,
        status=after.rollout.status,
        route=after.route,
        track=track,
        visible_at=breach.visible_at,
        requests=tuple(between(scene.log.read(), started)),
        settled=settings.pace.settled,
        safe_within=settings.pace.safe,
    )


async def _measure(scene: Scene) -> None:
    while True:
        with suppress(CouldNotAskError):
            await scene.meter.record((await scene.view.rollout(scene.settings.key)).status)
        await asyncio.sleep(scene.meter.tick)


@asynccontextmanager
async def _background(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run a coroutine in the background until the block ends."""
    task = asyncio.create_task(work)
    try:
        yield
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def _style(phase: Phase) -> tuple[Style, ...]:
    match phase:
        case Phase.HEALTHY:
            return (Style.GREEN,)
        case Phase.ROLLING_BACK | Phase.ROLLED_BACK | Phase.INVALID:
            return (Style.RED,)
        case Phase.PENDING | Phase.PROGRESSING | Phase.PAUSED:
            return ()
