"""Fixtures of the end-to-end tests: shared model servers, and a namespace and an operator for each test.

A test package imports them in its conftest. Run under
``python -m localcluster run --scrape-interval 1s -- pytest tests/e2e tests/faults``.
"""

import gc
import re
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
import pytest_asyncio

from demo.behaviour import Behaviour
from demo.operatorprocess import LEASE_NAMESPACE, OperatorSetup
from localcluster.api import Api, ApiError
from localcluster.client import Cluster
from localcluster.settings import CHECKOUT
from support.e2e.apiproxy import ApiProxy, api_proxy
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import Place
from support.e2e.servers import ModelServer, serving

STABLE, GOOD, BAD, SPARE = "1.0.0", "2.0.0", "3.0.0", "4.0.0"
VERSIONS = (STABLE, GOOD, BAD, SPARE)


def program_environment(cluster: Cluster) -> dict[str, str]:
    """The environment of programs that tests start, which lets them import the demo's modules from any folder."""
    variables = cluster.environment()
    local = str(CHECKOUT / "deploy" / "local")
    path = f"{local}:{variables['PYTHONPATH']}" if variables.get("PYTHONPATH") else local
    return variables | {"PYTHONPATH": path}


@asynccontextmanager
async def operator_behind_proxy(
    cluster: Cluster, folder: Path, setup: OperatorSetup | None = None
) -> AsyncIterator[tuple[OperatorControl, ApiProxy]]:
    """Provide an operator that calls the API server through a proxy; it is not started yet, and stopped afterwards."""
    environment = program_environment(cluster)
    async with api_proxy(cluster, environment, folder) as proxy:
        through = environment | {"KUBECONFIG": str(proxy.kubeconfig)}
        operator = OperatorControl(through, setup or setup_in(cluster), folder)
        try:
            yield operator, proxy
        finally:
            await operator.stop()


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return Cluster.current()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def processes(
    cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[dict[str, ModelServer]]:
    folder = tmp_path_factory.mktemp("servers")
    async with serving(program_environment(cluster), VERSIONS, folder) as servers:
        yield servers


@pytest.fixture
async def servers(processes: dict[str, ModelServer]) -> dict[str, ModelServer]:
    for server in processes.values():
        await server.behave(Behaviour())
    return processes


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


@pytest.fixture
async def place(
    cluster: Cluster, servers: dict[str, ModelServer], tmp_path: Path, request: pytest.FixtureRequest
) -> AsyncIterator[Place]:
    namespace = _namespace_of(request.node.name)
    async with Api(cluster.kubeconfig) as api, place_in(cluster, api, namespace, servers, tmp_path) as place:
        yield place


@pytest.fixture
async def operator(cluster: Cluster, place: Place, tmp_path: Path) -> AsyncIterator[OperatorControl]:
    """A running operator, the only one; the test may kill and restart it."""
    control = OperatorControl(program_environment(cluster), setup_in(cluster), tmp_path)
    try:
        await control.start()
        yield control
    finally:
        await control.stop()


@pytest.fixture(autouse=True)
def nothing_left_open() -> Iterator[None]:
    """Collect garbage after each test: a connection that a test leaves open fails this test, not a later one."""
    yield
    gc.collect()


@pytest.fixture
async def lease_namespace(place: Place) -> None:
    with suppress(ApiError):  # it exists already, from an earlier test
        await place.api.request("POST", "/api/v1/namespaces", {"metadata": {"name": LEASE_NAMESPACE}})


def _namespace_of(test: str) -> str:
    prefix = re.sub(r"[^a-z0-9]+", "-", test.lower().removeprefix("test_"))[:20].strip("-")
    return f"{prefix}-{uuid.uuid4().hex[:6]}"
