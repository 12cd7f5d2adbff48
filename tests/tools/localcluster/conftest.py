"""The tests of the local cluster run inside of one: `python -m localcluster run -- pytest tests/tools/localcluster`."""

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
    made = Namespace(f"test-{uuid.uuid4().hex[:8]}", cluster)
    made.kubectl("create", "namespace", made.name)
    # A pod is refused until its namespace has this account.
    eventually(
        lambda: made.kubectl("get", "serviceaccount", "default", "--ignore-not-found"), why="the default account"
    )
    yield made
    made.kubectl("delete", "namespace", made.name, "--wait=false")
