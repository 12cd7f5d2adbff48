"""Prepares the first act: the versions, their route, the operator, the traffic."""

import asyncio
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from demo import manifests, rights
from demo.acts import KEY, RULE, QueryMeter, Scene
from demo.cluster import ClusterView, Kubectl
from demo.errors import DemoError
from demo.manifests import HOSTNAME, NAMESPACE, STABLE, VERSIONS
from demo.observe import serves, wait_for, wait_for_rollout
from demo.operatorprocess import OperatorSetup, await_ready, operator
from demo.process import Running, running
from demo.prometheus import Probe
from demo.requestlog import RequestLog
from demo.terminal import Terminal
from localcluster.api import Api
from localcluster.client import Cluster
from serinus.api.names import ObjectKey
from serinus.api.quantities import Duration

_LONGEST_RUN_SECONDS: Final = 900.0
_SERVERS_SECONDS: Final = 60.0
_ROUTE_SECONDS: Final = 30.0
_ADOPTED_SECONDS: Final = 30.0
_FIRST_ANSWERS: Final = 100
_LEFTOVERS: Final = "rollouts.serinus.dev,modelversions.serinus.dev,httproutes.gateway.networking.k8s.io,jobs.batch"


@dataclass(frozen=True, slots=True)
class Setting:
    """Options of the demo.

    Attributes:
        cluster: the local cluster in which this process runs.
        folder: folder for everything that the demo writes.
        rate: requests per second.
    """

    cluster: Cluster
    folder: Path
    rate: float

    @property
    def operator(self) -> OperatorSetup:
        """Settings of the operator process."""
        interval = Duration(self.cluster.settings.scrape_interval).seconds
        return OperatorSetup(
            prometheus_url=self.cluster.prometheus_url,
            scrape_interval_seconds=interval,
            settings={"actorStamped": True},
        )


@asynccontextmanager
async def ready_scene(setting: Setting, terminal: Terminal) -> AsyncIterator[Scene]:
    """Set up the scene, yield it, and stop all programs when the block ends.

    Raises:
        DemoError: something did not become ready; the message says what and which log to read.
    """
    environment = setting.cluster.environment()
    kubectl = Kubectl(setting.cluster.kubectl, environment)
    async with AsyncExitStack() as stack:
        view = ClusterView(await stack.enter_async_context(Api(setting.cluster.kubeconfig)))
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        await clear(kubectl, setting.folder)
        accounts = await rights.install(setting.cluster, kubectl, setting.folder)
        process = await stack.enter_async_context(operator(setting.operator, accounts.operator, setting.folder))
        await _serve_versions(view, kubectl, accounts.team, setting.folder, terminal)
        await await_ready(process, setting.operator, session)
        terminal.line("the operator is ready")
        load = await stack.enter_async_context(_load(setting, environment))
        log = RequestLog(setting.folder / "requests.csv")
        await await_traffic(log, load)
        terminal.line(f"{setting.rate:g} requests/s go through the gateway; {STABLE.number} answers them")
        probe = Probe(session, setting.cluster.prometheus_url)
        yield Scene(
            view=view,
            kubectl=accounts.team,
            probe=probe,
            log=log,
            terminal=terminal,
            programs=(process, load),
            meter=QueryMeter(probe, setting.operator.tick_seconds),
        )


async def adopt(scene: Scene, folder: Path) -> None:
    """Apply the Rollout for the version that serves already, and wait until the operator has adopted it.

    Raises:
        DemoError: the operator did not adopt it; the message contains the Rollout's own summary.
    """
    await apply(scene.kubectl, folder, "rollout", manifests.rollout(STABLE))
    await wait_for_rollout(
        scene.view, KEY, serves(STABLE.number), within=_ADOPTED_SECONDS, what=f"the adoption of {STABLE.number}"
    )


async def clear(admin: Kubectl, folder: Path) -> None:
    """Make the namespaces, and remove what an earlier demo has left in them."""
    await apply(admin, folder, "namespaces", manifests.namespaces())
    # In a reused cluster, an earlier demo has left objects behind, and its quarantined versions would not start again.
    await admin.run(["delete", _LEFTOVERS, "--all", "-n", NAMESPACE])


async def _serve_versions(view: ClusterView, admin: Kubectl, team: Kubectl, folder: Path, terminal: Terminal) -> None:
    """Have the team bring its versions, and the platform's administrator the route."""
    await apply(team, folder, "versions", "---\n".join(manifests.version(version) for version in VERSIONS))
    await apply(admin, folder, "route", manifests.route(STABLE))
    await asyncio.gather(*(await_server(view, version.backend) for version in VERSIONS))
    terminal.line(f"{len(VERSIONS)} versions serve: {', '.join(version.number for version in VERSIONS)}")
    await wait_for(
        lambda: view.route(KEY, RULE),
        lambda route: route.accepted,
        within=_ROUTE_SECONDS,
        what="a route that the gateway accepts",
    )


async def await_server(view: ClusterView, backend: str) -> None:
    """Wait for a ready pod of a version.

    Raises:
        DemoError: there was none in time.
    """
    key = ObjectKey(NAMESPACE, backend)
    await wait_for(
        lambda: view.ready_replicas(key),
        lambda ready: ready > 0,
        within=_SERVERS_SECONDS,
        what=f"a ready pod of {key}",
        describe=lambda ready: f"{ready} ready pods: see `kubectl get pods -n {NAMESPACE}`",
    )


async def apply(kubectl: Kubectl, folder: Path, name: str, manifest: str) -> None:
    """Apply a manifest, and keep it in the folder."""
    # The tutorial's readers find the applied manifests here.
    file = folder / "manifests" / f"{name}.yaml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(manifest, encoding="utf-8")
    await kubectl.apply(manifest)


def load_command(setting: Setting, module: str, hostname: str, seconds: float) -> list[str]:
    """Return the command of a load generator that writes its requests into the setting's folder."""
    options = {
        "--url": setting.cluster.gateway_url,
        "--hostname": hostname,
        "--rate": f"{setting.rate:g}",
        "--seconds": f"{seconds:g}",
        "--output": str(setting.folder / "requests.csv"),
    }
    return [sys.executable, "-P", "-m", module, *(part for option in options.items() for part in option)]


@asynccontextmanager
async def _load(setting: Setting, environment: Mapping[str, str]) -> AsyncIterator[Running]:
    command = load_command(setting, "demo.load", HOSTNAME, _LONGEST_RUN_SECONDS)
    async with running("the load generator", command, environment, setting.folder / "load.log") as load:
        yield load


async def await_traffic(log: RequestLog, load: Running) -> None:
    """Wait for good answers.

    Raises:
        DemoError: there were too few in time, or the load generator has exited.
    """

    async def answered() -> int:
        load.check()
        recent = log.read()[-_FIRST_ANSWERS:]
        return sum(not record.failed for record in recent)

    await wait_for(
        answered,
        lambda good: good >= _FIRST_ANSWERS,
        within=_ROUTE_SECONDS,
        what=f"{_FIRST_ANSWERS} good answers in a row",
        describe=lambda good: f"{good}; {load.tail()}" if good == 0 else str(good),
    )


def fresh_folder(folder: Path) -> Path:
    """Create the folder, remove the files of an earlier run, and return it.

    Raises:
        DemoError: it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("result.json", "requests.csv"):
            folder.joinpath(name).unlink(missing_ok=True)
    except OSError as problem:
        raise DemoError(f"cannot write to {folder}: {problem}") from problem
    return folder
