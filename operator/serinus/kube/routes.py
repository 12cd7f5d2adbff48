"""Raw HTTPRoutes to records: which backends each rule has, and what each parent says of them."""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from msgspec import field

from serinus.api.names import GROUP
from serinus.engine.rollout.observation import BackendKey, ParentFacts, RouteEntry
from serinus.kube.raw import Condition, Metadata, Raw, read_whole
from serinus.ports.cluster_state import RouteRecord, RouteRule

_GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
_NEEDED: Final = ("Accepted", "ResolvedRefs")
_FALLS_BACK: Final = "PartiallyInvalid"


class BackendReference(Raw, frozen=True, kw_only=True):
    """One backendRef; what is unset has the Gateway API's own defaults: a core Service with weight 1."""

    name: str
    namespace: str = ""
    group: str = ""
    kind: str = "Service"
    port: int | None = None
    weight: int = 1

    def entry(self, namespace: str) -> RouteEntry:
        """It as the engine sees it, from the route's namespace.

        A backend of another namespace is never ours: its name says so in a form that no object's name can have.
        """
        foreign = self.namespace not in {"", namespace}
        name = f"{self.namespace}/{self.name}" if foreign else self.name
        return RouteEntry(BackendKey(self.group, self.kind, name, self.port), self.weight)


class Rule(Raw, frozen=True, kw_only=True):
    """One rule."""

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
        """What makes it this parent, seen from the route's namespace."""
        return (self.group, self.kind, self.namespace or namespace, self.name, self.section_name, self.port)

    def label(self, namespace: str) -> str:
        """Its name for people: ``namespace/name/section:port``, without what is not set."""
        space = f"{self.namespace}/" if self.namespace not in {"", namespace} else ""
        section = f"/{self.section_name}" if self.section_name else ""
        return f"{space}{self.name}{section}{f':{self.port}' if self.port else ''}"


class Spec(Raw, frozen=True, kw_only=True):
    """The route as it is wished."""

    parent_refs: tuple[ParentReference, ...] = ()
    rules: tuple[Rule, ...] = ()


class ParentStatus(Raw, frozen=True, kw_only=True):
    """What one controller says for one parentRef."""

    parent_ref: ParentReference
    conditions: tuple[Condition, ...] = ()


class Status(Raw, frozen=True, kw_only=True):
    """What the controllers say."""

    parents: tuple[ParentStatus, ...] = ()


class HttpRoute(Raw, frozen=True, kw_only=True):
    """The parts of an HTTPRoute that are read here."""

    metadata: Metadata
    spec: Spec
    status: Status = field(default_factory=Status)


def route_record(raw: Mapping[str, Any]) -> RouteRecord:
    """Return an HTTPRoute; InvalidObjectError where it has another form."""
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


def _parent(ref: ParentReference, said: Iterable[ParentStatus], namespace: str) -> ParentFacts:
    name = ref.label(namespace)
    matching = [one for one in said if one.parent_ref.identity(namespace) == ref.identity(namespace)]
    found = [_facts(name, one.conditions) for one in matching]
    # A controller that is gone may have left its words behind: the newest count, a refusal first.
    silent = ParentFacts(name, accepted=False, observed_generation=0, message="no controller has said anything yet")
    return max(found, key=lambda facts: (facts.observed_generation, not facts.accepted), default=silent)


def _facts(name: str, conditions: Iterable[Condition]) -> ParentFacts:
    said = {condition.type: condition for condition in conditions}
    against = [said[kind] for kind in _NEEDED if kind in said and said[kind].status == "False"]
    against += [said[kind] for kind in (_FALLS_BACK,) if kind in said and said[kind].status == "True"]
    if against:
        seen = max(condition.observed_generation for condition in against)
        message = "; ".join(f"{condition.reason}: {condition.message}" for condition in against)
        return ParentFacts(name, accepted=False, observed_generation=seen, message=message)
    missing = [kind for kind in _NEEDED if kind not in said or said[kind].status != "True"]
    if missing:
        message = f"its controller has not said {' and '.join(missing)} yet"
        return ParentFacts(name, accepted=False, observed_generation=0, message=message)
    seen = min(said[kind].observed_generation for kind in _NEEDED)
    return ParentFacts(name, accepted=True, observed_generation=seen)


def _owner(metadata: Metadata) -> str:
    foreign = (
        f"{owner.kind}/{owner.name}"
        for owner in metadata.owner_references
        if owner.controller and owner.api_version.partition("/")[0] != GROUP
    )
    return next(foreign, "")


def _last_writer(metadata: Metadata) -> str:
    wrote = [
        entry
        for entry in metadata.managed_fields
        if not entry.subresource and "f:rules" in (entry.fields_v1.get("f:spec") or {})
    ]
    return max(wrote, key=lambda entry: entry.time.timestamp() if entry.time else 0.0).manager if wrote else ""
