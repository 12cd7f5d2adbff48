"""Fixtures for integration tests against the local cluster: a client, and a fresh namespace for each test.

A test package imports the fixtures in its conftest. Run under
``python -m localcluster run -- pytest tests/integration``.
"""

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar

import pytest

from localcluster.client import Cluster
from serinus.kube.client import KubernetesClient

Raw = dict[str, Any]
T = TypeVar("T")


class SystemClock:
    """Implements the port ``Clock`` with the system clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return monotonic()


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.current()


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[KubernetesClient]:
    async with await KubernetesClient.open(cluster.kubeconfig) as client:
        yield client


@pytest.fixture
async def namespace(api: KubernetesClient) -> AsyncIterator[str]:
    name = f"it-{uuid.uuid4().hex[:10]}"
    await api.request("POST", "/api/v1/namespaces", body={"metadata": {"name": name}})
    yield name
    await api.request("DELETE", f"/api/v1/namespaces/{name}")


async def create(api: KubernetesClient, manifest: Raw, plural: str, namespace: str) -> Raw:
    """Create an object of any kind and return the stored object."""
    version = manifest["apiVersion"]
    root = f"/apis/{version}" if "/" in version else f"/api/{version}"
    return await api.request("POST", f"{root}/namespaces/{namespace}/{plural}", body=manifest)


async def eventually(probe: Callable[[], Awaitable[T | None]], *, why: str, within: float = 90.0) -> T:
    """Poll until the probe returns a true value and return it; fail after ``within`` seconds."""
    async with asyncio.timeout(within) as deadline:
        while True:
            try:
                value = await probe()
            except TimeoutError as problem:
                raise AssertionError(f"not within {within:g} s: {why}") from problem
            if value:
                return value
            assert not deadline.expired(), why
            await asyncio.sleep(0.05)  # the polling interval
