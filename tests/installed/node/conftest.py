"""A cluster whose pods run on two real nodes, with the chart and its image in a namespace of restricted pods."""

import time
from collections.abc import Iterator

import pytest

from localcluster.client import Cluster
from support.e2e.fixtures import cluster, nothing_left_open, place, processes, servers
from support.image.result import archive, note
from support.kubectl import Kubectl
from support.realnode.installation import Installation, installation
from support.realnode.node import nodes

__all__ = ["cluster", "nothing_left_open", "place", "processes", "servers"]

_IMAGES = ("pause", "base", "serinus", "serinus-next")


@pytest.fixture(scope="session")
def admin(cluster: Cluster) -> Kubectl:
    return Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)


@pytest.fixture(scope="session")
def real_nodes(cluster: Cluster, admin: Kubectl, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    folder = tmp_path_factory.mktemp("nodes")
    begun = time.monotonic()
    with nodes(cluster, admin, folder, [archive(name) for name in _IMAGES], count=2):
        note(seconds_nodes=round(time.monotonic() - begun, 1))
        yield


@pytest.fixture(scope="module")
def serinus(cluster: Cluster, admin: Kubectl, real_nodes: None) -> Iterator[Installation]:
    begun = time.monotonic()
    with installation(cluster, admin) as found:
        note(seconds_install=round(time.monotonic() - begun, 1))
        yield found
