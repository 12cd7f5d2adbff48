"""What a route of the Gateway API in the files needs of others: Gateways with its listeners, and ReferenceGrants.

Of a route that the cluster has already, its own status tells this.
"""

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, TypeAlias, assert_never

from serinus.api.names import GRPC_ROUTE, HTTP_ROUTE, Kind
from serinus.cli.check.cluster import members, text_at
from serinus.cli.lint.cluster.objects import Absent, Found, Manifest, NotAsked, NotServed, Objects
from serinus.cli.lint.cluster.plans import Located, Plan, as_stored, not_asked, not_served
from serinus.cli.lint.documents import Document
from serinus.cli.lint.finding import Check, Level, Problem
from serinus.kube.raw import read_whole
from serinus.kube.routes import BackendReference, GatewayRoute, ParentReference

_GROUP: Final = HTTP_ROUTE.group
GATEWAY: Final = Kind(_GROUP, "v1", "Gateway", "gateways")
REFERENCE_GRANT: Final = Kind(_GROUP, "", "ReferenceGrant", "referencegrants")
"""Served as v1beta1, and by newer releases of the Gateway API as v1: its fields are the same."""

_ROUTES: Final = frozenset({HTTP_ROUTE, GRPC_ROUTE})
_PROGRAMMED: Final = "Programmed"


def _route(plan: Plan, found: Found) -> GatewayRoute | None:
    """Return a route of the Gateway API; None for any other kind."""
    if plan.router.source.kind not in _ROUTES:
        return None
    return read_whole(GatewayRoute, as_stored(found.manifest, plan.namespace))


# ---- Gateways ----------------------------------------------------------------------------------


def parent_problems(plan: Plan, found: Found, objects: Objects) -> Iterator[Located]:
    """Yield which Gateway or listener is not there; raises InvalidObjectError where the route cannot be read."""
    route, document = _route(plan, found), found.document
    if route is None or document is None:
        return
    for index, parent in enumerate(route.spec.parent_refs):
        if (parent.group, parent.kind) == (GATEWAY.group, GATEWAY.kind):
            for problem in _gateway_problems(parent, f"spec.parentRefs[{index}]", plan.namespace, objects, document):
                yield document, problem


def _gateway_problems(
    parent: ParentReference, path: str, own: str, objects: Objects, document: Document
) -> Iterator[Problem]:
    namespace = parent.namespace or own
    title = f"Gateway {namespace}/{parent.name}"
    answer = objects.get(GATEWAY, namespace, parent.name, document)
    match answer:
        case Absent():
            said = f"{title} is neither in the files nor in the cluster, so that nothing would carry the route"
            yield Problem(Check.MISSING_GATEWAY, f"{path}.name", said, "correct name and namespace, or create it")
        case NotServed(kind):
            yield not_served(path, kind, "install the Gateway API: gateway-api.sigs.k8s.io")
        case NotAsked():
            yield not_asked(f"{path}.name", f"{title} exists", answer)
        case Found(manifest, in_files):
            yield from _listener_problems(parent, path, title, manifest)
            if in_files is None and not _is_programmed(manifest):
                said = f"{title} is not programmed: its controller does not carry it"
                remedy = f"see its conditions: kubectl describe gateway {parent.name} -n {namespace}"
                yield Problem(Check.MISSING_GATEWAY, f"{path}.name", said, remedy, level=Level.WARNING)
        case _:
            assert_never(answer)


def _listener_problems(parent: ParentReference, path: str, title: str, gateway: Manifest) -> Iterator[Problem]:
    names = [text_at(one, "name") for one in members(gateway, "spec", "listeners")]
    if parent.section_name and parent.section_name not in names:
        said = f"{title} has no listener {parent.section_name}; its listeners are {', '.join(names) or 'none'}"
        yield Problem(Check.MISSING_GATEWAY, f"{path}.sectionName", said, "name one of them")


def _is_programmed(gateway: Manifest) -> bool:
    conditions = members(gateway, "status", "conditions")
    return any(one.get("type") == _PROGRAMMED and one.get("status") == "True" for one in conditions)


# ---- ReferenceGrants ---------------------------------------------------------------------------

_Grants: TypeAlias = Sequence[Manifest] | NotAsked


def grant_problems(plan: Plan, found: Found, objects: Objects) -> Iterator[Located]:
    """Yield which backends of another namespace the route may not refer to; raises as :func:`parent_problems`.

    The gateway would not resolve them, and a run waits until all backends of the route are resolved.
    """
    route, document = _route(plan, found), found.document
    if route is None or document is None:
        return
    kind = plan.router.source.kind
    for index, rule in enumerate(route.spec.rules):
        for place, backend in enumerate(rule.backend_refs):
            if backend.namespace not in {"", plan.namespace}:
                path = f"spec.rules[{index}].backendRefs[{place}].namespace"
                for problem in _grant_problems(kind, plan.namespace, backend, path, objects):
                    yield document, problem


def _grant_problems(
    kind: Kind, namespace: str, backend: BackendReference, path: str, objects: Objects
) -> Iterator[Problem]:
    title = f"{backend.kind} {backend.namespace}/{backend.name}"
    in_files = [document.manifest for document in objects.in_files(REFERENCE_GRANT, backend.namespace)]
    if _is_granted(in_files, kind, namespace, backend):
        return
    grants = _stored_grants(objects, backend.namespace)
    if isinstance(grants, NotAsked):
        what = f"a ReferenceGrant lets {kind.kind}s of namespace {namespace} refer to {title}"
        yield not_asked(path, what, grants)
    elif not _is_granted(grants, kind, namespace, backend):
        said = f"no ReferenceGrant in namespace {backend.namespace} lets {kind.kind}s of namespace {namespace} refer "
        remedy = f"create one in {backend.namespace}, or use a backend of namespace {namespace}"
        yield Problem(Check.MISSING_GRANT, path, f"{said}to {title}, so that the gateway refuses the route", remedy)


def _stored_grants(objects: Objects, namespace: str) -> _Grants:
    found = objects.select(REFERENCE_GRANT, namespace)
    # A cluster without the kind has no grants.
    return () if isinstance(found, NotServed) else found


def _is_granted(grants: Iterable[Manifest], kind: Kind, namespace: str, backend: BackendReference) -> bool:
    wanted = {"group": kind.group, "kind": kind.kind, "namespace": namespace}
    return any(
        any(all(text_at(one, name) == text for name, text in wanted.items()) for one in members(grant, "spec", "from"))
        and any(_covers(one, backend) for one in members(grant, "spec", "to"))
        for grant in grants
    )


def _covers(target: Manifest, backend: BackendReference) -> bool:
    same_kind = (text_at(target, "group"), text_at(target, "kind")) == (backend.group, backend.kind)
    return same_kind and text_at(target, "name") in {"", backend.name}
