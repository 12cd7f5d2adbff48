"""The node as a part of the cluster."""

import sys

import aiohttp

from localcluster.api import Api, ApiError
from localcluster.node.registration import NAME
from localcluster.parts.part import Part
from localcluster.programs.crds import is_true
from localcluster.settings import Settings


def node(settings: Settings) -> Part:
    """Return the node, which schedules and runs pods and forwards Services."""

    async def ready() -> bool:
        async with Api(settings.kubeconfig()) as api:
            try:
                return is_true(await api.request("GET", f"/api/v1/nodes/{NAME}"), "Ready")
            except (ApiError, aiohttp.ClientError, TimeoutError):
                return False

    return Part(
        name="node",
        command=(sys.executable, "-P", "-m", "localcluster.node", str(settings.state)),
        ready=ready,
        # It stops its pods' processes first.
        grace=15.0,
    )
