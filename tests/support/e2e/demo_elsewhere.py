"""The demo with what a user of any cluster has: a kubeconfig and addresses."""

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from demo.process import Running, running
from localcluster.client import Cluster
from localcluster.parts import gateway
from localcluster.settings import CHECKOUT

_LONGEST: Final = 900.0
RATE: Final = 300
"""Requests a second: a canary of 5 % needs 600, so 40 s."""


def command(cluster: Cluster, folder: Path, *more: str) -> list[str]:
    """Return what a person types who knows addresses and a kubeconfig, and nothing of the local cluster."""
    options = {
        "kubeconfig": cluster.kubeconfig,
        "gateway": f"{gateway.NAMESPACE}/{gateway.NAME}",
        "gateway-url": cluster.gateway_url,
        "prometheus": cluster.prometheus_url,
        "image": "localhost/process",
        "rate": RATE,
        "folder": folder,
    }
    return [sys.executable, "-P", "-m", "demo", "cluster", *(f"--{name}={one}" for name, one in options.items()), *more]


def environment(cluster: Cluster, folder: Path) -> dict[str, str]:
    """Return the variables of a person with an empty home, whose KUBECONFIG names another cluster."""
    programs = (Path(sys.executable).parent, cluster.kubectl.parent, "/usr/bin", "/bin", "/usr/sbin", "/sbin")
    return {
        "PATH": ":".join(map(str, programs)),
        "HOME": str(folder),
        "PYTHONPATH": str(CHECKOUT / "deploy" / "local"),
        # Whatever it names, the demo does not take it.
        "KUBECONFIG": str(folder / "production"),
    }


@asynccontextmanager
async def the_demo(cluster: Cluster, folder: Path, *more: str) -> AsyncIterator[Running]:
    """Run it until the block ends."""
    async with typed(cluster, folder, command(cluster, folder, *more)) as demo:
        yield demo


@asynccontextmanager
async def typed(cluster: Cluster, folder: Path, words: Sequence[str]) -> AsyncIterator[Running]:
    """Run the demo by a command line until the block ends."""
    async with running("the demo", words, environment(cluster, folder), folder / "demo.log") as demo:
        yield demo


async def ended(demo: Running) -> int:
    """Wait for its end and return its exit status."""
    async with asyncio.timeout(_LONGEST):
        return await demo.process.wait()


def output(demo: Running) -> str:
    """Return what it has printed."""
    return demo.log.read_text(encoding="utf-8")
