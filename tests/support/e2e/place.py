"""One namespace with a model, its versions, its route and its traffic, as one end-to-end test sees them."""

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
from demo.requestlog import RequestLog
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

LONG = 60.0
SOON = 20.0

_PATHS = {
    "Service": "/api/v1/namespaces/{}/services",
    "EndpointSlice": "/apis/discovery.k8s.io/v1/namespaces/{}/endpointslices",
    "ModelVersion": "/apis/serinus.dev/v1alpha1/namespaces/{}/modelversions",
    "Model": "/apis/serinus.dev/v1alpha1/namespaces/{}/models",
    "AuditRecord": "/apis/serinus.dev/v1alpha1/namespaces/{}/auditrecords",
    "Rollout": "/apis/serinus.dev/v1alpha1/namespaces/{}/rollouts",
    "HTTPRoute": "/apis/gateway.networking.k8s.io/v1/namespaces/{}/httproutes",
    "Job": "/apis/batch/v1/namespaces/{}/jobs",
    "Event": "/apis/events.k8s.io/v1/namespaces/{}/events",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where one test happens."""

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
        return _PATHS[kind].format(self.namespace)

    async def create(self, manifest: Manifest) -> Manifest:
        return await self.api.request("POST", self.path(manifest["kind"]), manifest)

    async def get(self, kind: str, name: str = MODEL) -> Manifest:
        return await self.api.request("GET", f"{self.path(kind)}/{name}")

    async def all(self, kind: str) -> list[Manifest]:
        return list((await self.api.request("GET", self.path(kind)))["items"])

    # ---- what a team applies -------------------------------------------------------------------

    async def serve(self, version: str, *, ready: bool = True) -> None:
        """Let a version be served by the shared process of that version."""
        name = backend_of(version)
        await self.create(service(self.namespace, name))
        await self.create(endpoints(self.namespace, name, self.servers[version].address, ready=ready))
        await self.create(model_version(self.namespace, version))

    async def set_ready(self, version: str, *, ready: bool) -> None:
        name = backend_of(version)
        part = endpoints(self.namespace, name, self.servers[version].address, ready=ready)["endpoints"]
        await self.api.merge(f"{self.path('EndpointSlice')}/{name}", {"endpoints": part})

    async def stand(
        self, stages: Sequence[Manifest], *versions: str, rules: Sequence[Manifest] = (), adopted: bool = True
    ) -> None:
        """Serve the versions, the first of them by the route, and let the operator take it over as stable."""
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
        """Ask for something with nothing but kubectl."""
        await self.kubectl.run(
            ["annotate", "mro", MODEL, "-n", self.namespace, "--overwrite", f"{command.annotation}={token}"]
        )

    # ---- what is seen --------------------------------------------------------------------------

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
        """The reason and note of every event of the Rollout, in the order in which they were told.

        One that was told again is there as often as its series says, at its last place.
        """
        found = [one for one in await self.all("Event") if one.get("regarding", {}).get("kind") == "Rollout"]
        # Those of one look share their time; Kubernetes 1.35 made these numbers comparable.
        found.sort(key=lambda one: int(one["metadata"]["resourceVersion"]))
        times = [(one.get("series") or {}).get("count", 1) for one in found]
        return [
            (str(one["reason"]), str(one["note"]))
            for one, count in zip(found, times, strict=True)
            for _ in range(count)
        ]

    async def until_event(self, reason: str, *, within: float = SOON) -> str:
        """Wait for an event and return its note."""

        async def look() -> list[str]:
            return [note for said, note in await self.events() if said == reason]

        return (await wait_for(look, bool, within=within, what=f"an event {reason}"))[0]

    async def weights(self) -> dict[str, int]:
        return weights_in(await self.get("HTTPRoute"))

    def watching(self, kind: str) -> AbstractAsyncContextManager[Seen]:
        return watching(self.api, self.path(kind))

    async def counted(self, version: str) -> int:
        """How many requests Envoy itself has counted for a version, at this moment."""
        page = await envoy_page()
        label = re.escape(envoy_cluster_of(self.namespace, version))
        pattern = rf'^envoy_cluster_upstream_rq_total\{{[^}}]*envoy_cluster_name="{label}"[^}}]*\}} (\d+)'
        found = re.search(pattern, page, re.MULTILINE)
        return int(found[1]) if found else 0

    # ---- traffic -------------------------------------------------------------------------------

    @asynccontextmanager
    async def traffic(self, rate: float = 100.0) -> AsyncIterator[RequestLog]:
        """Send requests through the gateway as long as the block lasts; begin when the first are answered."""
        output = self.folder / "requests.csv"
        options = {
            "--url": self.cluster.gateway_url,
            "--hostname": self.hostname,
            "--rate": f"{rate:g}",
            "--seconds": "600",
            "--output": str(output),
        }
        words = [word for pair in options.items() for word in pair]
        command = [sys.executable, "-P", "-m", "demo.load", *words]
        async with running("the load generator", command, self.environment, self.folder / "load.log") as load:
            log = RequestLog(output)
            await _until_answered(log, load)
            yield log


async def _until_answered(log: RequestLog, load: Running) -> None:
    async def look() -> int:
        load.check()
        return sum(not record.failed for record in log.read()[-20:])

    await wait_for(look, lambda good: good >= 20, within=SOON, what="20 good answers in a row")


async def envoy_page() -> str:
    """Envoy's own statistics, as Prometheus would scrape them now."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session,
        session.get(f"http://{GATEWAY}:{ENVOY_STATS_PORT}/stats/prometheus") as answer,
    ):
        return await answer.text()


def told_more_than_once(events: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """What was told more than once."""
    return [event for event, times in Counter(events).items() if times > 1]


def condition(status: RolloutStatus, kind: str) -> tuple[str, str]:
    """The status and reason of a condition."""
    found = next((one for one in status.conditions if one.type == kind), None)
    return (found.status.value, found.reason) if found is not None else ("", "")


def shares_seen(seen: Seen, backend: str) -> list[float]:
    """The percentages that a backend had in the route, each change once."""
    shares: list[float] = []
    for _, raw in seen.states:
        weights = weights_in(raw)
        share = 100 * weights.get(backend, 0) / sum(weights.values())
        if not shares or shares[-1] != share:
            shares.append(share)
    return shares


def accepted_without(backend: str) -> Callable[[dict[str, Any]], bool]:
    """Fits a route in which the backend has no weight, once every parent has accepted exactly that."""

    def fits(raw: dict[str, Any]) -> bool:
        parents = raw.get("status", {}).get("parents", [])
        generation = raw["metadata"]["generation"]
        done = [
            condition["status"] == "True" and condition.get("observedGeneration", 0) >= generation
            for parent in parents
            for condition in parent["conditions"]
            if condition["type"] in {"Accepted", "ResolvedRefs"}
        ]
        return bool(done) and all(done) and weights_in(raw).get(backend, 0) == 0

    return fits
