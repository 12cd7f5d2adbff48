"""The template of a route that the operator makes: parents, hostnames and matches, with the Gateway API's limits."""

import re
from enum import StrEnum
from typing import Annotated, Any, Final

from msgspec import Meta, field

from serinus.api.schema import FieldError, Model, in_python, items, matches, refuse_twins, rule, rules, text

GATEWAY_GROUP: Final = "gateway.networking.k8s.io"
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
"""The label of every route that the operator has made; its value is :data:`serinus.api.names.FIELD_MANAGER`."""

# The patterns of the Gateway API 1.3, config/crd/standard/gateway.networking.k8s.io_httproutes.yaml.
_SUBDOMAIN: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_GROUP: Final = r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*)?$"
_KIND: Final = r"^[a-zA-Z]([-a-zA-Z0-9]*[a-zA-Z0-9])?$"
_NAMESPACE: Final = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$"
_HOSTNAME: Final = r"^(\*\.)?[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$"
_HEADER: Final = r"^[A-Za-z0-9!#$%&'*+\-.^_\x60|~]+$"
_PATH: Final = r"^/([-A-Za-z0-9/._~!$&'()*+,;=:@]|%[0-9a-fA-F]{2})*$"
_NOT_IN_PATH: Final = r"//|/[.]{1,2}(/|$)|%2[fF]"
_LABEL_VALUE: Final = r"^(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?$"
_LABEL_KEY: Final = r"^([a-z0-9]([-a-z0-9.]*[a-z0-9])?/)?([A-Za-z0-9][-A-Za-z0-9_.]{0,61})?[A-Za-z0-9]$"
_LONGEST_KEY: Final = 253 + 1 + 63

_PATH_ADVICE: Final = (
    "write a path that begins with / and has no //, /./, /../ or %2f, such as /v2/models/fraud;"
    " any other needs type: RegularExpression"
)
_PATH_RULE: Final = rule(
    "has(self.type) && self.type == 'RegularExpression' || !has(self.value)"
    f" || {matches('self.value', _PATH)} && !{matches('self.value', _NOT_IN_PATH)}",
    _PATH_ADVICE,
    field=".value",
)
_TWIN_PARENT: Final = "each parent stands there once: tell two listeners of one Gateway apart by sectionName or port"
_SAME: Final = " && ".join(
    f"(has(p.{field}) ? p.{field} : {other}) == (has(q.{field}) ? q.{field} : {other})"
    for field, other in (
        ("group", f"'{GATEWAY_GROUP}'"),
        ("kind", "'Gateway'"),
        ("__namespace__", "''"),
        ("name", "''"),
        ("sectionName", "''"),
        ("port", "0"),
    )
)
_PARENTS_RULE: Final = rule(f"self.all(p, self.filter(q, {_SAME}).size() == 1)", _TWIN_PARENT)
_OWN_LABEL: Final = f"the operator sets {MANAGED_BY}: leave it out"
_LABELS_RULE: Final = rule(f"self.all(name, name != '{MANAGED_BY}')", _OWN_LABEL)


class ParentRef(Model, frozen=True, kw_only=True):
    """What carries the route: by default a Gateway in the Rollout's namespace, with all its listeners."""

    name: Annotated[str, text("The Gateway.")]
    namespace: (
        Annotated[str, text("Its namespace; the Rollout's where none is given.", most=63, pattern=_NAMESPACE)] | None
    ) = None
    section_name: (
        Annotated[str, text("The listener; all where none is given.", most=253, pattern=_SUBDOMAIN)] | None
    ) = None
    port: Annotated[int, Meta(description="The listener's port.", ge=1, le=65535)] | None = None
    group: Annotated[str, text("The group of its kind.", least=0, most=253, pattern=_GROUP)] = GATEWAY_GROUP
    kind: Annotated[str, text("Its kind.", most=63, pattern=_KIND)] = "Gateway"


class PathMatchType(StrEnum):
    """How a path is compared."""

    EXACT = "Exact"
    PATH_PREFIX = "PathPrefix"
    REGULAR_EXPRESSION = "RegularExpression"


class ValueMatchType(StrEnum):
    """How the value of a header or a query parameter is compared."""

    EXACT = "Exact"
    REGULAR_EXPRESSION = "RegularExpression"


class RouteMethod(StrEnum):
    """The methods of requests."""

    GET = "GET"
    HEAD = "HEAD"
    POST = "POST"
    PUT = "PUT"
    DELETE = "DELETE"
    CONNECT = "CONNECT"
    OPTIONS = "OPTIONS"
    TRACE = "TRACE"
    PATCH = "PATCH"


class PathMatch(Model, frozen=True, kw_only=True):
    """The path of the requests."""

    type: Annotated[PathMatchType, Meta(description="How it is compared.")] = PathMatchType.PATH_PREFIX
    value: Annotated[str, text("The path, or its beginning.", most=1024)] = "/"

    def __post_init__(self) -> None:
        """Refuse what no Gateway takes, as the CRD does."""
        if self.type is PathMatchType.REGULAR_EXPRESSION:
            return
        if not _fits(_PATH, self.value) or _found(_NOT_IN_PATH, self.value):
            raise FieldError(".value", _PATH_ADVICE)


class HeaderMatch(Model, frozen=True, kw_only=True):
    """A header of the requests."""

    name: Annotated[str, text("Its name.", most=256, pattern=_HEADER)]
    value: Annotated[str, text("Its value.", most=4096)]
    type: Annotated[ValueMatchType, Meta(description="How the value is compared.")] = ValueMatchType.EXACT


class QueryParamMatch(Model, frozen=True, kw_only=True):
    """A query parameter of the requests."""

    name: Annotated[str, text("Its name.", most=256, pattern=_HEADER)]
    value: Annotated[str, text("Its value.", most=1024)]
    type: Annotated[ValueMatchType, Meta(description="How the value is compared.")] = ValueMatchType.EXACT


class HttpRouteMatch(Model, frozen=True, kw_only=True):
    """Requests that have all of this."""

    # Meta stands on the union: msgspec drops that of a struct inside one.
    path: Annotated[
        PathMatch | None,
        Meta(description="Their path; any where none is given.", extra_json_schema=rules(_PATH_RULE)),
    ] = None
    headers: Annotated[tuple[HeaderMatch, ...], items("Their headers.", most=16, key="name")] = ()
    query_params: Annotated[tuple[QueryParamMatch, ...], items("Their query parameters.", most=16, key="name")] = ()
    method: Annotated[RouteMethod | None, Meta(description="Their method; any where none is given.")] = None

    def __post_init__(self) -> None:
        """Refuse a name that is there twice."""
        refuse_twins(".headers", (header.name for header in self.headers))
        refuse_twins(".queryParams", (param.name for param in self.query_params))


class HttpRouteTemplate(Model, frozen=True, kw_only=True):
    """What the operator makes the HTTPRoute of: one rule, to which it adds the versions' backends."""

    parent_refs: Annotated[
        tuple[ParentRef, ...],
        items("What carries the route.", least=1, most=32, **rules(_PARENTS_RULE)),
    ]
    hostnames: Annotated[
        tuple[Annotated[str, text("A hostname, or *. and a domain.", pattern=_HOSTNAME)], ...],
        items("The hostnames of the requests; those of the listeners where none is given.", most=16),
    ] = ()
    matches: Annotated[
        tuple[HttpRouteMatch, ...],
        items("The requests that go to the model: those that fit one of these; all where none is given.", most=64),
    ] = ()
    labels: Annotated[
        dict[str, Annotated[str, text("A value.", least=0, most=63, pattern=_LABEL_VALUE)]],
        Meta(description="Labels of the route.", max_length=32, extra_json_schema=rules(_LABELS_RULE)),
    ] = field(default_factory=dict)
    annotations: Annotated[
        dict[str, Annotated[str, text("A value.", least=0, most=4096)]],
        Meta(description="Annotations of the route.", max_length=32),
    ] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no API server would store in a route."""
        parents: set[tuple[Any, ...]] = set()
        for parent in self.parent_refs:
            identity = (
                *(parent.group, parent.kind, parent.namespace or "", parent.name),
                *(parent.section_name or "", parent.port or 0),
            )
            if identity in parents:
                raise FieldError(".parentRefs", _TWIN_PARENT)
            parents.add(identity)
        if MANAGED_BY in self.labels:
            raise FieldError(".labels", _OWN_LABEL)
        for member, names in (("labels", self.labels), ("annotations", self.annotations)):
            for name in names:
                if not _fits(_LABEL_KEY, name) or len(name) > _LONGEST_KEY:
                    raise FieldError(f".{member}", f"{name!r} is no name of a label: write it as example.com/team")


def _fits(pattern: str, value: str) -> bool:
    return re.match(in_python(pattern), value) is not None


def _found(pattern: str, value: str) -> bool:
    return re.search(in_python(pattern), value) is not None
