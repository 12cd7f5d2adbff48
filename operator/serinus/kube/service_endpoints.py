"""Where an HTTP test is sent: the ready endpoints of the candidate's own Service, by address.

A tenant writes the Service, and so would control the operator's requests (SSRF) if its name were resolved: a Service of
type ExternalName is a name of anything. So the addresses come from the EndpointSlices, from which the gateway sends its
requests too, and those that a backend never has are refused. No rights but the operator's own are of use to the tenant:
whoever may write EndpointSlices has the gateway send to the same addresses.
"""

import asyncio
import socket
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any, Final, TypeVar

from msgspec import field

from serinus.addresses import effective_address
from serinus.api.modelversion import BackendRef
from serinus.api.names import ENDPOINT_SLICE, SERVICE, ObjectKey
from serinus.errors import InvalidObjectError, NotFoundError, TransientError
from serinus.kube.client import Requests
from serinus.kube.kinds import collection_path, object_path
from serinus.kube.raw import Raw, read_whole

SERVICE_LABEL: Final = "kubernetes.io/service-name"
API_SERVER: Final = ObjectKey("default", "kubernetes")
"""The Service and the EndpointSlice in which the API server publishes its own addresses."""

_EXTERNAL_NAME: Final = "ExternalName"
_MOST_SLICES: Final = "100"
# What a cloud's virtual machines ask for their credentials, where it is not link-local.
_METADATA: Final = tuple(
    ip_network(network)
    for network in (
        "100.100.100.200/32",  # Alibaba Cloud
        "168.63.129.16/32",  # Azure
        "192.0.0.192/32",  # Oracle Cloud
        "fd00:ec2::/32",  # AWS, with what serves EKS Pod Identity
        "fd20:ce::254/128",  # Google Cloud
    )
)


T = TypeVar("T", bound=Raw)


class UnusableBackendError(Exception):
    """No request may be sent to this backend, or none can; the message says why. A retry cannot succeed."""


@dataclass(frozen=True, slots=True, order=True)
class Endpoint:
    """One ready endpoint: an IP address and the port of the container."""

    address: str
    port: int

    @property
    def authority(self) -> str:
        """Return ``address:port`` as in a URL."""
        return f"[{self.address}]:{self.port}" if ":" in self.address else f"{self.address}:{self.port}"


class _ServicePort(Raw, frozen=True, kw_only=True):
    port: int
    name: str = ""
    protocol: str = "TCP"


class _ServiceSpec(Raw, frozen=True, kw_only=True):
    type: str = "ClusterIP"
    ports: tuple[_ServicePort, ...] = ()
    cluster_ips: tuple[str, ...] = field(name="clusterIPs", default=())


class _Service(Raw, frozen=True, kw_only=True):
    spec: _ServiceSpec


class _Conditions(Raw, frozen=True, kw_only=True):
    ready: bool | None = None


class _Endpoint(Raw, frozen=True, kw_only=True):
    addresses: tuple[str, ...]
    conditions: _Conditions = field(default_factory=_Conditions)


class _Port(Raw, frozen=True, kw_only=True):
    name: str | None = None
    port: int | None = None


class _Slice(Raw, frozen=True, kw_only=True):
    address_type: str
    # The API server sends null where a slice is empty.
    endpoints: tuple[_Endpoint, ...] | None = None
    ports: tuple[_Port, ...] | None = None


class ServiceEndpoints:
    """Reads the endpoints of Services from the Kubernetes API at the moment of a request."""

    def __init__(self, client: Requests, api_host: str) -> None:
        """Read with this client, whose API server has this host name or address."""
        self._client = client
        self._api_host = api_host

    async def of(self, namespace: str, backend: BackendRef) -> Sequence[Endpoint]:
        """Return the ready endpoints of a Service; none where none is ready.

        Raises:
            UnusableBackendError: it is not a Service with this port, or has an address that no request may go to.
            RefusedError: the service account may not read Services or EndpointSlices.
            TransientError: they cannot be read now.
        """
        if (backend.group, backend.kind) != ("", "Service") or backend.port is None:
            raise UnusableBackendError(f"{backend.kind} {backend.name} is not a Service with a port: use a job test")
        if backend.subset:
            # The endpoints of the Service are those of every subset: another version's could answer.
            raise UnusableBackendError(f"the endpoints of subset {backend.subset} are not known: use a job test")
        port = await self._port(ObjectKey(namespace, backend.name), backend.port)
        slices = await self._slices(namespace, backend.name)
        addresses = {address for one in slices for endpoint in one.endpoints or () for address in endpoint.addresses}
        if addresses:
            _check(backend.name, addresses, await self._api_server())
        return sorted(_ready(slices, port))

    async def _port(self, key: ObjectKey, number: int) -> str:
        """Return the name of the Service's port, by which its EndpointSlices have the container's."""
        try:
            service = _read(_Service, await self._client.request("GET", object_path(SERVICE, key)))
        except NotFoundError as problem:
            raise UnusableBackendError(f"Service {key.name} does not exist") from problem
        if service.spec.type == _EXTERNAL_NAME:
            raise UnusableBackendError(
                f"Service {key.name} is of type ExternalName, to which no test is sent: give the candidate a Service "
                "with endpoints of its own"
            )
        for port in service.spec.ports:
            if (port.port, port.protocol) == (number, "TCP"):
                return port.name
        raise UnusableBackendError(f"Service {key.name} has no TCP port {number}")

    async def _slices(self, namespace: str, service: str) -> Sequence[_Slice]:
        query = {"labelSelector": f"{SERVICE_LABEL}={service}", "limit": _MOST_SLICES}
        answer = await self._client.request("GET", collection_path(ENDPOINT_SLICE, namespace), query=query)
        return [_read(_Slice, raw) for raw in answer.get("items") or ()]

    async def _api_server(self) -> frozenset[IPv4Address | IPv6Address]:
        """Return every address of the API server: by the host that this client uses, and by its own Service."""
        found = set(await _resolved(self._api_host))
        try:
            service = _read(_Service, await self._client.request("GET", object_path(SERVICE, API_SERVER)))
            published = _read(_Slice, await self._client.request("GET", object_path(ENDPOINT_SLICE, API_SERVER)))
        except NotFoundError:
            # An API server may be told not to publish itself (--endpoint-reconciler-type=none).
            return frozenset(map(effective_address, found))
        found |= {address for address in service.spec.cluster_ips if address != "None"}
        found |= {address for endpoint in published.endpoints or () for address in endpoint.addresses}
        return frozenset(map(effective_address, found))


async def _resolved(host: str) -> Iterable[str]:
    try:
        return [str(ip_address(host))]
    except ValueError:
        pass
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except OSError as problem:
        raise TransientError(f"the API server's host {host} cannot be resolved: {problem}") from problem
    return [str(address[0]) for *_, address in found]


def _ready(slices: Iterable[_Slice], port_name: str) -> Iterable[Endpoint]:
    """Return the ready endpoints, those with an IPv4 address if there are any: the operator may have no other."""
    found: dict[str, set[Endpoint]] = {"IPv4": set(), "IPv6": set()}
    for one in slices:
        ports = [port.port for port in one.ports or () if (port.name or "") == port_name and port.port is not None]
        ready = (endpoint for endpoint in one.endpoints or () if endpoint.conditions.ready is not False)
        if ports and one.address_type in found:
            # The addresses of one endpoint are interchangeable, and clients use the first one (its API).
            found[one.address_type] |= {Endpoint(endpoint.addresses[0], ports[0]) for endpoint in ready}
    return found["IPv4"] or found["IPv6"]


def _check(service: str, addresses: Iterable[str], api_server: frozenset[IPv4Address | IPv6Address]) -> None:
    """Raise UnusableBackendError for the first address that no backend has."""
    for text in sorted(addresses):
        try:
            what = _forbidden(effective_address(text), api_server)
        except ValueError:
            what = "not an IP address"
        if what:
            raise UnusableBackendError(
                f"Service {service} has the endpoint {text}, which is {what}: no test is sent to this Service"
            )


def _forbidden(address: IPv4Address | IPv6Address, api_server: frozenset[IPv4Address | IPv6Address]) -> str:
    if address in api_server:
        return "an address of the API server"
    if address.is_loopback or address.is_unspecified or address.is_multicast:
        return "a loopback, multicast or unspecified address"
    if address.is_link_local:
        return "a link-local address"
    if any(address in network for network in _METADATA):
        return "an address of a cloud's metadata service"
    return ""


def _read(kind: type[T], raw: Mapping[str, Any]) -> T:
    """Return the object as this type; an unreadable one is like an answer that broke off."""
    try:
        return read_whole(kind, raw)
    except InvalidObjectError as problem:
        raise TransientError(f"an object of the API server cannot be read: {problem}") from problem
