"""One run: the story in a namespace and with an operator of its own, disturbed at some points, and what it shows."""

import asyncio
import json
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from demo.process import running
from localcluster.api import Api, ApiError
from localcluster.client import Cluster
from support.e2e.apiproxy import _address, _kubeconfig
from support.faultpoints.api_proxy import ApiProxy
from support.faultpoints.checks import Happened, problems_with
from support.faultpoints.ends import end_of
from support.faultpoints.faults import CLOCK_FAULTS, KILLS, LASTS, Point
from support.faultpoints.forks import OFFSET
from support.faultpoints.histories import Histories, Stored, install_routes, weights_of
from support.faultpoints.metrics_server import MetricsServer, Place, Series
from support.faultpoints.operators import Operators, forking
from support.faultpoints.stories import (
    CANDIDATE,
    PORT,
    STORIES,
    Story,
    action,
    backend_of,
    manifests,
    series_of,
)

Raw = dict[str, Any]

PATIENCE: Final = 150.0
"""Seconds that a story may take, beside what its faults last: much more than it needs, as points share a machine."""
_QUIET: Final = 3.0
"""Seconds without a change after which an undisturbed story has ended."""
_SETTLED: Final = 0.6
"""Seconds for which the right end must stay as it is."""
_LOOK_EVERY: Final = 0.3
_LOOK_SELDOM: Final = 2.0
_FAILING: Final = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run has shown.

    Attributes:
        points: its faults.
        struck: those that happened.
        problems: what was wrong; empty where nothing was.
        end: in what it ended.
        calls: how many calls there were, by kind; ``query`` for those to Prometheus, ``EVENT resource`` for events.
        seconds: how long it took.
        safe_after: seconds from the cause, or from the end of the fault, to weight 0; None where none was due.
    """

    points: tuple[Point, ...]
    struck: frozenset[Point]
    problems: list[str]
    end: Raw
    calls: Counter[str]
    seconds: float
    safe_after: float | None = None


@dataclass(slots=True)
class PortNumbers:
    """Ports for the operators' probes."""

    next: int = 20_000

    def take(self) -> int:
        """Return one that nobody has had for long."""
        self.next = 20_000 if self.next > 31_000 else self.next + 1
        return self.next


@dataclass(slots=True)
class World:
    """What all points share.

    Attributes:
        keep: whether namespaces are left behind, because the cluster ends with the points.
    """

    api: Api
    upstream: tuple[str, int]
    operators: Operators
    metrics: MetricsServer
    metrics_url: str
    histories: Histories
    folder: Path
    keep: bool = True
    ports: PortNumbers = field(default_factory=PortNumbers)


@asynccontextmanager
async def world_in(
    cluster: Cluster, environment: dict[str, str], folder: Path, *, keep: bool = True
) -> AsyncIterator[World]:
    """Run what all points share until the block ends; ``keep`` as in ``World``."""
    metrics = MetricsServer()
    command = [str(cluster.kubectl), "proxy", "--port=0", f"--kubeconfig={cluster.kubeconfig}"]
    async with (
        running("kubectl proxy", command, environment, folder / "kubectl-proxy.log") as program,
        Api(cluster.kubeconfig) as api,
        forking(environment, folder) as operators,
    ):
        host, _, port = (await _address(program)).rpartition(":")

        def on_weights(namespace: str, shares: dict[str, float]) -> None:
            place = metrics.places.get(namespace)
            if place is not None:
                place.series.set_shares({f"{namespace}_{name}_{PORT}": share for name, share in shares.items()})

        await install_routes(api)
        histories = Histories(api, on_weights)
        url = await metrics.start()
        following = asyncio.create_task(histories.follow())
        await histories.ready.wait()
        try:
            yield World(api, (host, int(port)), operators, metrics, url, histories, folder, keep)
        finally:
            following.cancel()
            with suppress(asyncio.CancelledError):
                await following
            metrics.stop()


@dataclass(slots=True)
class Run:
    """One run that is under way."""

    world: World
    points: tuple[Point, ...]
    story: Story
    namespace: str
    folder: Path
    expected: Raw | None
    begun: float = field(default_factory=time.time)
    acted: float | None = None
    problems: list[str] = field(default_factory=list)
    pid: int = 0
    proxy: ApiProxy = field(init=False)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock)
    _tasks: set["asyncio.Task[None]"] = field(default_factory=set)

    # ---- the operator --------------------------------------------------------------------------

    async def strike(self, point: Point) -> None:
        """Kill the operator and start it again, or set its clock for some seconds."""
        if point.fault in CLOCK_FAULTS:
            self._set_clock(point.size)
            self._tasks.add(asyncio.create_task(self._put_clock_right(LASTS[point.fault])))
        elif point.fault in KILLS:
            async with self._starting:
                await self.kill()
                await self.start()

    async def kill(self) -> None:
        status = await self.world.operators.kill(self.pid)
        if status != 9:
            self.problems.append(f"the operator ended by itself, with status {status}")

    async def start(self) -> None:
        self.pid = await self.world.operators.start(
            self.folder / "kubeconfig", self.folder / "config", self.folder / "clock", self.folder / "log"
        )

    def _set_clock(self, seconds: float) -> None:
        with (self.folder / "clock").open("r+b") as file:
            file.write(OFFSET.pack(seconds))

    async def _put_clock_right(self, after: float) -> None:
        await asyncio.sleep(after)
        self._set_clock(0.0)

    async def prepare(self) -> None:
        """Create what there is before the operator starts, and start it."""
        api, world = self.world.api, self.world
        await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": self.namespace}})
        world.metrics.places[self.namespace] = Place(Series(self.begun), self.points)
        for path, manifest in manifests(self.story, self.namespace):
            await api.request("POST", path, manifest)
        self.folder.mkdir(parents=True)
        self.proxy = ApiProxy(world.upstream, self.points, self.strike)
        port = await self.proxy.start()
        (self.folder / "kubeconfig").write_bytes(_kubeconfig(f"http://127.0.0.1:{port}"))
        (self.folder / "clock").write_bytes(OFFSET.pack(0.0))
        source = {"url": f"{world.metrics_url}/{self.namespace}", "scrapeInterval": "1s", "timeout": "2s"}
        config = {
            "sources": {"default": source},
            "namespaces": [self.namespace],
            "httpHost": "127.0.0.1",
            "httpPort": world.ports.take(),
            "leaderElection": False,
            "identity": "faults",
            "resync": "5s",
        }
        (self.folder / "config").write_text(json.dumps(config), encoding="utf-8")
        await self.start()

    async def end(self) -> None:
        """End the operator, and take away what later operators must not find."""
        await self.kill()
        for task in self._tasks:
            task.cancel()
        await self.proxy.stop()
        self.world.metrics.places.pop(self.namespace)
        self.world.histories.forget(self.namespace)
        if not self.world.keep:
            ours = f"/apis/serinus.dev/v1alpha1/namespaces/{self.namespace}/rollouts/fraud"
            with suppress(ApiError):
                await self.world.api.merge(ours, {"metadata": {"finalizers": None}})
                await self.world.api.request("DELETE", ours)
            await self.world.api.request("DELETE", f"/api/v1/namespaces/{self.namespace}")

    # ---- the story -----------------------------------------------------------------------------

    @property
    def rollouts(self) -> list[Stored]:
        return self.world.histories.rollouts[self.namespace]

    @property
    def routes(self) -> list[Stored]:
        return self.world.histories.routes[self.namespace]

    async def live(self) -> Raw:
        """Let the story happen; return its end."""
        deadline = time.time() + PATIENCE + sum(LASTS.get(point.fault, 0.0) for point in self.points)
        looked, right_since, pause = 0.0, 0.0, _LOOK_EVERY
        while time.time() < deadline:
            await self.world.histories.until_changed(self.namespace, within=_LOOK_EVERY)
            await self._act()
            now = time.time()
            if not self._may_be_over() or now - looked < pause:
                continue
            looked, pause = now, min(1.5 * pause, _LOOK_SELDOM)
            found, chain = await end_of(self.world.api, self.namespace)
            right = not chain and (found == self.expected if self.expected is not None else self._is_quiet(now))
            right_since = (right_since or now) if right else 0.0
            if right and now - right_since >= _SETTLED:
                return found
        found, chain = await end_of(self.world.api, self.namespace)
        self.problems += chain
        self.problems += differences(self.expected or {}, found)
        self.problems.append(f"not at its end after {PATIENCE:g} s")
        return found

    async def _act(self) -> None:
        if not self.story.act or self.acted is not None or not self._in_canary():
            return
        if self.story.act == "fail":
            self.world.metrics.places[self.namespace].series.fail(series_of(self.namespace, CANDIDATE), _FAILING)
        else:
            method, path, body = action(self.story, self.namespace)
            if method == "DELETE":
                await self.world.api.request("DELETE", path)
            else:
                await self.world.api.merge(path, body or {})
        self.acted = time.time()

    def _in_canary(self) -> bool:
        if not self.routes or not self.rollouts:
            return False
        given = weights_of(self.routes[-1].raw).get(backend_of(CANDIDATE), 0.0)
        stage = self.rollouts[-1].raw.get("status", {}).get("stage") or {}
        return given > 0 and (stage.get("name"), stage.get("state")) == ("canary", "Analyzing")

    def _may_be_over(self) -> bool:
        if self.story.act and self.acted is None:
            return False
        if not self.rollouts:
            return False
        last = self.rollouts[-1]
        if last.deleted:
            return True
        status = last.raw.get("status", {})
        return status.get("phase") in {"Healthy", "RolledBack"} and not status.get("records")

    def _is_quiet(self, now: float) -> bool:
        return all(now - known[-1].seen >= _QUIET for known in (self.rollouts, self.routes))


def differences(expected: Raw, found: Raw, where: str = "") -> list[str]:
    """Return in words where one end differs from another."""
    listed: list[str] = []
    for name in sorted(expected.keys() | found.keys()):
        wanted, seen = expected.get(name), found.get(name)
        if wanted == seen:
            continue
        if isinstance(wanted, dict) and isinstance(seen, dict):
            listed += differences(wanted, seen, f"{where}{name}.")
        elif isinstance(wanted, list) and isinstance(seen, list):
            more, less = Counter(map(str, seen)), Counter(map(str, wanted))
            listed.append(
                f"{where}{name}: more {list((more - less).elements())}, less {list((less - more).elements())}"
            )
        else:
            listed.append(f"{where}{name}: {seen!r} instead of {wanted!r}")
    return listed


async def run_points(world: World, points: Sequence[Point], expected: Raw | None) -> Outcome:
    """Run a story with these faults of it; without an expected end it ends when nothing changes any more."""
    namespace = f"fp-{uuid.uuid4().hex[:10]}"
    story = STORIES[points[0].story]
    run = Run(world, tuple(points), story, namespace, world.folder / namespace, expected)
    end: Raw = {}
    await run.prepare()
    place = world.metrics.places[namespace]
    try:
        end = await run.live()
        struck = run.proxy.struck | place.struck
        happened = Happened(
            story=story,
            namespace=namespace,
            routes=run.routes,
            rollouts=run.rollouts,
            series=place.series,
            acted=run.acted,
            struck=struck,
        )
        found, safe_after = problems_with(happened)
        run.problems += found
    finally:
        calls = run.proxy.calls.copy()
        calls["query"] = place.queries
        calls.update({f"EVENT {resource}": count for resource, count in run.proxy.events.items()})
        await run.end()
    return Outcome(run.points, frozenset(struck), run.problems, end, calls, time.time() - run.begun, safe_after)
