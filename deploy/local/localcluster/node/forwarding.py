"""Forwards Services where other nodes run the pods: `python -m localcluster.node.forwarding STATE`."""

import asyncio
import sys
from pathlib import Path

from localcluster.api import Api
from localcluster.node.services import Services
from localcluster.node.work import told_to_end, work_until
from localcluster.settings import Settings


async def run(settings: Settings) -> None:
    """Forward until SIGTERM or SIGINT."""
    told = told_to_end()
    async with Api(settings.kubeconfig("node")) as api:
        services = Services(api, settings.state / "hosts")
        await work_until(told, [services.services.run(), services.slices.run(), services.run()])


if __name__ == "__main__":
    asyncio.run(run(Settings.load(Path(sys.argv[1]))))
