"""Parses the routes of the Gateway API into records: the backends of each rule and the status of each parent."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

from msgspec import field

from serinus.api.names import FIELD_MANAGER, GROUP, ROLLOUT
from serinus.api.quantities import WEIGHT_SCALE
from serinus.api.route_template import MANAGED_BY
from serinus.engine.rollout.traffic.facts import BackendKey, Mirror, ParentFacts, RouteEntry
from serinus.engine.rollout.traffic.managed import (
    ANY_REQUEST,
    MatchKey,
    ParentKey,
    RouteShape,
    ShapePart,
    ValueMatch,
)
from serinus.kube.raw import Condition, Metadata, Raw, read_whole
from serinus.ports.cluster_state import GrpcRouteRecord, HttpRouteRecord, RouteRecord, RouteRule

_GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
_ACCEPTED: Final = "Accepted"
_REQUIRED: Final = (_ACCEPTED, "ResolvedRefs")
_PARTIALLY_INVALID: Final = "PartiallyInvalid"


class BackendReference(Raw, frozen=True, kw_only=True):
    """One backendRef; unset fields have the defaults of the Gateway API: a core Service with weight 1."""

    name: str
    namespace: str = ""
    group: str = ""
    kind: str = "Service"
    port: int | None = None
    weight: int = 1
    filters: tuple[dict[str, Any], ...] = ()

    def entry(self, namespace: str) -> RouteEntry:
        """Return the engine's entry for it, given the route's namespace.

        A backend of another namespace is never a version's: its name gets a slash, which no object name contains.
        """
        foreign = self.namespace not in {"", namespace}
        name = f"{self.namespace}/{self.name}" if foreign else self.name
        return RouteEntry(BackendKey(self.group, self.kind, name, self.port), self.weight, filters_text(self.filters))


def filters_text(filters: Iterable[Mapping[str, Any]]) -> str:
    """Return the filters of a backendRef as canonical JSON; empty where it has none."""
    listed = list(filters)
    return json.dumps(listed, sort_keys=True, separators=(",", ":"), ensure_ascii=False) if listed else ""


class Fraction(Raw, frozen=True, kw_only=True):
    """A part of the requests."""

    numerator: int
    denominator: int = 100


class RequestMirror(Raw, frozen=True, kw_only=True):
    """Where copies of requests go, and of how many: of all where neither is given."""

    backend_ref: BackendReference
    percent: int | None = None
    fraction: Fraction | None = None

    def mirror(self, namespace: str) -> Mirror:
        """Return the engine's value for it, given the route's namespace."""
        ratio = 1.0
        if self.percent is not None:
            ratio = self.percent / 100
        elif self.fraction is not None:
            ratio = self.fraction.numerator / max(1, self.fraction.denominator)
        return Mirror(self.backend_ref.entry(namespace).key, round(ratio * WEIGHT_SCALE))


class RuleFilter(Raw, frozen=True, kw_only=True):
    """One filter of a rule; only mirrors are read."""

    request_mirror: RequestMirror | None = None


class Rule(Raw, frozen=True, kw_only=True):
    """One rule of a route."""

    name: str = ""
    backend_refs: tuple[BackendReference, ...] = ()
    matches: tuple[dict[str, Any], ...] = ()
    filters: tuple[RuleFilter, ...] = ()

    def record(self, namespace: str) -> RouteRule:
        """Return the record of it, given the route's namespace."""
        mirrors = (one.request_mirror for one in self.filters)
        return RouteRule(
            self.name,
            tuple(ref.entry(namespace) for ref in self.backend_refs),
            tuple(mirror.mirror(namespace) for mirror in mirrors if mirror is not None),
        )


class ParentReference(Raw, frozen=True, kw_only=True):
    """One parentRef."""

    name: str
    group: str = _GATEWAY_GROUP
    kind: str = "Gateway"
    namespace: str = ""
    section_name: str = ""
    port: int | None = None

    def identity(self, namespace: str) -> tuple[object, ...]:
        """Return what identifies the parent, given the route's namespace."""
        return (self.group, self.kind, self.namespace or namespace, self.name, self.section_name, self.port)

    def label(self, namespace: str) -> str:
        """Return its display name: ``namespace/name/section:port``, without the parts that are not set."""
        prefix = f"{self.namespace}/" if self.namespace not in {"", namespace} else ""
        section = f"/{self.section_name}" if self.section_name else ""
        return f"{prefix}{self.name}{section}{f':{self.port}' if self.port else ''}"


class Spec(Raw, frozen=True, kw_only=True):
    """The spec of a route."""

    parent_refs: tuple[ParentReference, ...] = ()
    hostnames: tuple[str, ...] = ()
    rules: tuple[Rule, ...] = ()


class ParentStatus(Raw, frozen=True, kw_only=True):
    """The status that one controller reports for one parentRef."""

    parent_ref: ParentReference
    controller_name: str = ""
    conditions: tuple[Condition, ...] = ()


class Status(Raw, frozen=True, kw_only=True):
    """The status of a route."""

    parents: tuple[ParentStatus, ...] = ()


class GatewayRoute(Raw, frozen=True, kw_only=True):
    """The parts that are read of an HTTPRoute or a GRPCRoute: they are the same in both."""

    metadata: Metadata
    spec: Spec
    status: Status = field(default_factory=Status)


_Route = TypeVar("_Route", bound=RouteRecord)


def http_route_record(raw: Mapping[str, Any]) -> HttpRouteRecord:
    """Return the record of an HTTPRoute; InvalidObjectError if malformed."""
    route = read_whole(GatewayRoute, raw)
    made_for = rollout_of(route.metadata)
    record = _record(HttpRouteRecord, route)
    made = made_for or route.metadata.labels.get(MANAGED_BY) == FIELD_MANAGER
    # Of the thousands of routes of others nobody asks what they match.
    return replace(record, made_for=made_for, shape=_shape(route)) if made else record


def grpc_route_record(raw: Mapping[str, Any]) -> GrpcRouteRecord:
    """Return the record of a GRPCRoute; InvalidObjectError if malformed."""
    return _record(GrpcRouteRecord, read_whole(GatewayRoute, raw))


def _record(kind: type[_Route], route: GatewayRoute) -> _Route:
    namespace = route.metadata.namespace
    return kind(
        meta=route.metadata.meta,
        generation=route.metadata.generation,
        rules=tuple(rule.record(namespace) for rule in route.spec.rules),
        parents=tuple(
            parent for ref in route.spec.parent_refs for parent in _parents(ref, route.status.parents, namespace)
        ),
        owner=controller_of(route.metadata),
        written_by=last_writer(route.metadata, "rules"),
    )


class _PathMatch(Raw, frozen=True, kw_only=True):
    """The path of a match of an HTTPRoute; the API server fills in what is not set."""

    type: str = ANY_REQUEST.path_type
    value: str = ANY_REQUEST.path


class _ValueMatch(Raw, frozen=True, kw_only=True):
    """A header or a query parameter of a match."""

    name: str
    value: str
    type: str = "Exact"


class _Match(Raw, frozen=True, kw_only=True):
    """One entry of the matches of an HTTPRoute; fields of later releases of the Gateway API are not read."""

    path: _PathMatch = field(default_factory=_PathMatch)
    method: str = ""
    headers: tuple[_ValueMatch, ...] = ()
    query_params: tuple[_ValueMatch, ...] = ()

    @property
    def key(self) -> MatchKey:
        return MatchKey(
            self.path.type,
            self.path.value,
            self.method,
            frozenset(ValueMatch(one.type, one.name.lower(), one.value) for one in self.headers),
            frozenset(ValueMatch(one.type, one.name, one.value) for one in self.query_params),
        )


def _shape(route: GatewayRoute) -> RouteShape:
    """Return what a template would set of an HTTPRoute; InvalidObjectError if malformed."""
    namespace = route.metadata.namespace
    return RouteShape(
        parents=frozenset(
            ParentKey(one.group, one.kind, one.namespace or namespace, one.name, one.section_name, one.port or 0)
            for one in route.spec.parent_refs
        ),
        hostnames=frozenset(route.spec.hostnames),
        matches=tuple(
            frozenset(read_whole(_Match, match).key for match in rule.matches) or frozenset({ANY_REQUEST})
            for rule in route.spec.rules
        ),
        labels=frozenset(route.metadata.labels.items()),
        annotations=frozenset(route.metadata.annotations.items()),
        writers={part: who for part, place in _WRITTEN_IN.items() if (who := _writer_in(route.metadata, *place))},
    )


_WRITTEN_IN: Final = {
    ShapePart.PARENTS: ("spec", "parentRefs"),
    ShapePart.HOSTNAMES: ("spec", "hostnames"),
    ShapePart.RULES: ("spec", "rules"),
    ShapePart.MATCHES: ("spec", "rules"),
    ShapePart.LABELS: ("metadata", "labels"),
    ShapePart.ANNOTATIONS: ("metadata", "annotations"),
}


def _parents(ref: ParentReference, statuses: Iterable[ParentStatus], namespace: str) -> tuple[ParentFacts, ...]:
    """Return what each controller reports of one parentRef: every one that reports must agree.

    Two controllers on one Gateway are a misconfiguration or a migration. Which of them carries the traffic cannot be
    told from the route, so the one that lags is named rather than ignored.
    """
    name = ref.label(namespace)
    reports = [report for report in statuses if report.parent_ref.identity(namespace) == ref.identity(namespace)]
    if not reports:
        return (ParentFacts(name, accepted=False, observed_generation=0, message="no controller has reported yet"),)
    several = len(reports) > 1
    return tuple(
        _facts(f"{name} of {report.controller_name}" if several else name, report.conditions) for report in reports
    )


def _facts(name: str, conditions: Iterable[Condition]) -> ParentFacts:
    """Return one controller's report; it is as old as the oldest condition that it rests on."""
    by_type = {condition.type: condition for condition in conditions}
    accepted = by_type.get(_ACCEPTED)
    if accepted is not None and accepted.status == "False":
        message = f"{accepted.reason}: {accepted.message}"
        return ParentFacts(name, accepted=False, observed_generation=accepted.observed_generation, message=message)
    missing = [kind for kind in _REQUIRED if kind not in by_type or by_type[kind].status not in {"True", "False"}]
    if missing:
        message = f"its controller has not set {' and '.join(missing)} yet"
        return ParentFacts(name, accepted=False, observed_generation=0, message=message)
    bad = dict.fromkeys(_REQUIRED, "False") | {_PARTIALLY_INVALID: "True"}
    problems = [by_type[kind] for kind, status in bad.items() if kind in by_type and by_type[kind].status == status]
    return ParentFacts(
        name,
        accepted=True,
        resolved=not problems,
        observed_generation=min(by_type[kind].observed_generation for kind in _REQUIRED),
        message="; ".join(f"{condition.reason}: {condition.message}" for condition in problems),
    )


def controller_of(metadata: Metadata) -> str:
    """Return the controller that owns an object, as ``Kind/name``; empty where none but this operator does."""
    foreign = (
        f"{owner.kind}/{owner.name}"
        for owner in metadata.owner_references
        if owner.controller and owner.api_version.partition("/")[0] != GROUP
    )
    return next(foreign, "")


def rollout_of(metadata: Metadata) -> str:
    """Return the uid of the Rollout that controls an object; empty where none does."""
    owners = (one for one in metadata.owner_references if one.controller and one.kind == ROLLOUT.kind)
    return next((one.uid for one in owners if one.api_version.partition("/")[0] == GROUP), "")


def last_writer(metadata: Metadata, *members: str) -> str:
    """Return the field manager that wrote one of these members of the spec last; empty where that is not known."""
    return _writer_in(metadata, "spec", *members)


def _writer_in(metadata: Metadata, top: str, *members: str) -> str:
    wanted = {f"f:{member}" for member in members}
    writes = [
        entry
        for entry in metadata.managed_fields
        if not entry.subresource and wanted & (entry.fields_v1.get(f"f:{top}") or {}).keys()
    ]
    return max(writes, key=lambda entry: entry.time.timestamp() if entry.time else 0.0).manager if writes else ""
