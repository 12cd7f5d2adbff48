"""The whole simulation: models, people, faults and the operator, in virtual time."""

import asyncio
import gc
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from random import Random
from typing import Final
from unittest.mock import patch

import numpy as np

from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.ports.cluster_state import RolloutRecord
from support.records import model_record, namespace_record, route
from support.soak.cluster import SoakCluster
from support.soak.facts import Fact, Looked, Trouble
from support.soak.faults import Weather
from support.soak.gauges import Gauges
from support.soak.people import Team
from support.soak.plans import draw_rate
from support.soak.process import Process
from support.soak.source import SoakSource
from support.soak.traffic import GOOD, SCRAPE, Traffic
from support.virtual_loop import LoopClock

RESYNC: Final = 300.0
HOUR: Final = 3600.0
MODELS_IN_NAMESPACE: Final = 20

EVERY: Final = {
    Trouble.API: 3 * HOUR,
    Trouble.METRICS_DOWN: 8 * HOUR,
    Trouble.NO_DATA: 12 * HOUR,
    Trouble.METRICS_SLOW: 6 * HOUR,
    Trouble.METRICS_PARTIAL: 6 * HOUR,
    Trouble.OPERATOR: 5 * HOUR,
    Trouble.GATEWAY: 8 * HOUR,
    Trouble.ROUTER: 4 * HOUR,
    Trouble.CLOCK: 8 * HOUR,
    Trouble.WATCH: 6 * HOUR,
    Trouble.REGISTRY: 10 * HOUR,
}
"""Seconds between two faults of a kind, on average."""

LAST: Final = {
    Trouble.API: (10.0, 300.0),
    Trouble.METRICS_DOWN: (20.0, 1200.0),
    Trouble.NO_DATA: (20.0, 900.0),
    Trouble.METRICS_SLOW: (60.0, 600.0),
    Trouble.METRICS_PARTIAL: (60.0, 600.0),
    Trouble.OPERATOR: (1.0, 90.0),
    Trouble.GATEWAY: (10.0, 300.0),
    Trouble.ROUTER: (10.0, 300.0),
    Trouble.CLOCK: (60.0, 600.0),
    Trouble.WATCH: (5.0, 120.0),
    Trouble.REGISTRY: (30.0, 1800.0),
}
"""How long one lasts, in seconds."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Which simulation.

    Attributes:
        restarts_until: the part of the time, 0 to 1, after which the operator is not killed any more, so that a leak
            shows.
        pace: how many times as often people act at rest and faults come.
    """

    rollouts: int
    days: float
    seed: int
    restarts_until: float = 0.5
    pace: float = 1.0


@dataclass
class Simulation:
    """One world; ``tell`` takes all facts, in order."""

    settings: Settings
    tell: Callable[[Fact], None]
    progress: Callable[[str], None] = lambda _: None
    acts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.clock = LoopClock()
        self.cluster = SoakCluster(self._now, self.tell)
        self.weather = Weather(self._now, self.tell)
        models = [f"m{number:03d}" for number in range(self.settings.rollouts)]
        rates = self._rng("rates")
        self.keys = {name: ObjectKey(f"team-{n // MODELS_IN_NAMESPACE}", name) for n, name in enumerate(models)}
        self.traffic = Traffic({name: draw_rate(rates) for name in models}, self._rng("traffic"), self.tell)
        self.traffic.watched = self._watched
        self.cluster.traffic = self.traffic
        self.source = SoakSource(self.traffic, self.weather, self._rng("prometheus"))
        self.gauges = Gauges()
        self.process: Process | None = None
        self._epoch = 0
        self._restarting = asyncio.Lock()

    def _rng(self, purpose: str) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, *purpose.encode()])

    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    def _watched(self, model: str) -> frozenset[str]:
        """Return the versions whose requests the oracle needs: those on trial, or wanted."""
        record = self.cluster.objects.get((RolloutRecord, self.keys[model]))
        if not isinstance(record, RolloutRecord):
            return frozenset()
        candidate = record.status.candidate
        wanted = {record.spec.version} if isinstance(record.spec, RolloutSpec) else set()
        if record.status.stage is None and (candidate is None or not candidate.weight):
            return frozenset()
        return frozenset(wanted | ({candidate.version} if candidate is not None else set()))

    async def run(self) -> None:
        """Simulate all of it; the jitter of the operator's pauses is drawn from the seed."""
        chance = Random(self.settings.seed)  # noqa: S311 - a simulation, not a secret
        with patch("serinus.backoff.SystemRandom", lambda: chance):
            await self._run()

    async def _run(self) -> None:
        seconds = self.settings.days * 86_400
        teams = self._found()
        await self._start()
        tasks = [asyncio.create_task(team.work()) for team in teams]
        tasks += [asyncio.create_task(self._trouble(kind)) for kind in Trouble]
        tasks.append(asyncio.create_task(self._scrape()))
        try:
            while self._now() < seconds:
                await asyncio.sleep(min(HOUR, seconds - self._now()))
                for task in tasks:
                    if task.done():
                        task.result()
                self._measure()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            assert self.process is not None
            await self.process.stop()

    def _found(self) -> list[Team]:
        teams = []
        with self.cluster.somebody_else():
            for number, (name, key) in enumerate(self.keys.items()):
                if number % MODELS_IN_NAMESPACE == 0:
                    self.cluster.put(namespace_record(name=key.namespace))
                model = model_record(name)
                self.cluster.put(replace(model, meta=replace(model.meta, key=key)))
                self.cluster.qualities[name, "1.0.0"] = GOOD
                self.cluster.put(route(name, namespace=key.namespace))
                team = Team(self.cluster, key, self._rng(f"team {name}"), self.acts, self.settings.pace)
                team.begin()
                teams.append(team)
        return teams

    async def _start(self) -> None:
        self._epoch += 1
        self.process = Process(
            self.cluster, self.source, self.weather, self.clock, seed=self.settings.seed, epoch=self._epoch
        )
        await self.process.start(RESYNC)

    async def _scrape(self) -> None:
        while True:
            await asyncio.sleep(SCRAPE - self._now() % SCRAPE)
            self.traffic.scrape(self._now())
            self.tell(Looked(self._now(), ""))

    def _measure(self) -> None:
        gc.collect()
        assert self.process is not None
        self.gauges.measure(self._now(), self.process.queue_lengths(), self._restarted_since_then())
        self.progress(f"{self._now() / 86_400:5.2f} days")

    def _restarted_since_then(self) -> bool:
        return self._now() < self.settings.restarts_until * self.settings.days * 86_400

    # ---- faults --------------------------------------------------------------------------------

    async def _trouble(self, kind: Trouble) -> None:
        rng = self._rng(kind.name)
        while True:
            await asyncio.sleep(float(rng.exponential(EVERY[kind] / self.settings.pace)))
            length = float(rng.uniform(*LAST[kind]))
            match kind:
                case Trouble.OPERATOR:
                    if self._restarted_since_then():
                        await self._be_away(length)
                case Trouble.GATEWAY:
                    await self._refuse_routes(length)
                case Trouble.CLOCK:
                    await self._set_clock(length, float(rng.uniform(2, 240)) * float(rng.choice([-1, 1])))
                case Trouble.WATCH:
                    await self._be_deaf(length)
                case Trouble.ROUTER:
                    await self._last(kind, length, str(rng.choice(list(self.keys))))
                case _:
                    await self._last(kind, length)

    async def _last(self, kind: Trouble, length: float, model: str = "") -> None:
        self.weather.begin(kind, model)
        await asyncio.sleep(length)
        self.weather.end(kind, model)

    async def _be_away(self, length: float) -> None:
        async with self._restarting:
            self.weather.begin(Trouble.OPERATOR)
            assert self.process is not None
            await self.process.stop()
            await asyncio.sleep(length)
            await self._start()
            self.weather.end(Trouble.OPERATOR)

    async def _refuse_routes(self, length: float) -> None:
        self.weather.begin(Trouble.GATEWAY)
        self.cluster.accepting = False
        await asyncio.sleep(length)
        await self.cluster.end_trouble_of_gateway()
        self.weather.end(Trouble.GATEWAY)

    async def _set_clock(self, length: float, by: float) -> None:
        self.weather.begin(Trouble.CLOCK, seconds=by)
        self.clock.set_by += timedelta(seconds=by)
        await asyncio.sleep(length)
        self.clock.set_by -= timedelta(seconds=by)
        self.weather.end(Trouble.CLOCK)

    async def _be_deaf(self, length: float) -> None:
        async with self._restarting:
            self.weather.begin(Trouble.WATCH)
            self.cluster.deaf = True
            await asyncio.sleep(length)
            self.cluster.deaf = False
            assert self.process is not None
            self.process.relist()
            await asyncio.sleep(1)
            self.weather.end(Trouble.WATCH)
