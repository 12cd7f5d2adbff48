"""The rights that a run in peace does not use, and those that only some values of the chart give: each is needed."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Final
from uuid import uuid4

import aiohttp
import pytest

from demo.errors import CouldNotAskError
from demo.observe import wait_for
from localcluster.api import Api, ApiError
from localcluster.client import Cluster
from serinus.api.modelversion import BackendRef
from serinus.api.names import ObjectKey
from serinus.errors import RefusedError
from serinus.kube.client import KubernetesClient
from serinus.kube.identity import cluster_identity
from serinus.kube.service_endpoints import ServiceEndpoints
from serinus.registry.kubernetes.store import KubernetesStore
from serinus.registry.service import Registry
from serinus.routers import Routers, load_router
from support.e2e.fixtures import STABLE, place_in
from support.e2e.manifests import PORT, backend_of, production, rollout, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import LONG, Place
from support.e2e.servers import ModelServer
from support.installed_operator import installed_operator
from support.kube.client import SystemClock
from support.kube.client import api as client
from support.kubectl import Kubectl
from support.operator_rights import API_SERVER_SERVICE, API_SERVER_SLICE, IDENTITY, ROUTERS
from support.registry.place import BY, audit_entry
from support.release import Release, Right, installed
from support.rights import RBAC, taken_away
from support.routers.kinds import kinds
from support.routers.planes import NEW, OLD, PLANES, Plane
from support.routers.world import World, shares

__all__ = ["client", "kinds"]

_SERINUS: Final = "serinus.dev"
_DYNAMODB: Final = ("--set=config.registry.kind=DynamoDB", "--set=config.registry.dynamodb.cluster=prod-1")
_PLANE_OF: Final = {field: next(plane for plane in PLANES.values() if plane.kind.field == field) for field in ROUTERS}


@pytest.fixture
async def api(cluster: Cluster) -> AsyncIterator[Api]:
    async with Api(cluster.kubeconfig) as api:
        yield api


@pytest.fixture
async def place(cluster: Cluster, api: Api, servers: dict[str, ModelServer], tmp_path: Path) -> AsyncIterator[Place]:
    async with place_in(cluster, api, f"rights-{uuid4().hex[:8]}", servers, tmp_path) as place:
        yield place


def _values(cluster: Cluster, *options: str) -> tuple[str, ...]:
    source = f"--set=config.sources.default.url={cluster.prometheus_url}"
    return (source, "--set=config.sources.default.scrapeInterval=1s", *options)


def _admin(cluster: Cluster) -> Kubectl:
    return Kubectl(program=cluster.kubectl, kubeconfig=cluster.kubeconfig)


@pytest.fixture(scope="module")
def wide(cluster: Cluster) -> Iterator[Release]:
    """A release for the whole cluster with every router."""
    with installed(_admin(cluster), *_values(cluster, f"--set=config.routers={{{','.join(ROUTERS)}}}")) as release:
        yield release


@asynccontextmanager
async def _as_operator(release: Release, folder: Path) -> AsyncIterator[KubernetesClient]:
    async with await KubernetesClient.open(release.kubeconfig(folder / "as-operator")) as client:
        yield client


def _cluster_role(release: Release) -> str:
    return f"{RBAC}/clusterroles/{release.name}"


async def test_a_head_is_left_behind_its_chain_without_reading_the_record_that_follows(
    wide: Release, api: Api, place: Place, tmp_path: Path
) -> None:
    reading = Right("get", "auditrecords", _SERINUS)
    moving = Right("patch", "models", _SERINUS, "status")
    model = ObjectKey(place.namespace, "fraud-detector")
    await place.serve(STABLE)
    async with _as_operator(wide, tmp_path) as client:
        registry = Registry(KubernetesStore(client, namespaces=(place.namespace,)), SystemClock(), BY)
        await registry.record(model, audit_entry())
        async with taken_away(api, _cluster_role(wide), wide.account, moving, "default"):
            with pytest.raises(RefusedError, match="cannot patch resource"):
                await registry.record(model, audit_entry())
        assert (await registry.head(model)).audit.sequence == 1
        async with taken_away(api, _cluster_role(wide), wide.account, reading, "default"):
            with pytest.raises(RefusedError, match='cannot get resource "auditrecords"'):
                await registry.record(model, audit_entry())
        assert await registry.record(model, audit_entry()) == 3
        assert (await registry.head(model)).audit.sequence == 3


@pytest.mark.parametrize("verb", ["get", "patch"])
@pytest.mark.parametrize("field", ROUTERS)
async def test_weights_are_not_written_without_the_rights_on_the_route(  # noqa: PLR0913, PLR0917 - fixtures
    wide: Release, kinds: None, api: Api, client: KubernetesClient, place: Place, tmp_path: Path, field: str, verb: str
) -> None:
    plane = _PLANE_OF[field]
    (right,) = [one for one in ROUTERS[field] if one.verb == verb]
    world = World(client, place.namespace, plane)
    async with _controlled(plane, client, place.namespace), _as_operator(wide, tmp_path) as operator:
        await world.stand({OLD: 100, NEW: 0})
        router = Routers(operator, [load_router(field)])
        async with taken_away(api, _cluster_role(wide), wide.account, right, "default"):
            with pytest.raises(RefusedError, match=f'cannot {verb} resource "{right.resource}"'):
                await router.set_weights(place.namespace, shares(plane, 1000))
        assert (await world.shares())[NEW] == 0
        await router.set_weights(place.namespace, shares(plane, 1000))
        assert (await world.shares())[NEW] == 10


@asynccontextmanager
async def _controlled(plane: Plane, client: KubernetesClient, namespace: str) -> AsyncIterator[None]:
    """Play the controller of the kind of route, where no real one runs."""
    ended = asyncio.Event()
    standing_in = asyncio.create_task(plane.stand_in(client, namespace, ended))
    try:
        yield
    finally:
        ended.set()
        await standing_in


@pytest.mark.parametrize("verb", ["list", "watch"])
@pytest.mark.parametrize("field", [field for field in ROUTERS if field != "httpRoute"])
async def test_nothing_is_reported_without_seeing_the_routes(  # noqa: PLR0913, PLR0917 - fixtures
    cluster: Cluster, wide: Release, kinds: None, api: Api, place: Place, tmp_path: Path, field: str, verb: str
) -> None:
    (right,) = [one for one in ROUTERS[field] if one.verb == verb]
    await _make_rollout(place, field)
    async with _operator(cluster, wide, tmp_path) as operator:
        async with taken_away(api, _cluster_role(wide), wide.account, right, "default"):
            await operator.start(ready=False)
            await _until_refused(operator, wide, right)
            assert not await _is_reported(place)
        await wait_for(lambda: _is_reported(place), bool, within=LONG, what="a status")


@asynccontextmanager
async def _operator(cluster: Cluster, release: Release, folder: Path) -> AsyncIterator[OperatorControl]:
    operator = installed_operator(cluster, release, folder / "operator")
    try:
        yield operator
    finally:
        await operator.stop()


async def _make_rollout(place: Place, field: str) -> None:
    """Make a Rollout whose route is not there: the operator's first word on it is that."""
    manifest = rollout(place.namespace, STABLE, [staging(), production()])
    manifest["spec"]["route"] = _PLANE_OF[field].ref
    manifest["spec"]["metrics"] = {"source": "default"}
    await place.create(manifest)


async def _is_reported(place: Place) -> bool:
    return bool((await place.get("Rollout")).get("status", {}).get("summary"))


async def _until_refused(operator: OperatorControl, release: Release, right: Right) -> None:
    said = f'User "{release.account}" cannot {right.verb} resource "{right.resource}"'

    async def probe() -> bool:
        return said in operator.log()

    await wait_for(probe, bool, within=LONG, what=f"the refusal of {right}")


# ---- values that limit the operator --------------------------------------------------------------


@pytest.fixture
def narrow(cluster: Cluster, place: Place) -> Iterator[Release]:
    """A release for one namespace."""
    with installed(_admin(cluster), *_values(cluster, f"--set=namespaces={{{place.namespace}}}")) as release:
        yield release


async def test_a_freeze_is_not_seen_without_reading_the_own_namespace(
    cluster: Cluster, narrow: Release, api: Api, place: Place, tmp_path: Path
) -> None:
    right = Right("get", "namespaces", name=place.namespace)
    role = f"{RBAC}/namespaces/{place.namespace}/roles/{narrow.name}"
    await _make_rollout(place, "httpRoute")
    async with _operator(cluster, narrow, tmp_path) as operator:
        async with taken_away(api, role, narrow.account, right, place.namespace):
            await operator.start(ready=False)
            await _until_refused(operator, narrow, right)
            assert not await _is_reported(place)
        await wait_for(lambda: _is_reported(place), bool, within=LONG, what="a status")


@pytest.mark.parametrize("right", [API_SERVER_SERVICE, API_SERVER_SLICE], ids=str)
async def test_no_http_test_is_sent_without_knowing_the_api_servers_addresses(
    narrow: Release, api: Api, place: Place, tmp_path: Path, right: Right
) -> None:
    await place.serve(STABLE)
    backend = BackendRef(name=backend_of(STABLE), port=PORT)
    role = f"{RBAC}/namespaces/default/roles/{narrow.name}-api-server"
    async with _as_operator(narrow, tmp_path) as client:
        endpoints = ServiceEndpoints(client, client.host)
        async with taken_away(api, role, narrow.account, right, "default"):
            with pytest.raises(RefusedError, match=f'cannot get resource "{right.resource}"'):
                await endpoints.of(place.namespace, backend)
        assert await endpoints.of(place.namespace, backend)


@pytest.mark.parametrize("scope", ["the whole cluster", "one namespace"])
async def test_a_cluster_is_not_told_from_another_without_reading_kube_system(
    cluster: Cluster, api: Api, place: Place, tmp_path: Path, scope: str
) -> None:
    narrow = scope == "one namespace"
    options = (f"--set=namespaces={{{place.namespace}}}",) if narrow else ()
    with installed(_admin(cluster), *_values(cluster, *_DYNAMODB, *options)) as release:
        own = f"{RBAC}/namespaces/kube-system/roles/{release.name}-identity"
        role = own if narrow else _cluster_role(release)
        uid = (await api.request("GET", "/api/v1/namespaces/kube-system"))["metadata"]["uid"]
        async with _as_operator(release, tmp_path) as client:
            async with taken_away(api, role, release.account, IDENTITY, "kube-system"):
                assert await cluster_identity(client)() == ""
            assert await cluster_identity(client)() == uid


# ---- who leads -----------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["get", "create", "update"])
async def test_nobody_leads_without_the_rights_on_the_lease(  # noqa: PLR0913, PLR0917 - fixtures
    cluster: Cluster, wide: Release, kinds: None, api: Api, tmp_path: Path, verb: str
) -> None:
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{wide.name}/leases"
    with suppress(ApiError):
        await api.request("DELETE", f"{leases}/{wide.name}")
    if verb == "update":
        released = {"metadata": {"name": wide.name}, "spec": {"holderIdentity": "", "leaseDurationSeconds": 1}}
        await api.request("POST", leases, released)
    right = Right(verb, "leases", "coordination.k8s.io", name="" if verb == "create" else wide.name)
    role = f"{RBAC}/namespaces/{wide.name}/roles/{wide.name}-lease"
    async with _operator(cluster, wide, tmp_path) as operator:
        async with taken_away(api, role, wide.account, right, wide.name):
            await operator.start(ready=False)
            await _until_refused(operator, wide, right)
            await wait_for(lambda: _leads(operator), lambda leads: not leads, within=LONG, what="a process that waits")
        await operator.until_leading(LONG)


@pytest.mark.parametrize("verb", ["get", "update"])
async def test_a_shard_has_no_leader_without_the_rights_on_its_lease(
    cluster: Cluster, api: Api, tmp_path: Path, verb: str
) -> None:
    with installed(_admin(cluster), *_values(cluster, "--set=shards=2")) as release:
        lease = f"{release.name}-shard-1"
        released = {"metadata": {"name": lease}, "spec": {"holderIdentity": "", "leaseDurationSeconds": 1}}
        await api.request("POST", f"/apis/coordination.k8s.io/v1/namespaces/{release.name}/leases", released)
        right = Right(verb, "leases", "coordination.k8s.io", name=lease)
        role = f"{RBAC}/namespaces/{release.name}/roles/{release.name}-lease"
        async with _operator(cluster, release, tmp_path) as operator:
            async with taken_away(api, role, release.account, right, release.name):
                await operator.start(ready=False)
                await _until_refused(operator, release, right)
                await wait_for(lambda: _held(operator), lambda held: held == 1, within=LONG, what="the other shard")
            await wait_for(lambda: _held(operator), lambda held: held == 2, within=LONG, what="both shards")


async def _held(operator: OperatorControl) -> float:
    return await _counter(operator, "serinus_shard_held")


async def _leads(operator: OperatorControl) -> bool:
    return await _counter(operator, "serinus_leader") == 1


async def _counter(operator: OperatorControl, name: str) -> float:
    try:
        return await operator.counter(name)
    except (aiohttp.ClientError, TimeoutError) as problem:
        raise CouldNotAskError(f"the operator does not answer: {problem!r}") from problem
