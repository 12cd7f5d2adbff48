"""Where an HTTP test may be sent: endpoints of the candidate's own Service, and none of the addresses behind it."""

from typing import Any

import pytest

from serinus.api.modelversion import BackendRef
from serinus.errors import NotFoundError, RefusedError, TransientError
from serinus.kube.service_endpoints import Endpoint, ServiceEndpoints, UnusableBackendError
from support.kube.memory import MemoryApi, Raw
from support.kube.objects import metadata

BACKEND = BackendRef(name="fraud-v2", port=80)
SERVICE = "/api/v1/namespaces/ml/services/fraud-v2"
SLICES = "/apis/discovery.k8s.io/v1/namespaces/ml/endpointslices"
API_SERVICE = "/api/v1/namespaces/default/services/kubernetes"
API_SLICE = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/kubernetes"
API_HOST = "10.96.0.1"


def service(*ports: Raw, **spec: Any) -> Raw:
    return {"metadata": metadata("fraud-v2"), "spec": {"ports": list(ports) or [{"port": 80}], **spec}}


def endpoint(*addresses: str, ready: bool | None = True) -> Raw:
    return {"addresses": list(addresses), "conditions": {} if ready is None else {"ready": ready}}


def a_slice(*endpoints: Raw, ports: list[Raw] | None = None, address_type: str = "IPv4") -> Raw:
    return {
        "metadata": metadata("fraud-v2-abc"),
        "addressType": address_type,
        "endpoints": list(endpoints) or None,
        "ports": [{"name": "", "port": 8080}] if ports is None else ports,
    }


def an_api(*slices: Raw, of: Raw | None = None) -> MemoryApi:
    api = MemoryApi()
    api.put(SERVICE, service() if of is None else of)
    api.objects[SLICES] = {"items": list(slices)}
    api.put(API_SERVICE, {"metadata": {"name": "kubernetes"}, "spec": {"clusterIPs": [API_HOST, "fd00::1"]}})
    published = a_slice(endpoint("192.0.2.10", "192.0.2.11"), ports=[{"name": "https", "port": 6443}])
    api.put(API_SLICE, published)
    return api


async def endpoints(api: MemoryApi, backend: BackendRef = BACKEND, host: str = API_HOST) -> list[tuple[str, int]]:
    found = await ServiceEndpoints(api, host).of("ml", backend)
    return [(one.address, one.port) for one in found]


async def refusal(api: MemoryApi, backend: BackendRef = BACKEND) -> str:
    with pytest.raises(UnusableBackendError) as problem:
        await endpoints(api, backend)
    return str(problem.value)


async def test_ready_endpoints_are_returned_with_the_containers_port() -> None:
    api = an_api(
        a_slice(endpoint("198.18.9.2"), endpoint("198.18.9.3", ready=False)),
        a_slice(endpoint("198.18.9.1", ready=None), ports=[{"name": None, "port": 9090}]),
        a_slice(),
    )
    assert await endpoints(api) == [("198.18.9.1", 9090), ("198.18.9.2", 8080)]
    asked = [query for query in api.queries if query]
    assert asked == [{"labelSelector": "kubernetes.io/service-name=fraud-v2", "limit": "100"}]


async def test_the_port_is_resolved_by_its_name() -> None:
    named = service({"name": "grpc", "port": 8001}, {"name": "http", "port": 80}, {"name": "metrics", "port": 8002})
    ports = [{"name": "metrics", "port": 9002}, {"name": "http", "port": 9000}, {"name": "grpc", "port": 9001}]
    api = an_api(a_slice(endpoint("198.18.9.1"), ports=ports), of=named)
    assert await endpoints(api) == [("198.18.9.1", 9000)]
    assert await endpoints(api, BackendRef(name="fraud-v2", port=8001)) == [("198.18.9.1", 9001)]


async def test_ipv4_is_preferred_where_a_service_has_both() -> None:
    six = a_slice(endpoint("2001:db8::7"), address_type="IPv6")
    assert await endpoints(an_api(six, a_slice(endpoint("198.18.9.1")))) == [("198.18.9.1", 8080)]
    assert await endpoints(an_api(six)) == [("2001:db8::7", 8080)]
    assert Endpoint("2001:db8::7", 8080).authority == "[2001:db8::7]:8080"


@pytest.mark.parametrize("ports", [[], [{"name": "other", "port": 8080}], [{"name": ""}]])
async def test_a_slice_without_the_port_has_no_endpoint(ports: list[Raw]) -> None:
    assert await endpoints(an_api(a_slice(endpoint("198.18.9.1"), ports=ports))) == []


async def test_an_external_name_is_refused_whatever_slices_it_has_left() -> None:
    api = an_api(a_slice(endpoint("198.18.9.1")), of=service(type="ExternalName", externalName="other.team.svc"))
    assert "is of type ExternalName" in await refusal(api)


@pytest.mark.parametrize(
    ("backend", "words"),
    [
        (BackendRef(name="pool", kind="InferencePool", group="inference.networking.k8s.io"), "use a job test"),
        (BackendRef(name="fraud-v2", port=81), "has no TCP port 81"),
        (BackendRef(name="fraud-v2", port=53), "has no TCP port 53"),
        (BackendRef(name="none", port=80), "Service none does not exist"),
    ],
)
async def test_what_is_no_service_with_this_port_is_refused(backend: BackendRef, words: str) -> None:
    api = an_api(of=service({"port": 80}, {"port": 53, "protocol": "UDP", "name": "dns"}))
    assert words in await refusal(api, backend)


@pytest.mark.parametrize(
    ("address", "what"),
    [
        ("127.0.0.1", "loopback"),
        ("127.8.8.8", "loopback"),
        ("::1", "loopback"),
        ("::ffff:127.0.0.1", "loopback"),
        ("64:ff9b::7f00:1", "loopback"),
        ("0.0.0.0", "unspecified"),  # noqa: S104 - nothing is bound to it
        ("::", "unspecified"),
        ("224.0.0.1", "multicast"),
        ("169.254.169.254", "link-local"),
        ("169.254.170.2", "link-local"),
        ("fe80::1", "link-local"),
        ("::ffff:169.254.169.254", "link-local"),
        ("64:ff9b::a9fe:a9fe", "link-local"),
        ("2002:a9fe:a9fe::", "link-local"),
        ("fd00:ec2::254", "metadata"),
        ("fd20:ce::254", "metadata"),
        ("100.100.100.200", "metadata"),
        ("168.63.129.16", "metadata"),
        ("192.0.0.192", "metadata"),
        (API_HOST, "API server"),
        ("fd00::1", "API server"),
        ("192.0.2.10", "API server"),
        ("192.0.2.11", "API server"),
        ("::ffff:192.0.2.10", "API server"),
        ("metadata.google.internal", "not an IP address"),
    ],
)
async def test_a_service_with_an_address_that_no_backend_has_is_refused(address: str, what: str) -> None:
    own = a_slice(endpoint("198.18.9.1"))
    kind = "IPv6" if ":" in address else "IPv4"
    other = a_slice(endpoint(address, ready=False), address_type=kind, ports=[])
    message = await refusal(an_api(own, other))
    assert what in message
    assert f"Service fraud-v2 has the endpoint {address}" in message


async def test_the_api_servers_host_name_is_resolved() -> None:
    api = an_api(a_slice(endpoint("198.18.9.1")))
    del api.objects[API_SERVICE]
    assert await endpoints(api, host="localhost") == [("198.18.9.1", 8080)]
    with pytest.raises(TransientError, match="cannot be resolved"):
        await endpoints(api, host="no-such-host.invalid")


async def test_an_api_server_that_does_not_publish_itself_is_known_by_its_host() -> None:
    api = an_api(a_slice(endpoint(API_HOST)))
    del api.objects[API_SLICE]
    assert "an address of the API server" in await refusal(api)


@pytest.mark.parametrize("before", [0, 1, 2, 3])
async def test_what_may_not_be_read_is_an_error(before: int) -> None:
    api = an_api(a_slice(endpoint("198.18.9.1")))
    api.before.extend([*[None] * before, RefusedError("forbidden")])
    with pytest.raises(RefusedError):
        await endpoints(api)


async def test_an_unreadable_slice_is_an_error() -> None:
    with pytest.raises(TransientError, match="addressType"):
        await endpoints(an_api({"metadata": metadata("odd"), "endpoints": []}))


async def test_slices_that_are_gone_are_an_error() -> None:
    api = an_api()
    del api.objects[SLICES]
    with pytest.raises(NotFoundError):
        await endpoints(api)
