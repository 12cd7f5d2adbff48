"""Forwards Services where other nodes run the pods: `python -m localcluster.node.forwarding STATE`."""

import asyncio
import signal
import sys
from pathlib import Path

from localcluster.api import Api
from localcluster.node.services import Services
from localcluster.settings import Settings


async def run(settings: Settings) -> None:
    """Forward until SIGTERM or SIGINT."""
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    async with Api(settings.kubeconfig("node")) as api:
        services = Services(api, settings.state / "hosts")
        tasks = [asyncio.create_task(one) for one in (services.services.run(), services.slices.run(), services.run())]
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait([*tasks, stopping], return_when=asyncio.FIRST_COMPLETED)
        for task in (*tasks, stopping):
            task.cancel()
        # Raise the error of a failed task.
        for outcome in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(outcome, Exception):
                raise outcome


if __name__ == "__main__":
    asyncio.run(run(Settings.load(Path(sys.argv[1]))))
