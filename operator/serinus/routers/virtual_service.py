"""Sets the weights of one HTTP route of an Istio VirtualService, by host or by subset."""

import json
from collections.abc import Mapping
from typing import Any, Final

from msgspec import field

from serinus.api.names import VIRTUAL_SERVICE
from serinus.api.route import RouteKind
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.traffic.capabilities import RouterCapabilities
from serinus.engine.rollout.traffic.facts import BackendKey, ParentFacts, RouteEntry
from serinus.kube.client import Raw as RawObject
from serinus.kube.kinds import Source
from serinus.kube.raw import Condition, Metadata, Raw, read_whole
from serinus.kube.routes import controller_of, last_writer
from serinus.ports.cluster_state import RouteRecord, RouteRule, VirtualServiceRecord
from serinus.routers.patching import Operation, PatchingRouter, list_patch

_ALL: Final = 100
_SERVICE_DOMAIN: Final = ".svc."
_RECONCILED: Final = "Reconciled"


class Port(Raw, frozen=True, kw_only=True):
    """The port of a destination."""

    number: int | None = None


class Destination(Raw, frozen=True, kw_only=True):
    """A host of the mesh, and of that a subset that a DestinationRule names."""

    host: str
    subset: str = ""
    port: Port = field(default_factory=Port)

    def key(self, namespace: str) -> BackendKey:
        """Return the backend that it is, given the namespace of the VirtualService.

        Istio reads a host without a dot as a Service of the VirtualService's own namespace, and no other short form
        (pkg/config/host: ResolveShortnameToFQDN). A host that is not a Service of the namespace is never a version's:
        its name gets a slash, which no object name contains.
        """
        name, _, rest = self.host.partition(".")
        own = not rest or rest.startswith(f"{namespace}{_SERVICE_DOMAIN}")
        return BackendKey("", "Service", name if own else f"/{self.host}", self.port.number, self.subset)


class WeightedDestination(Raw, frozen=True, kw_only=True):
    """One destination of an HTTP route; ``headers`` are its own operations on headers."""

    destination: Destination
    weight: int = 0
    headers: dict[str, Any] = field(default_factory=dict)


class HttpRoute(Raw, frozen=True, kw_only=True):
    """One HTTP route; one that redirects or delegates has no destinations."""

    name: str = ""
    route: tuple[WeightedDestination, ...] = ()

    def entries(self, namespace: str) -> tuple[RouteEntry, ...]:
        """Return its destinations; the only one of a route gets all requests, whatever its weight."""
        alone = len(self.route) == 1
        return tuple(
            RouteEntry(
                one.destination.key(namespace),
                one.weight or (_ALL if alone else 0),
                _canonical(one.headers) if one.headers else "",
            )
            for one in self.route
        )


class Spec(Raw, frozen=True, kw_only=True):
    """The spec of a VirtualService; its TCP and TLS routes are not read."""

    http: tuple[HttpRoute, ...] = ()


class Finding(Raw, frozen=True, kw_only=True):
    """What Istio's analysis of the configuration found."""

    level: str | int = ""
    documentation_url: str = ""


class Status(Raw, frozen=True, kw_only=True):
    """The status, which only an Istio with status or analysis switched on writes."""

    # An int64 in Istio's types, which JSON may write as text.
    observed_generation: int | str = 0
    conditions: tuple[Condition, ...] = ()
    validation_messages: tuple[Finding, ...] = ()


class VirtualService(Raw, frozen=True, kw_only=True):
    """The parts of a VirtualService that are read."""

    metadata: Metadata
    spec: Spec
    status: Status = field(default_factory=Status)


def virtual_service_record(raw: Mapping[str, Any]) -> VirtualServiceRecord:
    """Return the record of a VirtualService; InvalidObjectError if malformed."""
    service = read_whole(VirtualService, raw)
    metadata = service.metadata
    return VirtualServiceRecord(
        meta=metadata.meta,
        generation=metadata.generation,
        rules=tuple(RouteRule(route.name, route.entries(metadata.namespace)) for route in service.spec.http),
        parents=_parents(service.status),
        owner=controller_of(metadata),
        written_by=last_writer(metadata, "http"),
    )


def _parents(status: Status) -> tuple[ParentFacts, ...]:
    """Return what Istio says of it; nothing where it says nothing, as it does by default."""
    reconciled = next((one for one in status.conditions if one.type == _RECONCILED), None)
    errors = [one.documentation_url for one in status.validation_messages if str(one.level) in {"ERROR", "3"}]
    if reconciled is None and not errors:
        return ()
    seen = str(status.observed_generation)
    generation = int(seen) if seen.isdecimal() else 0
    message = "; ".join(filter(None, errors)) or (reconciled.message if reconciled is not None else "")
    carried = not errors and (reconciled is None or reconciled.status != "False")
    return (ParentFacts("Istio", accepted=carried, observed_generation=generation, message="" if carried else message),)


class VirtualServiceRouter(PatchingRouter):
    """Implements the port ``TrafficRouter`` for VirtualServices."""

    kind = RouteKind.VIRTUAL_SERVICE
    source = Source(kind=VIRTUAL_SERVICE, record=VirtualServiceRecord, parse=virtual_service_record)
    can = RouterCapabilities(subsets=True, services_only=True, acceptance=False)

    @classmethod
    def patch(cls, route: RouteRecord, action: SetWeights) -> list[Operation]:
        """Return the patch of the destinations of the HTTP route."""
        return list_patch(route, action, cls.can, ("/spec/http", "route"), _destination)


def _destination(entry: RouteEntry) -> RawObject:
    port = {} if entry.key.port is None else {"port": {"number": entry.key.port}}
    subset = {"subset": entry.key.subset} if entry.key.subset else {}
    headers = {"headers": json.loads(entry.filters)} if entry.filters else {}
    return {"destination": {"host": entry.key.name, **subset, **port}, "weight": entry.weight, **headers}


def _canonical(headers: Mapping[str, Any]) -> str:
    return json.dumps(headers, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
