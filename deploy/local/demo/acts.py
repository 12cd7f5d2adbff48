"""The acts of the demo: change one field, watch the run to its end, keep what was seen."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final

from demo.cluster import ClusterView, Kubectl, want_version_command
from demo.errors import CouldNotAskError
from demo.fraud import MODEL
from demo.manifests import GOOD, NAMESPACE, Version
from demo.observe import ended, wait_for, where
from demo.process import Running
from demo.prometheus import Probe, is_visible
from demo.requestlog import RequestLog, between
from demo.result import SETTLED_SECONDS, PromotionFacts, RollbackFacts
from demo.terminal import Style, Terminal
from demo.track import Look, Track
from serinus.api.abort_condition import AbortCondition
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase, RolloutStatus, StageState

KEY: Final = ObjectKey(NAMESPACE, MODEL)
RULE: Final = "predict"

_RUN_SECONDS: Final = 120.0
_AFTERWARDS_SECONDS: Final = 4.0
_GLANCE_AT_PROMETHEUS: Final = 0.2


@dataclass(slots=True)
class QueryMeter:
    """Counts the operator's queries while it analyses, by Prometheus' own counter.

    The readings are not in step with the operator's ticks: in n and a half ticks' time it may tick n + 1 times. So each
    unbroken time of analysis is taken as one tick longer than it was.

    Attributes:
        probe: reads the counter.
        tick: how often the operator asks, in seconds.
    """

    probe: Probe
    tick: float
    _queries: float = 0.0
    _ticks: float = 0.0
    _last: tuple[float, float] | None = None

    @property
    def per_tick(self) -> float:
        """The queries per tick so far; 0 where no analysis has been seen."""
        return self._queries / self._ticks if self._ticks else 0.0

    async def see(self, status: RolloutStatus) -> None:
        """Take a reading; what came since the last one counts if all of that time was analysis.

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
    """Looks at Prometheus until it shows a breach; ``visible_at`` is when the question was sent that showed it."""

    probe: Probe
    condition: AbortCondition
    cluster: str
    visible_at: float | None = None

    async def watch(self) -> None:
        """Look every 0.2 s; a Prometheus that does not answer shows nothing."""
        before = None
        while self.visible_at is None:
            asked = time.time()
            with suppress(CouldNotAskError):
                counts = await self.probe.counts(self.condition, self.cluster)
                before = counts if before is None else before
                if is_visible(self.condition, counts.since(before)):
                    self.visible_at = asked
            await asyncio.sleep(_GLANCE_AT_PROMETHEUS)


@dataclass(slots=True, kw_only=True)
class Scene:
    """Where the acts are played: the cluster, the traffic, the terminal."""

    view: ClusterView
    kubectl: Kubectl
    probe: Probe
    log: RequestLog
    terminal: Terminal
    programs: tuple[Running, ...]
    meter: QueryMeter

    async def look(self, track: Track) -> Look:
        """Look once, and tell what is new.

        Raises:
            DemoError: the operator or the traffic has ended, or the cluster cannot be read.
        """
        for program in self.programs:
            program.check()
        rollout, route = await asyncio.gather(self.view.rollout(KEY), self.view.route(KEY, RULE))
        look = Look(time.time(), rollout, route)
        if track.see_route(look.at, route):
            self.terminal.line(f"the gateway has accepted {track.weights[-1]:g}% for {track.backend}", Style.YELLOW)
        if rollout.current and track.see_place(where(rollout.status)):
            self.terminal.line(track.places[-1], *_style(rollout.status.phase))
        return look

    async def follow(self, version: Version, track: Track) -> Look:
        """Follow the run of a version to its end.

        Raises:
            DemoError: it did not end in time; the message has the Rollout's own summary.
        """
        over = ended(version.number)
        return await wait_for(
            lambda: self.look(track),
            lambda look: over(look.rollout),
            within=_RUN_SECONDS,
            what=f"the end of the run of {version.number}",
            describe=lambda look: f"{where(look.rollout.status)}: {look.rollout.status.summary}",
        )

    async def afterwards(self, track: Track) -> Look:
        """Watch some more of the traffic after the end, for what must not happen then.

        Raises:
            DemoError: the operator or the traffic has ended, or the cluster cannot be read.
        """
        began = time.monotonic()
        return await wait_for(
            lambda: self.look(track),
            lambda look: look.route.accepted and time.monotonic() - began >= _AFTERWARDS_SECONDS + SETTLED_SECONDS,
            within=_RUN_SECONDS,
            what="a route that the gateway accepts",
            describe=lambda look: f"accepted shares {dict(look.route.weights)}",
        )

    async def show(self, *arguments: str, keep: Callable[[str], str] = str, piped: str = "") -> None:
        """Run kubectl as a person would and show what it prints."""
        output = keep(await self.kubectl.run(arguments))
        self.terminal.command(f"kubectl {' '.join(arguments)}{piped}", output)

    async def want(self, version: Version) -> float:
        """Change ``spec.version``, the one thing that a person does, and return when that was."""
        arguments = want_version_command(KEY, version.number)
        shown = [f"'{part}'" if "{" in part else part for part in arguments]
        at = time.time()
        output = await self.kubectl.run(arguments)
        self.terminal.command(f"kubectl {' '.join(shown)}", output)
        return at


async def promote(scene: Scene, version: Version) -> PromotionFacts:
    """Play the act in which a good version goes to 100 %.

    Raises:
        DemoError: its run did not end, whether well or badly.
    """
    track = Track(version.backend)
    started = await scene.want(version)
    async with _beside(_measure(scene)):
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
    )


async def roll_back(scene: Scene, version: Version, condition: AbortCondition, stable: Version = GOOD) -> RollbackFacts:
    """Play the act in which a bad version loses its traffic again.

    Raises:
        DemoError: its run did not end, whether well or badly.
    """
    track, breach = Track(version.backend), BreachWatch(scene.probe, condition, version.envoy_cluster)
    async with _beside(breach.watch()):
        started = await scene.want(version)
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
    )


async def _measure(scene: Scene) -> None:
    while True:
        with suppress(CouldNotAskError):
            await scene.meter.see((await scene.view.rollout(KEY)).status)
        await asyncio.sleep(scene.meter.tick)


@asynccontextmanager
async def _beside(work: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Do this work as long as the block lasts."""
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
