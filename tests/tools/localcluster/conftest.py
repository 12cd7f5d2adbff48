"""The tests of the local cluster run inside one: `python -m localcluster run -- pytest tests/tools/localcluster`."""

import uuid
from collections.abc import Iterator

import pytest

from localcluster.client import Cluster
from support.localcluster import Namespace, eventually


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.current()


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    new = Namespace(f"test-{uuid.uuid4().hex[:8]}", cluster)
    new.kubectl("create", "namespace", new.name)
    # Pods are rejected until their namespace has this account.
    eventually(lambda: new.kubectl("get", "serviceaccount", "default", "--ignore-not-found"), why="the default account")
    yield new
    new.kubectl("delete", "namespace", new.name, "--wait=false")
