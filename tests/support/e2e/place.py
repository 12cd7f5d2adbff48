"""The namespace of one end-to-end test, with a model, its versions, its route and its traffic."""

import re
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from demo.cluster import ClusterView, Kubectl, RolloutView
from demo.observe import ended, serves, wait_for, wait_for_rollout
from demo.process import Running, running
from demo.traffic.requestlog import RequestLog
from localcluster.addresses import ENVOY_STATS_PORT, GATEWAY
from localcluster.api import Api
from localcluster.client import Cluster
from serinus.api.names import Command, ObjectKey
from serinus.api.rollout_status import RolloutStatus, StageState
from support.e2e.manifests import (
    MODEL,
    RULE,
    Manifest,
    backend_of,
    collection_of,
    endpoints,
    envoy_cluster_of,
    model,
    model_version,
    rollout,
    route,
    service,
    weights_in,
)
from support.e2e.servers import ModelServer
from support.e2e.watch import Seen, watching

LONG = 180.0
SOON = 90.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """The namespace and processes of one test."""

    cluster: Cluster
    environment: dict[str, str]
    api: Api
    namespace: str
    servers: dict[str, ModelServer]
    folder: Path

    @property
    def key(self) -> ObjectKey:
        return ObjectKey(self.namespace, MODEL)

    @property
    def hostname(self) -> str:
        return f"{self.namespace}.e2e.local"

    @property
    def view(self) -> ClusterView:
        return ClusterView(self.api)

    @property
    def kubectl(self) -> Kubectl:
        return Kubectl(self.cluster.kubectl, self.environment)

    def path(self, kind: str) -> str:
        return collection_of(kind, self.namespace)

    async def create(self, manifest: Manifest) -> Manifest:
        return await self.api.request("POST", self.path(manifest["kind"]), manifest)

    async def get(self, kind: str, name: str = MODEL) -> Manifest:
        return await self.api.request("GET", f"{self.path(kind)}/{name}")

    async def all(self, kind: str) -> list[Manifest]:
        return list((await self.api.request("GET", self.path(kind)))["items"])

    # ---- actions of a team ---------------------------------------------------------------------

    async def serve(self, version: str, *, ready: bool = True) -> None:
        """Create the Service and the ModelVersion of a version, served by the shared process of that version."""
        name = backend_of(version)
        await self.create(service(self.namespace, name))
        await self.create(endpoints(self.namespace, name, self.servers[version].address, ready=ready))
        await self.create(model_version(self.namespace, version))

    async def set_ready(self, version: str, *, ready: bool) -> None:
        name = backend_of(version)
        changed = endpoints(self.namespace, name, self.servers[version].address, ready=ready)["endpoints"]
        await self.api.merge(f"{self.path('EndpointSlice')}/{name}", {"endpoints": changed})

    async def stand(
        self, stages: Sequence[Manifest], *versions: str, rules: Sequence[Manifest] = (), adopted: bool = True
    ) -> None:
        """Create model, versions, route and Rollout; wait until the operator has adopted the first version."""
        await self.create(model(self.namespace))
        for version in versions:
            await self.serve(version)
        await self.create(route(self.namespace, self.hostname, *rules, stable=versions[0]))
        await self.create(rollout(self.namespace, versions[0], stages))
        await wait_for(
            lambda: self.view.route(self.key, RULE), lambda seen: seen.accepted, within=SOON, what="an accepted route"
        )
        if adopted:
            await self.until(serves(versions[0]), within=SOON, what=f"the adoption of {versions[0]}")

    async def want(self, version: str) -> None:
        await self.api.merge(f"{self.path('Rollout')}/{MODEL}", {"spec": {"version": version}})

    async def annotate(self, command: Command, token: str) -> None:
        """Issue a command with kubectl."""
        await self.kubectl.run(
            ["annotate", "mro", MODEL, "-n", self.namespace, "--overwrite", f"{command.annotation}={token}"]
        )

    # ---- observations --------------------------------------------------------------------------

    async def status(self) -> RolloutStatus:
        return (await self.view.rollout(self.key)).status

    async def until(
        self, fits: Callable[[RolloutView], bool], *, within: float = LONG, what: str = "the state"
    ) -> RolloutStatus:
        return (await wait_for_rollout(self.view, self.key, fits, within=within, what=what)).status

    async def until_stage(self, name: str, state: StageState, *, within: float = LONG) -> RolloutStatus:
        def fits(seen: RolloutView) -> bool:
            stage = seen.status.stage
            return stage is not None and (stage.name, stage.state) == (name, state)

        return await self.until(fits, within=within, what=f"{name}/{state.value}")

    async def until_ended(self, version: str, *, within: float = LONG) -> RolloutStatus:
        return await self.until(ended(version), within=within, what=f"the end of the run of {version}")

    async def events(self) -> list[tuple[str, str]]:
        """Return the reason and note of every event of the Rollout, in the order in which they were published.

        A repeated event appears as often as its series counts, at its last position.
        """
        events = [event for event in await self.all("Event") if event.get("regarding", {}).get("kind") == "Rollout"]
        # Events of one reconcile share their time; Kubernetes 1.35 made resource versions comparable.
        events.sort(key=lambda event: int(event["metadata"]["resourceVersion"]))
        counts = [(event.get("series") or {}).get("count", 1) for event in events]
        return [
            (str(event["reason"]), str(event["note"]))
            for event, count in zip(events, counts, strict=True)
            for _ in range(count)
        ]

    async def until_event(self, reason: str, *, within: float = SOON) -> str:
        """Wait for an event and return its note."""

        async def probe() -> list[str]:
            return [note for event_reason, note in await self.events() if event_reason == reason]

        return (await wait_for(probe, bool, within=within, what=f"an event {reason}"))[0]

    async def weights(self) -> dict[str, int]:
        return weights_in(await self.get("HTTPRoute"))

    def watching(self, kind: str) -> AbstractAsyncContextManager[Seen]:
        return watching(self.api, self.path(kind))

    async def counted(self, version: str) -> int:
        """Return the number of requests that Envoy has counted for a version so far."""
        page = await envoy_page()
        label = re.escape(envoy_cluster_of(self.namespace, version))
        pattern = rf'^envoy_cluster_upstream_rq_total\{{[^}}]*envoy_cluster_name="{label}"[^}}]*\}} (\d+)'
        match = re.search(pattern, page, re.MULTILINE)
        return int(match[1]) if match else 0

    # ---- traffic -------------------------------------------------------------------------------

    @asynccontextmanager
    async def traffic(self, rate: float = 100.0, *, most: float = 600.0) -> AsyncIterator[RequestLog]:
        """Send requests through the gateway until the block ends; enter it once the first are answered.

        ``most`` is after how many seconds they end by themselves.
        """
        output = self.folder / "requests.csv"
        options = {
            "--url": self.cluster.gateway_url,
            "--hostname": self.hostname,
            "--rate": f"{rate:g}",
            "--seconds": f"{most:g}",
            "--output": str(output),
        }
        arguments = [argument for option in options.items() for argument in option]
        command = [sys.executable, "-P", "-m", "demo.traffic.load", *arguments]
        async with running("the load generator", command, self.environment, self.folder / "load.log") as load:
            log = RequestLog(output)
            await _until_answered(log, load)
            yield log


async def _until_answered(log: RequestLog, load: Running) -> None:
    async def probe() -> int:
        load.check()
        return sum(not record.failed for record in log.read()[-20:])

    await wait_for(probe, lambda good: good >= 20, within=SOON, what="20 good answers in a row")


async def envoy_page() -> str:
    """Return Envoy's current statistics, as Prometheus would scrape them."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
        session.get(f"http://{GATEWAY}:{ENVOY_STATS_PORT}/stats/prometheus") as response,
    ):
        return await response.text()


def told_more_than_once(events: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the events that were published more than once."""
    return [event for event, times in Counter(events).items() if times > 1]


def condition(status: RolloutStatus, kind: str) -> tuple[str, str]:
    """Return the status and reason of a condition; empty if it is missing."""
    matching = (each for each in status.conditions if each.type == kind)
    return next(((each.status.value, each.reason) for each in matching), ("", ""))


def shares_seen(seen: Seen, backend: str) -> list[float]:
    """Return the successive percentages of a backend in the route, without repetitions."""
    shares: list[float] = []
    for _, raw in seen.states:
        weights = weights_in(raw)
        share = 100 * weights.get(backend, 0) / sum(weights.values())
        if not shares or shares[-1] != share:
            shares.append(share)
    return shares


def accepted_without(backend: str) -> Callable[[dict[str, Any]], bool]:
    """Return a predicate for a route in which the backend has no weight and that every parent has accepted."""

    def fits(raw: dict[str, Any]) -> bool:
        parents = raw.get("status", {}).get("parents", [])
        generation = raw["metadata"]["generation"]
        accepted = [
            condition["status"] == "True" and condition.get("observedGeneration", 0) >= generation
            for parent in parents
            for condition in parent["conditions"]
            if condition["type"] in {"Accepted", "ResolvedRefs"}
        ]
        return bool(accepted) and all(accepted) and weights_in(raw).get(backend, 0) == 0

    return fits
