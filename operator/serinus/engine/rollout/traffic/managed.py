"""A route that the operator makes: what it has of its template, compared by meaning and not by spelling."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple

from serinus.api.names import FIELD_MANAGER
from serinus.api.route import RuleId
from serinus.api.route_template import MANAGED_BY, HttpRouteMatch, HttpRouteTemplate, ParentRef
from serinus.engine.rollout.traffic.facts import RouteProblem
from serinus.engine.rollout.waiting import WaitReason


class ParentKey(NamedTuple):
    """A parentRef with the defaults of the Gateway API filled in."""

    group: str
    kind: str
    namespace: str
    name: str
    section: str
    port: int


class ValueMatch(NamedTuple):
    """The match of a header, whose name is in small letters, or of a query parameter."""

    type: str
    name: str
    value: str


class MatchKey(NamedTuple):
    """One entry of a rule's matches with the defaults of the Gateway API filled in; ``method`` empty for any."""

    path_type: str
    path: str
    method: str
    headers: frozenset[ValueMatch]
    query_params: frozenset[ValueMatch]


class ShapePart(StrEnum):
    """The parts of a route that a template sets."""

    PARENTS = "parentRefs"
    HOSTNAMES = "hostnames"
    RULES = "rules"
    MATCHES = "matches"
    LABELS = "labels"
    ANNOTATIONS = "annotations"


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteShape:
    """What of a route a template sets: the order of none of it has a meaning.

    Attributes:
        parents: its parentRefs.
        hostnames: its hostnames.
        matches: those of each of its rules.
        labels: its labels.
        annotations: its annotations.
        writers: by part, the field manager that wrote it last; a part is absent where that is not known.
    """

    parents: frozenset[ParentKey]
    hostnames: frozenset[str]
    matches: tuple[frozenset[MatchKey], ...]
    labels: frozenset[tuple[str, str]]
    annotations: frozenset[tuple[str, str]]
    writers: Mapping[ShapePart, str] = field(default_factory=dict)

    def writer_of(self, parts: Iterable[ShapePart]) -> str:
        """Return who wrote the first of these parts whose writer is known; empty where none is."""
        return next((self.writers[part] for part in parts if part in self.writers), "")


ANY_REQUEST: Final = MatchKey("PathPrefix", "/", "", frozenset(), frozenset())
"""What a rule without matches fits."""


def shape_of(template: HttpRouteTemplate, namespace: str) -> RouteShape:
    """Return what a route of this namespace should have of its template."""
    return RouteShape(
        parents=frozenset(_parent(parent, namespace) for parent in template.parent_refs),
        hostnames=frozenset(template.hostnames),
        matches=(frozenset(_match(match) for match in template.matches) or frozenset({ANY_REQUEST}),),
        labels=frozenset((template.labels | {MANAGED_BY: FIELD_MANAGER}).items()),
        annotations=frozenset(template.annotations.items()),
    )


def _parent(parent: ParentRef, namespace: str) -> ParentKey:
    where = parent.namespace or namespace
    return ParentKey(parent.group, parent.kind, where, parent.name, parent.section_name or "", parent.port or 0)


def _match(match: HttpRouteMatch) -> MatchKey:
    path = match.path
    return MatchKey(
        path.type.value if path is not None else ANY_REQUEST.path_type,
        path.value if path is not None else ANY_REQUEST.path,
        match.method.value if match.method is not None else "",
        frozenset(ValueMatch(one.type.value, one.name.lower(), one.value) for one in match.headers),
        frozenset(ValueMatch(one.type.value, one.name, one.value) for one in match.query_params),
    )


def differences(wanted: RouteShape, found: RouteShape) -> tuple[ShapePart, ...]:
    """Return which parts of a route are not as wanted; labels and annotations of others are no difference."""
    one_rule = len(found.matches) == len(wanted.matches)
    differs = {
        ShapePart.PARENTS: wanted.parents != found.parents,
        ShapePart.HOSTNAMES: wanted.hostnames != found.hostnames,
        ShapePart.RULES: not one_rule,
        ShapePart.MATCHES: one_rule and wanted.matches != found.matches,
        ShapePart.LABELS: not wanted.labels <= found.labels,
        ShapePart.ANNOTATIONS: not wanted.annotations <= found.annotations,
    }
    return tuple(part for part, true in differs.items() if true)


class ManagedState(StrEnum):
    """Whether a managed route exists, and whether the operator has made it for this Rollout."""

    MISSING = "Missing"
    FOREIGN = "Foreign"
    OURS = "Ours"


@dataclass(frozen=True, slots=True, kw_only=True)
class ManagedRoute:
    """What is known of a managed route.

    Attributes:
        route: its name.
        state: whether it exists, and whose it is.
        differs: what of it is not as its template says.
        written_by: the field manager that wrote that last; empty where that is not known.
    """

    route: RuleId
    state: ManagedState
    differs: tuple[ShapePart, ...] = ()
    written_by: str = ""


def not_managed(route: RuleId) -> RouteProblem:
    """Return why a route that exists is not changed although the Rollout wants a managed one."""
    return RouteProblem(
        WaitReason.ROUTE_NOT_MANAGED,
        f"{route.kind.value} {route.name} exists, and the operator has not made it for this Rollout: it is left as it "
        f"is. Delete it, so that it is made anew, or write another name in {route.kind.path}.name.",
    )


def missing(route: RuleId) -> RouteProblem:
    """Return that a managed route does not exist yet, or not any more."""
    message = f"{route.kind.value} {route.name} does not exist: the operator makes it of {route.kind.path}.template."
    return RouteProblem(WaitReason.ROUTE_MISSING, message)
