"""The node process: `python -m localcluster.node STATE`."""

import asyncio
import sys
from pathlib import Path

from localcluster.api import Api
from localcluster.certificates import Authority
from localcluster.children import Children
from localcluster.node import kubelet
from localcluster.node.container import Host
from localcluster.node.images import Images
from localcluster.node.pods import Pods
from localcluster.node.registration import beat, register
from localcluster.node.services import Services
from localcluster.node.work import told_to_end, work_until
from localcluster.parts.prometheus import targets_folder
from localcluster.settings import Settings


async def run(settings: Settings) -> None:
    """Run the node until SIGTERM or SIGINT."""
    told = told_to_end()
    children = Children()
    children.listen()
    targets_folder(settings).mkdir(parents=True, exist_ok=True)
    async with Api(settings.kubeconfig("node")) as api:
        host = Host(api=api, children=children, images=Images.load(settings.images), folder=settings.state / "pods")
        pods = Pods(host, targets_folder(settings) / "pods.json")
        services = Services(api, settings.state / "hosts")
        endpoint = await kubelet.serve(pods, Authority(settings.state / "pki"))
        await register(api)
        work = [beat(api), pods.mirror.run(), services.services.run(), services.slices.run(), services.run()]
        try:
            await work_until(told, work)
        finally:
            await pods.kill_all()
            await endpoint.cleanup()


if __name__ == "__main__":
    asyncio.run(run(Settings.load(Path(sys.argv[1]))))
