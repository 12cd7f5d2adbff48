"""Whether the route of a Rollout is there, has the rule, and is carried."""

from collections.abc import Iterator
from typing import Final, assert_never

from serinus.api.route import RouteKind, RuleId
from serinus.cli.lint.cluster.gateways import grant_problems, parent_problems
from serinus.cli.lint.cluster.objects import Absent, Found, NotAsked, NotServed, Objects
from serinus.cli.lint.cluster.plans import Located, Plan, as_stored, not_asked, not_served
from serinus.cli.lint.finding import Check, Level, Problem
from serinus.engine.rollout.traffic.facts import RouteEntry, RouteFacts, RouteProblem, backend_key
from serinus.engine.rollout.traffic.route_plan import AcceptanceState, accepted, choose_rule, with_ports
from serinus.engine.rollout.waiting import WaitReason
from serinus.errors import InvalidObjectError
from serinus.ports.cluster_state import RouteRecord

_GATEWAY_API: Final = "install the Gateway API with this kind: gateway-api.sigs.k8s.io"
_INSTALL: Final = {
    RouteKind.HTTP_ROUTE: _GATEWAY_API,
    RouteKind.GRPC_ROUTE: _GATEWAY_API,
    RouteKind.VIRTUAL_SERVICE: "install Istio in a release that serves this version, or name another kind of route",
    RouteKind.INFERENCE_SERVICE: "install KServe in a release that serves this version, or name another kind of route",
}


def route_problems(plan: Plan, objects: Objects) -> Iterator[Located]:
    """Yield what is wrong with the route of a Rollout."""
    rule = plan.spec.route.rule
    title = f"{rule.kind.value} {rule.name}"
    if plan.spec.route.template is not None:
        yield from _managed_problems(plan, title)
        return
    match plan.route:
        case Found():
            yield from _found_problems(plan, plan.route, objects)
        case Absent():
            said = f"{title} is neither in the files nor in namespace {plan.namespace} of the cluster"
            remedy = "apply it before the Rollout, or correct the name"
            yield plan.document, Problem(Check.MISSING_ROUTE, f"{rule.kind.path}.name", said, remedy)
        case NotServed(kind):
            yield plan.document, not_served(rule.kind.path, kind, _INSTALL[rule.kind])
        case NotAsked():
            yield plan.document, not_asked(f"{rule.kind.path}.name", f"{title} exists", plan.route)
        case _:
            assert_never(plan.route)


def _managed_problems(plan: Plan, title: str) -> Iterator[Located]:
    """Yield what is wrong with a route that the operator makes: only that there is one that it has not made."""
    path = plan.spec.route.rule.kind.path
    match plan.route:
        case Found(document=None):
            record = record_of(plan)
            if record is not None and not record.made_for:
                said = f"{title} exists in the cluster, and the operator has not made it: it would be left as it is"
                yield plan.document, Problem(Check.ROUTE_OWNED, f"{path}.name", said, "delete it, or name another")
        case Found():
            said = f"{title} is in the files, and the operator is to make it of the template"
            yield plan.document, Problem(Check.ROUTE_OWNED, f"{path}.managed", said, "take it out of the files")
        case NotServed(kind):
            yield plan.document, not_served(path, kind, _INSTALL[plan.spec.route.rule.kind])
        case Absent() | NotAsked():
            return
        case _:
            assert_never(plan.route)


def record_of(plan: Plan) -> RouteRecord | None:
    """Return the route as the operator reads it; None where it is not there.

    Raises:
        InvalidObjectError: it cannot be read.
    """
    if not isinstance(plan.route, Found):
        return None
    record = plan.router.source.parse(as_stored(plan.route.manifest, plan.namespace))
    return record if isinstance(record, RouteRecord) else None


def facts_of(plan: Plan, record: RouteRecord) -> RouteFacts | RouteProblem:
    """Return the rule of the route that carries the model's traffic, or why there is none."""
    position = choose_rule(plan.spec.route.rule, [rule.name for rule in record.rules], record.owner)
    if isinstance(position, RouteProblem):
        return position
    return RouteFacts(
        generation=record.generation,
        entries=_entries(plan, record, position),
        parents=record.parents,
        can=plan.router.can,
    )


def readable_facts(plan: Plan) -> RouteFacts | None:
    """Return the rule of the route; None where it is not there, or cannot be read or written."""
    try:
        record = record_of(plan)
    except InvalidObjectError:
        return None
    facts = facts_of(plan, record) if record is not None else None
    return facts if isinstance(facts, RouteFacts) else None


def _entries(plan: Plan, record: RouteRecord, position: int) -> tuple[RouteEntry, ...]:
    known = [backend_key(version.backend) for version in plan.versions if version.backend is not None]
    return with_ports(record.rules[position].entries, known)


def _found_problems(plan: Plan, found: Found, objects: Objects) -> Iterator[Located]:
    rule = plan.spec.route.rule
    try:
        record = record_of(plan)
    except InvalidObjectError as problem:
        said = f"{rule.kind.value} {rule.name} cannot be read: {problem}"
        yield plan.document, Problem(Check.PARSER, rule.kind.path, said, "correct the route")
        return
    if record is None:
        return
    facts = facts_of(plan, record)
    if isinstance(facts, RouteProblem):
        yield plan.document, _unusable(rule, facts)
    elif found.document is None:
        yield from _acceptance(plan, facts)
    elif not facts.parents and facts.can.acceptance:
        yield found.document, Problem(Check.MISSING_GATEWAY, "spec.parentRefs", accepted(facts).message)
    if found.document is not None:
        yield from parent_problems(plan, found, objects)
        yield from grant_problems(plan, found, objects)


def _unusable(rule: RuleId, problem: RouteProblem) -> Problem:
    if problem.reason is WaitReason.ROUTE_OWNED_BY_OTHER:
        return Problem(Check.ROUTE_OWNED, f"{rule.kind.path}.name", problem.message)
    field = "httpName" if rule.kind is RouteKind.VIRTUAL_SERVICE else "ruleName"
    return Problem(Check.MISSING_RULE, f"{rule.kind.path}.{field}", problem.message)


def _acceptance(plan: Plan, facts: RouteFacts) -> Iterator[Located]:
    """Yield what the parents of a stored route report, as a stage of the Rollout would wait for it."""
    rule, acceptance = plan.spec.route.rule, accepted(facts)
    resource = f"{plan.router.source.kind.plural}.{plan.router.source.kind.group}"
    remedy = f"see its status: kubectl describe {resource} {rule.name} -n {plan.namespace}"
    match acceptance.state:
        case AcceptanceState.YES:
            return
        case AcceptanceState.REFUSED:
            level = Level.ERROR
        case AcceptanceState.WAITING:
            level = Level.WARNING if facts.parents else Level.ERROR
        case _:
            assert_never(acceptance.state)
    said = f"{rule.kind.value} {rule.name}: {acceptance.message.rstrip('.')}"
    yield plan.document, Problem(Check.ROUTE_REFUSED, f"{rule.kind.path}.name", said, remedy, level=level)
