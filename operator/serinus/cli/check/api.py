"""Whether the API server has what Serinus needs: kinds, the user's rights, policies, gateways."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from serinus.api.crd import definitions
from serinus.api.names import (
    API_VERSION,
    GROUP,
    HTTP_ROUTE,
    MODEL,
    REQUESTED_BY_ANNOTATION,
    ROLLOUT,
    VERSION,
    Command,
    issuer_annotation,
)
from serinus.cli.check.cluster import Cluster, members, text_at, value_at
from serinus.cli.check.line import Line, failed, ok, unknown, warning
from serinus.errors import NotFoundError, RefusedError, SerinusError

_INSTALL: Final = "install the chart: helm install serinus deploy/helm/serinus --namespace serinus-system"
_KINDS: Final = ("rollouts", "modelversions", "models", "auditrecords")
_READ: Final = tuple((verb, kind) for kind in _KINDS for verb in ("get", "list", "watch"))
_WRITE: Final = (("create", "rollouts"), ("patch", "rollouts"), ("create", "modelversions"))
_CLAIMED: Final = issuer_annotation(Command.ABORT.annotation)
"""A stamp that nobody has made: the policy of this release removes it."""

_PROBE: Final = {
    "apiVersion": API_VERSION,
    "kind": MODEL.kind,
    "metadata": {"name": "serinus-check", "annotations": {_CLAIMED: "nobody"}},
    "spec": {},
}
"""A Model that is never stored: its dry run tells what the API server makes of new objects."""

_EXTRA: Final = (("approve", "rollouts"), ("override", "rollouts"))


def kinds(cluster: Cluster) -> Iterator[Line]:
    """Yield whether the API server serves the kinds, and in the form that this client knows."""
    try:
        served = {str(one.get("name")) for one in members(cluster.raw(f"/apis/{API_VERSION}"), "resources")}
    except NotFoundError:
        yield failed("crds", f"{API_VERSION} is not served", _INSTALL)
        return
    missing = [kind for kind in _KINDS if kind not in served]
    if missing:
        yield failed("crds", f"{API_VERSION} is served without {', '.join(missing)}", _INSTALL)
        return
    yield ok("crds", f"{API_VERSION} serves {', '.join(_KINDS)}")
    yield _schemas(cluster)


def _schemas(cluster: Cluster) -> Line:
    ours = {one["metadata"]["name"]: _schema(one) for one in definitions().values()}
    try:
        theirs = {text_at(one, "metadata", "name"): _schema(one) for one in cluster.get("crd", *ours)}
    except RefusedError:
        return unknown("crds-current", "you may not read CRDs", "ask an administrator: serinus check")
    old = sorted(name for name, schema in ours.items() if theirs.get(name) != schema)
    if old:
        remedy = "upgrade the chart, or use the client of the operator's version (serinus version)"
        return warning("crds-current", f"the schema of {', '.join(old)} is of another version than this client", remedy)
    return ok("crds-current", "the schemas are those of this client")


def _schema(definition: Mapping[str, Any]) -> object:
    for version in members(definition.get("spec"), "versions"):
        if version.get("name") == VERSION:
            schema = version.get("schema")
            return _without_empty(schema.get("openAPIV3Schema")) if isinstance(schema, dict) else None
    return None


def _without_empty(value: object) -> object:
    """Return a schema without empty lists, such as that of required fields, which the API server does not keep."""
    match value:
        case dict():
            return {name: _without_empty(member) for name, member in value.items() if member != []}
        case list():
            return [_without_empty(member) for member in value]
        case _:
            return value


def missing_namespace(cluster: Cluster, namespace: str) -> Line | None:
    """Return that the namespace does not exist; None where it does, or nobody can tell.

    The API server answers other questions about such a namespace as if it existed.
    """
    try:
        missing = not cluster.get("namespaces", namespace)
    except RefusedError:
        missing = _refuses_namespace(cluster, namespace)
    except SerinusError:
        missing = False
    remedy = f"kubectl create namespace {namespace}, or name another one with -n: kubectl get namespaces"
    return failed("namespace", f"{namespace} does not exist", remedy) if missing else None


def _refuses_namespace(cluster: Cluster, namespace: str) -> bool:
    """Return whether nothing can be created in a namespace, as it does not exist."""
    try:
        cluster.create([_PROBE], dry_run=True)
    except NotFoundError as problem:
        return f'namespaces "{namespace}" not found' in str(problem)
    except SerinusError:
        return False
    return False


def rights(cluster: Cluster, namespace: str) -> Iterator[Line]:
    """Yield what the user may do in the namespace, as the API server says (SelfSubjectAccessReview)."""
    asked = [*_READ, *_WRITE, *_EXTRA]
    reviews = [
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {
                "resourceAttributes": {"group": GROUP, "resource": kind, "verb": verb, "namespace": namespace},
            },
        }
        for verb, kind in asked
    ]
    answers = cluster.create(reviews, dry_run=False)
    may = {one for one, answer in zip(asked, answers, strict=False) if value_at(answer, "status", "allowed") is True}
    bind = f"kubectl create rolebinding serinus-users -n {namespace} --clusterrole"
    if hidden := [f"{verb} {kind}" for verb, kind in _READ if (verb, kind) not in may]:
        yield failed("rights-read", f"you may not {', '.join(hidden)} in {namespace}", f"{bind}=view --user=NAME")
    else:
        yield ok("rights-read", f"you may read everything of Serinus in {namespace}")
    if barred := [f"{verb} {kind}" for verb, kind in _WRITE if (verb, kind) not in may]:
        said = f"you may not {', '.join(barred)} in {namespace}: look, but not roll out, abort or pause"
        yield warning("rights-write", said, f"{bind}=edit --user=NAME")
    else:
        yield ok("rights-write", f"you may roll out, pause, abort and roll back in {namespace}")
    extra = {verb for verb, kind in _EXTRA if (verb, kind) in may}
    said = "approve and override" if len(extra) == len(_EXTRA) else " ".join(extra) or "neither approve nor override"
    yield ok("rights-approve", f"you may {said} in {namespace}")


def stamp(cluster: Cluster) -> Line:
    """Return whether the API server stamps who acts: asked by the dry run of a Model that is never stored."""
    try:
        answers = cluster.create([_PROBE], dry_run=True)
    except RefusedError:
        return unknown("actor-stamp", "you may not create Models, by which it is tried", "ask an administrator")
    except SerinusError as problem:
        return unknown("actor-stamp", f"not known: {problem}", "try again")
    name = text_at(answers[0], "metadata", "annotations", REQUESTED_BY_ANNOTATION) if answers else ""
    if name and text_at(answers[0], "metadata", "annotations", _CLAIMED):
        said = "the policy is of an earlier release, and the operator believes no name that it stamps"
        return warning("actor-stamp", said, "apply the policies of the operator's release")
    if name:
        return ok("actor-stamp", f"the audit trail will name you as {name}")
    remedy = (
        "set actorStamp.enabled in the chart; Kubernetes 1.34 and 1.35 need the feature gate MutatingAdmissionPolicy"
    )
    return warning("actor-stamp", "nobody is stamped: the audit trail will say unverified", remedy)


def policies(cluster: Cluster) -> Line:
    """Return which of the chart's admission policies are there."""
    try:
        found = cluster.get("validatingadmissionpolicies", "--selector=app.kubernetes.io/part-of=serinus")
    except RefusedError:
        return unknown("policies", "you may not read admission policies", "ask an administrator: serinus check")
    except NotFoundError:
        return warning("policies", "the API server has no admission policies", "upgrade it to Kubernetes 1.30 or later")
    names = sorted(text_at(one, "metadata", "name") for one in found)
    if not names:
        remedy = "set approvals.enabled and deletionGuard.enabled in the chart"
        return warning("policies", "none of the chart's validating policies is installed", remedy)
    return ok("policies", f"installed: {', '.join(names)}")


def gateways(cluster: Cluster, namespace: str | None) -> Iterator[Line]:
    """Yield whether there is a gateway that works, and a route in the namespace, if there is one, that it accepts."""
    try:
        cluster.raw(f"/apis/{HTTP_ROUTE.api_version}")
    except NotFoundError:
        remedy = "install the Gateway API, version 1.0 or later, and a gateway: gateway-api.sigs.k8s.io"
        yield failed("gateway-api", f"{HTTP_ROUTE.api_version} is not served", remedy)
        return
    yield ok("gateway-api", f"{HTTP_ROUTE.api_version} is served")
    yield _gateways(cluster)
    if namespace is not None:
        yield _routes(cluster, namespace)


def _routes(cluster: Cluster, namespace: str) -> Line:
    try:
        routes = cluster.get(f"{HTTP_ROUTE.plural}.{HTTP_ROUTE.group}")
    except RefusedError:
        return unknown("routes", f"you may not read HTTPRoutes in {namespace}", "ask an administrator")
    used = {
        text_at(rollout, "spec", "route", "httpRoute", "name")
        for rollout in _quiet(cluster, f"{ROLLOUT.plural}.{GROUP}")
        # One that the operator makes may not be there yet; the Rollout itself says why.
        if value_at(rollout, "spec", "route", "httpRoute", "managed") is not True
    }
    refused = sorted(text_at(one, "metadata", "name") for one in routes if not _is_accepted(one))
    if not routes:
        return warning("routes", f"no HTTPRoute is in {namespace}", "make one, and name it in spec.route.httpRoute")
    if lost := sorted(used - {text_at(one, "metadata", "name") for one in routes} - {""}):
        return failed("routes", f"Rollouts name routes that are not there: {', '.join(lost)}", "make them")
    if refused:
        remedy = f"see status.parents: kubectl describe httproute {refused[0]} -n {namespace}"
        return warning("routes", f"no gateway accepts {', '.join(refused)}", remedy)
    return ok("routes", f"{len(routes)} in {namespace}, each accepted by all of its gateways")


def _gateways(cluster: Cluster) -> Line:
    try:
        found = cluster.get("gateways.gateway.networking.k8s.io", everywhere=True)
    except RefusedError:
        return unknown("gateways", "you may not read Gateways", "ask an administrator: serinus check")
    works = [one for one in found if _has_condition(value_at(one, "status"), "Programmed")]
    if works:
        return ok("gateways", f"{len(works)} of {len(found)} programmed")
    said = f"none of {len(found)} is programmed" if found else "there is none"
    return failed("gateways", said, "install a gateway, and see the conditions: kubectl describe gateways -A")


def _is_accepted(route: Mapping[str, Any]) -> bool:
    parents = members(value_at(route, "status"), "parents")
    return bool(parents) and all(_has_condition(parent, "Accepted") for parent in parents)


def _quiet(cluster: Cluster, kind: str) -> list[Mapping[str, Any]]:
    """Return the objects of a kind; none where the user may not see them, which another line says."""
    try:
        return cluster.get(kind)
    except (RefusedError, NotFoundError):
        return []


def _has_condition(holder: object, kind: str) -> bool:
    return any(one.get("type") == kind and one.get("status") == "True" for one in members(holder, "conditions"))
