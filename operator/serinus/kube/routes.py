"""Parses raw HTTPRoutes into records: the backends of each rule and the status of each parent."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import field

from serinus.api.names import GROUP
from serinus.engine.rollout.observation import BackendKey, ParentFacts, RouteEntry
from serinus.kube.raw import Condition, Metadata, Raw, read_whole
from serinus.ports.cluster_state import RouteRecord, RouteRule

_GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
_REQUIRED: Final = ("Accepted", "ResolvedRefs")
_PARTIALLY_INVALID: Final = "PartiallyInvalid"


class BackendReference(Raw, frozen=True, kw_only=True):
    """One backendRef; unset fields have the defaults of the Gateway API: a core Service with weight 1."""

    name: str
    namespace: str = ""
    group: str = ""
    kind: str = "Service"
    port: int | None = None
    weight: int = 1

    def entry(self, namespace: str) -> RouteEntry:
        """Return the engine's entry for it, given the route's namespace.

        A backend of another namespace is never a version's: its name gets a slash, which no object name contains.
        """
        foreign = self.namespace not in {"", namespace}
        name = f"{self.namespace}/{self.name}" if foreign else self.name
        return RouteEntry(BackendKey(self.group, self.kind, name, self.port), self.weight)


class Rule(Raw, frozen=True, kw_only=True):
    """One rule of an HTTPRoute."""

    name: str = ""
    backend_refs: tuple[BackendReference, ...] = ()


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
    """The spec of an HTTPRoute."""

    parent_refs: tuple[ParentReference, ...] = ()
    rules: tuple[Rule, ...] = ()


class ParentStatus(Raw, frozen=True, kw_only=True):
    """The status that one controller reports for one parentRef."""

    parent_ref: ParentReference
    conditions: tuple[Condition, ...] = ()


class Status(Raw, frozen=True, kw_only=True):
    """The status of an HTTPRoute."""

    parents: tuple[ParentStatus, ...] = ()


class HttpRoute(Raw, frozen=True, kw_only=True):
    """The parts of an HTTPRoute that are read."""

    metadata: Metadata
    spec: Spec
    status: Status = field(default_factory=Status)


def route_record(raw: Mapping[str, Any]) -> RouteRecord:
    """Return the record of an HTTPRoute; InvalidObjectError if malformed."""
    route = read_whole(HttpRoute, raw)
    namespace = route.metadata.namespace
    return RouteRecord(
        meta=route.metadata.meta,
        generation=route.metadata.generation,
        rules=tuple(
            RouteRule(rule.name, tuple(ref.entry(namespace) for ref in rule.backend_refs)) for rule in route.spec.rules
        ),
        parents=tuple(_parent(ref, route.status.parents, namespace) for ref in route.spec.parent_refs),
        owner=_owner(route.metadata),
        written_by=_last_writer(route.metadata),
    )


def _parent(ref: ParentReference, statuses: Iterable[ParentStatus], namespace: str) -> ParentFacts:
    name = ref.label(namespace)
    matching = [status for status in statuses if status.parent_ref.identity(namespace) == ref.identity(namespace)]
    reported = [_facts(name, status.conditions) for status in matching]
    # A removed controller may have left its status behind: the newest generation counts, a rejection first.
    silent = ParentFacts(name, accepted=False, observed_generation=0, message="no controller has said anything yet")
    return max(reported, key=lambda facts: (facts.observed_generation, not facts.accepted), default=silent)


def _facts(name: str, conditions: Iterable[Condition]) -> ParentFacts:
    by_type = {condition.type: condition for condition in conditions}
    rejections = [by_type[kind] for kind in _REQUIRED if kind in by_type and by_type[kind].status == "False"]
    rejections += [
        by_type[kind] for kind in (_PARTIALLY_INVALID,) if kind in by_type and by_type[kind].status == "True"
    ]
    if rejections:
        observed = max(condition.observed_generation for condition in rejections)
        message = "; ".join(f"{condition.reason}: {condition.message}" for condition in rejections)
        return ParentFacts(name, accepted=False, observed_generation=observed, message=message)
    missing = [kind for kind in _REQUIRED if kind not in by_type or by_type[kind].status != "True"]
    if missing:
        message = f"its controller has not said {' and '.join(missing)} yet"
        return ParentFacts(name, accepted=False, observed_generation=0, message=message)
    observed = min(by_type[kind].observed_generation for kind in _REQUIRED)
    return ParentFacts(name, accepted=True, observed_generation=observed)


def _owner(metadata: Metadata) -> str:
    foreign = (
        f"{owner.kind}/{owner.name}"
        for owner in metadata.owner_references
        if owner.controller and owner.api_version.partition("/")[0] != GROUP
    )
    return next(foreign, "")


def _last_writer(metadata: Metadata) -> str:
    writes = [
        entry
        for entry in metadata.managed_fields
        if not entry.subresource and "f:rules" in (entry.fields_v1.get("f:spec") or {})
    ]
    return max(writes, key=lambda entry: entry.time.timestamp() if entry.time else 0.0).manager if writes else ""
