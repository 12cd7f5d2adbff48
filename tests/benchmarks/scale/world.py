"""N settled models in a local cluster, with the stand-ins around them."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from benchmarks.scale import etcd, prometheus
from benchmarks.scale.apiserver import writes
from benchmarks.scale.gateway import SERIES_PORT, Gateway, accepting
from benchmarks.scale.objects import HEALTH_ADDRESS, NAMESPACE, NEW, manifests, name_of
from benchmarks.scale.process import Operator, operating
from demo.errors import CouldNotAskError
from demo.observe import wait_for
from demo.operatorprocess import LEASE_NAMESPACE
from demo.process import running
from localcluster.api import Api, ApiError, Manifest
from localcluster.client import Cluster
from localcluster.programs import crds
from support.e2e.manifests import PORT, collection_of

MODELS_IN_PART: Final = 500
"""So many models share a scrape target: a fleet's gateways are several as well."""

_ROUTES: Final = "httproutes.gateway.networking.k8s.io"
_AT_A_TIME: Final = 32
_SETTLED_SECONDS: Final = 120.0
_CALM_SECONDS: Final = 5.0
_RUNS_SECONDS: Final = 900.0


@dataclass(frozen=True, slots=True)
class Size:
    """How many models there are, and how many of them are in canary."""

    total: int
    canaries: int = 0


@dataclass(slots=True)
class World:
    """Everything but the operator.

    Attributes:
        names: of all models; the first is the one that the others are copies of.
        canaries: of those that are in canary, the first ones.
    """

    cluster: Cluster
    api: Api
    session: aiohttp.ClientSession
    gateway: Gateway
    folder: Path
    names: list[str]
    canaries: list[str] = field(default_factory=list)
    starts: int = 0
    running: Operator | None = None

    @asynccontextmanager
    async def operator(self) -> AsyncIterator[Operator]:
        """Run an operator until the block ends, with a folder of its own."""
        self.starts += 1
        async with operating(self.cluster, self.session, self.folder / f"operator-{self.starts}") as operator:
            self.running = operator
            yield operator
            self.running = None

    async def rollouts(self) -> dict[str, Manifest]:
        """Return all Rollouts by name.

        Raises:
            CouldNotAskError: the API server is too busy; ``wait_for`` asks again.
        """
        try:
            listed = await self.api.request("GET", collection_of("Rollout", NAMESPACE))
        except (TimeoutError, aiohttp.ClientError, ApiError) as problem:
            raise CouldNotAskError(f"the Rollouts cannot be listed: {problem!r}") from problem
        return {raw["metadata"]["name"]: raw for raw in listed["items"]}

    async def want(self, names: Iterable[str], version: str = NEW) -> None:
        """Ask for a version of all these models at once."""
        change = {"spec": {"version": version}}
        few = asyncio.Semaphore(_AT_A_TIME)

        async def ask(name: str) -> None:
            async with few:
                await self.api.merge(f"{collection_of('Rollout', NAMESPACE)}/{name}", change)

        await asyncio.gather(*(ask(name) for name in names))

    async def until_all(
        self, names: Iterable[str], fits: Callable[[dict[str, Any]], bool], what: str, within: float = _RUNS_SECONDS
    ) -> None:
        """Wait until the status of each of these Rollouts fits."""
        wanted = set(names)

        async def lacking() -> list[str]:
            if self.running is not None:
                self.running.usage()
            found = await self.rollouts()
            return [name for name in wanted if not fits(found[name].get("status", {}))]

        def describe(left: list[str]) -> str:
            return f"{len(left)} are left, such as {left[:3]}"

        await wait_for(
            lacking, lambda left: not left, within=within, what=what, describe=describe, every=_pause(wanted)
        )

    async def in_canary(self, names: Iterable[str]) -> None:
        """Begin a run of each of these models and wait until all are in the canary stage and calm."""
        await self.want(names)
        await self.until_all(names, is_analysing("canary"), "canaries")
        await self.until_calm()

    async def until_calm(self) -> float:
        """Wait until neither records nor versions are written for five seconds; return how long that took."""
        began = time.monotonic()
        last, since = await self._registry_writes(), began
        while time.monotonic() - since < _CALM_SECONDS:
            await asyncio.sleep(1)
            now = await self._registry_writes()
            if now != last:
                last, since = now, time.monotonic()
            assert time.monotonic() - began < _RUNS_SECONDS, "the registry does not come to rest"
        return since - began

    async def _registry_writes(self) -> int:
        found = await writes(self.api)
        return sum(count for what, count in found.items() if what not in {"rollouts/status", "events"})


def is_analysing(stage: str) -> Callable[[dict[str, Any]], bool]:
    """Return a predicate for the status of a Rollout whose stage has traffic and is judged."""

    def fits(status: dict[str, Any]) -> bool:
        current = status.get("stage") or {}
        return (current.get("name"), current.get("state")) == (stage, "Analyzing")

    return fits


def is_at_rest(status: dict[str, Any]) -> bool:
    """Whether a Rollout is Healthy and has delivered its records."""
    return status.get("phase") == "Healthy" and not status.get("records")


def note(what: str) -> None:
    """Tell the person at the terminal how far it is."""
    print(f"{time.strftime('%H:%M:%S')} {what}", file=sys.stderr, flush=True)  # noqa: T201 - a benchmark speaks


def _pause(names: set[str]) -> float:
    # A list of 1,000 Rollouts costs the API server a tenth of a second of CPU.
    return 0.2 + len(names) / 500


@asynccontextmanager
async def world(size: Size, plan: list[Manifest], *, rate: float, quiet: bool) -> AsyncIterator[World]:
    """Make a world of so many models; leave nothing running.

    Args:
        size: how many models are settled, and how many are in canary.
        plan: the stages of every Rollout.
        rate: requests per second of each model.
        quiet: whether models without a run have no series.
    """
    cluster = Cluster.current()
    async with AsyncExitStack() as stack:
        # Beside the logs of the cluster, which are kept if this fails.
        folder = cluster.state / "scale"
        folder.mkdir()
        api = await stack.enter_async_context(Api(cluster.kubeconfig))
        session = await stack.enter_async_context(aiohttp.ClientSession())
        command = [sys.executable, "-m", "benchmarks.scale.series", "--port", str(SERIES_PORT), "--rate", f"{rate:g}"]
        await stack.enter_async_context(running("the generator", command, cluster.environment(), folder / "series.log"))
        await stack.enter_async_context(_backends())
        await _until_open(session)
        await _serve_routes(api)
        for namespace in (NAMESPACE, LEASE_NAMESPACE):
            await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
        gateway = await stack.enter_async_context(accepting(api, session, quiet=quiet))
        made = World(cluster, api, session, gateway, folder, [name_of(0)])
        await _grow(made, size, plan)
        yield made


async def _grow(made: World, size: Size, plan: list[Manifest]) -> None:
    """Let the operator do with the first model what all others are copies of, and copy it."""
    first = made.names[0]
    names = [name_of(number) for number in range(size.total)]
    prometheus.add_targets(made.cluster, -(-size.total // MODELS_IN_PART))
    for manifest in manifests(first, plan):
        await made.api.request("POST", collection_of(manifest["kind"], NAMESPACE), manifest)
    async with made.operator():
        await made.until_all([first], is_at_rest, "the adoption of the first model")
        await made.until_calm()
        settled = await etcd.stored(made.session, NAMESPACE, first)
        note("the first model is settled")
        if size.canaries:
            await made.in_canary([first])
            note("the first model is in canary")
    # As the operator left them when it stopped: it writes nothing any more.
    in_canary = await etcd.stored(made.session, NAMESPACE, first)
    most = max(size.canaries, 1)
    await etcd.copy(made.session, in_canary, first, names[1:most])
    await etcd.copy(made.session, settled, first, names[most:])
    await wait_for(
        made.rollouts, lambda found: len(found) == size.total, within=_RUNS_SECONDS, what="the copies", every=1
    )
    made.names, made.canaries = names, names[: size.canaries]
    note(f"{size.total} models, {size.canaries} of them in canary")


async def _serve_routes(api: Api) -> None:
    """Have the API server serve HTTPRoutes, which the local cluster only does with its gateway."""
    (definition,) = (one for one in json.loads(crds.provide().read_text("utf-8")) if one["metadata"]["name"] == _ROUTES)
    await api.apply(definition)
    await crds.await_condition(api, definition, "Established")


@asynccontextmanager
async def _backends() -> AsyncIterator[None]:
    """Answer the HTTP test of every candidate."""

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    app = web.Application()
    app.add_routes([web.get("/healthz", healthy)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, HEALTH_ADDRESS, PORT).start()
        yield
    finally:
        await runner.cleanup()


async def _until_open(session: aiohttp.ClientSession) -> None:
    async def read() -> int:
        try:
            async with session.get(f"http://127.0.0.1:{SERIES_PORT}/part/0/1") as response:
                return response.status
        except aiohttp.ClientError:
            return 0

    await wait_for(read, lambda status: status == 200, within=_SETTLED_SECONDS, what="the generator")
