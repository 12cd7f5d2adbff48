"""What carries a model's traffic: one object of one kind, and where it has several, the rule in it."""

from enum import StrEnum
from typing import Annotated, Final, NamedTuple

from msgspec import Meta, structs

from serinus.api.route_template import HttpRouteTemplate
from serinus.api.schema import SUBDOMAIN, FieldError, Model, rule, rules, text


class RouteKind(StrEnum):
    """The kinds of objects that can carry the traffic, each with its own router."""

    HTTP_ROUTE = "HTTPRoute"
    GRPC_ROUTE = "GRPCRoute"
    VIRTUAL_SERVICE = "VirtualService"
    INFERENCE_SERVICE = "InferenceService"

    @property
    def field(self) -> str:
        """The field of ``spec.route`` that names such an object, which is also the router's entry point."""
        return _FIELDS[self]

    @property
    def path(self) -> str:
        """The path of that field in a Rollout."""
        return f"spec.route.{self.field}"


_FIELDS: Final = {
    RouteKind.HTTP_ROUTE: "httpRoute",
    RouteKind.GRPC_ROUTE: "grpcRoute",
    RouteKind.VIRTUAL_SERVICE: "virtualService",
    RouteKind.INFERENCE_SERVICE: "inferenceService",
}


class RuleId(NamedTuple):
    """The rule that carries a model's traffic, in the Rollout's namespace; ``rule`` is None for the only one."""

    kind: RouteKind
    name: str
    rule: str | None = None

    @property
    def title(self) -> str:
        """Its name for people, such as ``HTTPRoute/fraud[predict]``."""
        return f"{self.kind.value}/{self.name}{f'[{self.rule}]' if self.rule else ''}"

    def may_be(self, other: "RuleId") -> bool:
        """Return whether both may mean the same rule: one without a rule's name means the route's only rule."""
        rules = {self.rule, other.rule}
        return (self.kind, self.name) == (other.kind, other.name) and (len(rules) == 1 or None in rules)


_NO_TEMPLATE: Final = "managed: true needs a template: write template with its parentRefs, hostnames and matches"
_NOT_MANAGED: Final = "a template is for a route that the operator makes: write managed: true, or leave template out"
_ONE_RULE: Final = "a managed route has one rule: leave ruleName out"
_MANAGED: Final = "(has(self.managed) && self.managed)"
HTTP_ROUTE_RULES: Final = (
    rule(f"!{_MANAGED} || has(self.template)", _NO_TEMPLATE),
    rule(f"{_MANAGED} || !has(self.template)", _NOT_MANAGED, field=".template"),
    rule(f"!{_MANAGED} || !has(self.ruleName)", _ONE_RULE, field=".ruleName"),
)
"""What :class:`HttpRouteRef` checks, for the API server."""


class HttpRouteRef(Model, frozen=True, kw_only=True):
    """An HTTPRoute in the Rollout's namespace, and the rule that carries the model's traffic."""

    name: Annotated[str, text("The route.", pattern=SUBDOMAIN)]
    rule_name: Annotated[str, text("The rule; may be left out where the route has one.", pattern=SUBDOMAIN)] | None = (
        None
    )
    managed: Annotated[
        bool,
        Meta(
            description="Whether the operator makes the route, of the template, and owns it. "
            "Otherwise the route exists already, and only the weights in it are set."
        ),
    ] = False
    template: Annotated[HttpRouteTemplate | None, Meta(description="Managed only: what the route is made of.")] = None

    def __post_init__(self) -> None:
        """Refuse what does not fit together, as the CRD does."""
        if self.managed and self.template is None:
            raise FieldError("", _NO_TEMPLATE)
        if not self.managed and self.template is not None:
            raise FieldError(".template", _NOT_MANAGED)
        if self.managed and self.rule_name is not None:
            raise FieldError(".ruleName", _ONE_RULE)


class GrpcRouteRef(Model, frozen=True, kw_only=True):
    """A GRPCRoute in the Rollout's namespace, and the rule that carries the model's traffic."""

    name: Annotated[str, text("The route.", pattern=SUBDOMAIN)]
    rule_name: Annotated[str, text("The rule; may be left out where the route has one.", pattern=SUBDOMAIN)] | None = (
        None
    )


class VirtualServiceRef(Model, frozen=True, kw_only=True):
    """An Istio VirtualService in the Rollout's namespace, and the entry of ``spec.http`` that carries the traffic."""

    name: Annotated[str, text("The VirtualService.", pattern=SUBDOMAIN)]
    http_name: (
        Annotated[str, text("The name of the entry of spec.http; may be left out where there is one.", most=253)] | None
    ) = None


class InferenceServiceRef(Model, frozen=True, kw_only=True):
    """A KServe InferenceService in the Rollout's namespace."""

    name: Annotated[str, text("The InferenceService.", pattern=SUBDOMAIN)]


class RouteRef(Model, frozen=True, kw_only=True):
    """What carries the traffic: exactly one of the kinds."""

    # Meta stands on the union: msgspec drops that of a struct inside one.
    http_route: Annotated[HttpRouteRef | None, Meta(extra_json_schema=rules(*HTTP_ROUTE_RULES))] = None
    grpc_route: GrpcRouteRef | None = None
    virtual_service: VirtualServiceRef | None = None
    inference_service: InferenceServiceRef | None = None

    def __post_init__(self) -> None:
        """Refuse none and several, as the CRD does."""
        if sum(given is not None for given in structs.astuple(self)) != 1:
            raise FieldError("", ONE_ROUTE)

    @property
    def template(self) -> HttpRouteTemplate | None:
        """What the operator makes the route of; None where the route exists already."""
        return self.http_route.template if self.http_route is not None else None

    @property
    def rule(self) -> RuleId:
        """The rule that is meant."""
        if self.http_route is not None:
            return RuleId(RouteKind.HTTP_ROUTE, self.http_route.name, self.http_route.rule_name)
        if self.grpc_route is not None:
            return RuleId(RouteKind.GRPC_ROUTE, self.grpc_route.name, self.grpc_route.rule_name)
        if self.virtual_service is not None:
            return RuleId(RouteKind.VIRTUAL_SERVICE, self.virtual_service.name, self.virtual_service.http_name)
        if self.inference_service is not None:
            return RuleId(RouteKind.INFERENCE_SERVICE, self.inference_service.name)
        raise AssertionError("one of them is given")


_KINDS: Final = ", ".join(kind.field for kind in RouteKind)
ONE_ROUTE: Final = f"name exactly one of {_KINDS}"
ONE_ROUTE_RULE: Final = rule(
    "[" + ", ".join(f"has(self.{kind.field})" for kind in RouteKind) + "].filter(given, given).size() == 1", ONE_ROUTE
)
"""The same for the API server."""

_IS_MANAGED: Final = "has({0}.httpRoute) && has({0}.httpRoute.managed) && {0}.httpRoute.managed"
MANAGED_STAYS: Final = rule(
    f"({_IS_MANAGED.format('self')}) == ({_IS_MANAGED.format('oldSelf')})",
    "managed cannot be switched on or off: delete this Rollout and create another one"
    " (kubectl delete --cascade=orphan keeps a managed route)",
    field=".httpRoute",
)
"""A route that the operator has made is never taken for one that somebody else has, nor the other way round."""
