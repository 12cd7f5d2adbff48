"""Where an HTTP test may be sent, as the API server stores Services and EndpointSlices."""

from typing import Any

import pytest

from localcluster.addresses import KUBERNETES_SERVICE, NODE
from serinus.api.modelversion import BackendRef
from serinus.kube.client import MERGE_PATCH, KubernetesClient
from serinus.kube.service_endpoints import Endpoint, ServiceEndpoints, UnusableBackendError
from support.kube.client import create

BACKEND = BackendRef(name="fraud-v2", port=80)


@pytest.fixture
async def service(api: KubernetesClient, namespace: str) -> str:
    """A Service without a selector, in a new namespace, with one ready endpoint and one that is not."""
    spec = {"ports": [{"name": "grpc", "port": 81}, {"name": "http", "port": 80}]}
    manifest = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "fraud-v2"}, "spec": spec}
    await create(api, manifest, "services", namespace)
    await add_slice(api, namespace, "fraud-v2-a", {"198.18.40.1": True, "198.18.40.2": False})
    return namespace


async def add_slice(api: KubernetesClient, namespace: str, name: str, addresses: dict[str, bool]) -> None:
    manifest: dict[str, Any] = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": "fraud-v2"}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [address], "conditions": {"ready": ready}} for address, ready in addresses.items()],
        "ports": [{"name": "http", "port": 8080}, {"name": "grpc", "port": 8081}],
    }
    await create(api, manifest, "endpointslices", namespace)


async def test_the_ready_endpoint_is_found_with_the_containers_port(api: KubernetesClient, service: str) -> None:
    found = await ServiceEndpoints(api, api.host).of(service, BACKEND)
    assert found == [Endpoint("198.18.40.1", 8080)]


async def test_a_service_that_becomes_an_external_name_keeps_its_slices_and_is_refused(
    api: KubernetesClient, service: str
) -> None:
    spec = {"type": "ExternalName", "externalName": "kubernetes.default.svc", "clusterIP": None, "clusterIPs": None}
    path = f"/api/v1/namespaces/{service}/services/fraud-v2"
    await api.request("PATCH", path, body={"spec": spec}, content_type=MERGE_PATCH)
    slices = await api.request("GET", f"/apis/discovery.k8s.io/v1/namespaces/{service}/endpointslices")
    assert [one["metadata"]["name"] for one in slices["items"]] == ["fraud-v2-a"]
    with pytest.raises(UnusableBackendError, match="is of type ExternalName"):
        await ServiceEndpoints(api, api.host).of(service, BACKEND)


@pytest.mark.parametrize("address", [NODE, KUBERNETES_SERVICE])
async def test_the_api_servers_own_addresses_are_refused(api: KubernetesClient, service: str, address: str) -> None:
    await add_slice(api, service, "fraud-v2-b", {address: True})
    with pytest.raises(UnusableBackendError, match="an address of the API server"):
        await ServiceEndpoints(api, "198.18.0.9").of(service, BACKEND)
