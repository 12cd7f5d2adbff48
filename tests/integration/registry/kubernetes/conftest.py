"""The registry's place in the real API server: each connection is a client of its own."""

from collections.abc import AsyncIterator

import pytest

from localcluster.client import Cluster
from serinus.kube.client import KubernetesClient
from serinus.kube.connection import load_configuration
from support.kube.client import api, cluster, namespace
from support.registry.kubernetes import KubernetesPlace

__all__ = ["api", "cluster", "namespace"]


@pytest.fixture
async def place(cluster: Cluster, namespace: str) -> AsyncIterator[KubernetesPlace]:
    configuration = await load_configuration(cluster.kubeconfig)
    clients: list[KubernetesClient] = []

    def connect() -> KubernetesClient:
        clients.append(KubernetesClient(configuration))
        return clients[-1]

    yield KubernetesPlace(connect, namespace)
    for client in clients:
        await client.close()
