"""A place for a test that stays in several namespaces at once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from localcluster.api import Api
from localcluster.client import Cluster
from support.e2e.fixtures import program_environment
from support.e2e.place import Place
from support.e2e.servers import ModelServer


@asynccontextmanager
async def place_in(
    cluster: Cluster, api: Api, namespace: str, servers: dict[str, ModelServer], folder: Path
) -> AsyncIterator[Place]:
    """Make a namespace; afterwards no operator of a later test finds its Rollouts.

    Args:
        cluster: the cluster.
        api: its API.
        namespace: the namespace's name.
        servers: the model servers, by version.
        folder: an existing folder for logs.
    """
    await api.request("POST", "/api/v1/namespaces", {"metadata": {"name": namespace}})
    place = Place(
        cluster=cluster,
        environment=program_environment(cluster),
        api=api,
        namespace=namespace,
        servers=servers,
        folder=folder,
    )
    try:
        yield place
    finally:
        await api.request("DELETE", place.path("Rollout"))
        await api.request("DELETE", f"/api/v1/namespaces/{namespace}")
