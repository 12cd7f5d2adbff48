"""Prepares the local cluster: namespaces, rights, the operator as a process."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from demo.acts import QueryMeter, Scene
from demo.cluster import ClusterView, Kubectl
from demo.local import rights
from demo.local.rights import NAMESPACE, TEAM
from demo.manifests import HOSTNAME, fill
from demo.metrics.dataplanes import CONTOUR
from demo.metrics.prometheus import Probe
from demo.operatorprocess import OperatorSetup, await_ready, operator
from demo.settings import LOCAL_PACE, DemoSettings, Programs
from demo.stagehand import apply, serve_versions, traffic
from demo.terminal import Terminal
from localcluster.api import Api
from localcluster.client import Cluster
from localcluster.node.images import PROCESS_IMAGE
from localcluster.parts import gateway
from serinus.api.names import ObjectKey
from serinus.api.quantities import Duration

SOURCES: Final = Path(__file__).resolve().parents[2]
"""Where a pod's process finds the demo's modules."""

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

    @property
    def demo(self) -> DemoSettings:
        """Settings of the acts."""
        return DemoSettings(
            namespace=NAMESPACE,
            hostname=HOSTNAME,
            gateway=ObjectKey(gateway.NAMESPACE, gateway.NAME),
            gateway_url=self.cluster.gateway_url,
            preset="contour",
            source="default",
            plane=CONTOUR,
            programs=_programs(),
            folder=self.folder,
            rate=self.rate,
            pace=LOCAL_PACE,
            actors=frozenset({TEAM, "serinus"}),
            trouble=f"The operator's log is {self.folder / 'operator.log'}",
        )


def _programs() -> Programs:
    """Return processes of this machine, at the pods' addresses."""
    python, sources = (sys.executable, "-P", "-m"), {"name": "PYTHONPATH", "value": str(SOURCES)}
    address = {"name": "POD_IP", "valueFrom": {"fieldRef": {"fieldPath": "status.podIP"}}}
    return Programs(
        image=PROCESS_IMAGE,
        server=(*python, "demo.modelserver"),
        server_environment=(sources, address),
        contract=(*python, "demo.portable.contract"),
        contract_environment=(sources,),
        trains=True,
    )


@asynccontextmanager
async def ready_scene(setting: Setting, terminal: Terminal) -> AsyncIterator[Scene]:
    """Set up the scene, yield it, and stop all programs when the block ends.

    Raises:
        DemoError: something did not become ready; the message says what and which log to read.
    """
    environment, settings = setting.cluster.environment(), setting.demo
    kubectl = Kubectl(setting.cluster.kubectl, environment)
    async with AsyncExitStack() as stack:
        view = ClusterView(await stack.enter_async_context(Api(setting.cluster.kubeconfig)))
        session = await stack.enter_async_context(aiohttp.ClientSession(trust_env=False))
        await clear(kubectl, setting.folder)
        accounts = await rights.install(setting.cluster, kubectl, setting.folder)
        process = await stack.enter_async_context(operator(setting.operator, accounts.operator, setting.folder))
        await serve_versions(view, kubectl, accounts.team, settings, terminal)
        await await_ready(process, setting.operator, session)
        terminal.line("the operator is ready")
        log, load = await stack.enter_async_context(traffic(settings, environment, terminal))
        probe = Probe(session, setting.cluster.prometheus_url)
        yield Scene(
            settings=settings,
            view=view,
            kubectl=accounts.team,
            probe=probe,
            log=log,
            terminal=terminal,
            programs=(process, load),
            meter=QueryMeter(probe, setting.operator.tick_seconds),
        )


async def clear(admin: Kubectl, folder: Path) -> None:
    """Make the namespaces, and remove what an earlier demo has left in them."""
    await apply(admin, folder, "namespaces", fill("namespace.yaml", {"namespace": NAMESPACE}))
    # In a reused cluster, an earlier demo has left objects behind, and its quarantined versions would not start again.
    await admin.run(["delete", _LEFTOVERS, "--all", "-n", NAMESPACE])
    # A server that has turned slow stays so; in the foreground, so that none of their pods answers any more.
    await admin.run(["delete", "deployments", "--all", "-n", NAMESPACE, "--cascade=foreground"])
