"""Makes the HTTPRoutes that Rollouts have the operator make, and keeps them as their templates say."""

from contextlib import suppress
from typing import Any, Final

from serinus.api.names import API_VERSION, FIELD_MANAGER, HTTP_ROUTE, ROLLOUT, ObjectKey
from serinus.api.parsing import encode
from serinus.api.quantities import Share
from serinus.api.route_template import MANAGED_BY, HttpRouteTemplate
from serinus.engine.rollout.actions import CreateRoute, SetMirror, ShapeRoute
from serinus.engine.rollout.traffic.capabilities import GATEWAY_API
from serinus.engine.rollout.traffic.facts import Mirror
from serinus.engine.rollout.traffic.managed import RouteShape, ShapePart, differences, shape_of
from serinus.engine.rollout.traffic.route_plan import Unplannable, plan_entries
from serinus.errors import ConflictError, InvalidObjectError, RefusedError
from serinus.kube.answers import AlreadyExistsError
from serinus.kube.client import JSON_PATCH, Raw, Requests
from serinus.kube.kinds import collection_path, object_path
from serinus.kube.routes import http_route_record
from serinus.ports.cluster_state import Meta, RouteRecord
from serinus.ports.services import Guard
from serinus.routers.backend_refs import reference
from serinus.routers.mirror_filters import mirror_patch
from serinus.routers.patching import Operation, version_test

_ANY_REQUEST: Final = [{"path": {"type": "PathPrefix", "value": "/"}}]
_NO_RIGHT: Final = "cannot create resource"
"""How the API server's authorizer says that a right is missing (apiserver, pkg/endpoints/handlers/responsewriters)."""

_TRIES: Final = 5
_QUERY: Final = {"fieldManager": FIELD_MANAGER}


class ManagedHttpRoutes:
    """Implements the port ``ManagedRoutes``."""

    def __init__(self, client: Requests) -> None:
        """Write with this client."""
        self._client = client

    async def create(self, owner: Meta, action: CreateRoute, *, guard: Guard | None = None) -> RouteRecord:
        """Make a route that the Rollout owns; see the port."""
        key = ObjectKey(owner.key.namespace, action.route.name)
        manifest = _manifest(owner, action)
        try:
            raw = await self._client.request(
                "POST", collection_path(HTTP_ROUTE, key.namespace), body=manifest, query=_QUERY, guard=guard
            )
        except AlreadyExistsError:
            return await self._read(key, guard)
        except RefusedError as problem:
            if _NO_RIGHT not in str(problem):
                raise
            remedy = "set rbac.managedRoutes in the values of the chart, or create the route and leave out managed"
            raise RefusedError(f"the operator has no right to make HTTPRoutes: {remedy}. ({problem})") from problem
        return _parsed(raw, key)

    async def shape(self, owner: Meta, action: ShapeRoute, *, guard: Guard | None = None) -> RouteRecord:
        """Put right what a route of the Rollout has of its template; see the port."""
        key = ObjectKey(owner.key.namespace, action.route.name)
        wanted = shape_of(action.template, key.namespace)
        for _ in range(_TRIES):
            route = await self._read(key, guard)
            if route.shape is None or route.made_for != owner.uid:
                raise ConflictError(f"HTTPRoute {key}: it is not this Rollout's any more")
            patch = _patch(route, route.shape, wanted, action)
            if not patch:
                return route
            # The gateway's controller writes the status of the route at the same time.
            with suppress(ConflictError):
                return await self._write(key, patch, wanted, guard)
        raise ConflictError(f"HTTPRoute {key}: changed by others {_TRIES} times while its template was written")

    async def mirror(self, owner: Meta, action: SetMirror, *, guard: Guard | None = None) -> RouteRecord:
        """Have the model's rule copy requests to one backend, or to none; see the port."""
        key = ObjectKey(owner.key.namespace, action.route.name)
        for _ in range(_TRIES):
            raw = await self._client.request("GET", object_path(HTTP_ROUTE, key), guard=guard)
            route = _parsed(raw, key)
            if route.shape is None or route.made_for not in {owner.uid, ""} or not route.rules:
                raise ConflictError(f"HTTPRoute {key}: it is not this Rollout's any more")
            place = _own_rule(route, action)
            patch = mirror_patch(raw, route, place, action.mirror)
            if not patch:
                return route
            with suppress(ConflictError):
                if action.mirror is not None:
                    trial = await self._send(key, patch, guard, dry_run=True)
                    _refuse_other_mirror(trial, place, action.mirror, key)
                return await self._send(key, patch, guard)
        raise ConflictError(f"HTTPRoute {key}: changed by others {_TRIES} times while its mirror was written")

    async def _send(
        self, key: ObjectKey, patch: list[Operation], guard: Guard | None, *, dry_run: bool = False
    ) -> RouteRecord:
        query = _QUERY | ({"dryRun": "All"} if dry_run else {})
        path = object_path(HTTP_ROUTE, key)
        raw = await self._client.request("PATCH", path, body=patch, content_type=JSON_PATCH, query=query, guard=guard)
        return _parsed(raw, key)

    async def _write(
        self, key: ObjectKey, patch: list[Operation], wanted: RouteShape, guard: Guard | None
    ) -> RouteRecord:
        written = await self._send(key, patch, guard)
        left = differences(wanted, written.shape) if written.shape is not None else ()
        if left:
            # Written again, it would be changed again, without end.
            what = ", ".join(left)
            raise RefusedError(
                f"HTTPRoute {key}: its {what} were written as spec.route.httpRoute.template says and stored otherwise: "
                "look for a webhook that changes routes"
            )
        return written

    async def _read(self, key: ObjectKey, guard: Guard | None) -> RouteRecord:
        return _parsed(await self._client.request("GET", object_path(HTTP_ROUTE, key), guard=guard), key)


def _refuse_other_mirror(trial: RouteRecord, place: int, mirror: Mirror, key: ObjectKey) -> None:
    """Raise RefusedError where the API server would store another mirror: it would copy more than was asked for."""
    if trial.rules[place].mirrors != (mirror,):
        raise RefusedError(
            f"HTTPRoute {key}: the API server does not store a mirror of {Share.of_parts(mirror.parts)}: "
            "write mirror: 100%, install the CRDs of Gateway API 1.3 or later, or look for a webhook that changes it"
        )


def _parsed(raw: Raw, key: ObjectKey) -> RouteRecord:
    try:
        return http_route_record(raw)
    except InvalidObjectError as problem:
        raise RefusedError(f"HTTPRoute {key.name}: {problem}") from problem


def _manifest(owner: Meta, action: CreateRoute) -> dict[str, Any]:
    """Return the route; RefusedError where its rule cannot have these shares."""
    entries = plan_entries((), action.shares, frozenset(), can=GATEWAY_API)
    if isinstance(entries, Unplannable):
        raise RefusedError(f"HTTPRoute {action.route.name}: {entries.message}")
    template = action.template
    spec = encode(template)
    hostnames = {"hostnames": spec["hostnames"]} if template.hostnames else {}
    backends = {"backendRefs": [reference(entry) for entry in entries]} if entries else {}
    return {
        "apiVersion": HTTP_ROUTE.api_version,
        "kind": HTTP_ROUTE.kind,
        "metadata": {
            "name": action.route.name,
            "namespace": owner.key.namespace,
            "labels": _labels(template),
            "annotations": template.annotations,
            "ownerReferences": [_owner_reference(owner)],
        },
        "spec": {"parentRefs": spec["parentRefs"], **hostnames, "rules": [{"matches": _matches(template), **backends}]},
    }


def _owner_reference(owner: Meta) -> dict[str, Any]:
    return {
        "apiVersion": API_VERSION,
        "kind": ROLLOUT.kind,
        "name": owner.key.name,
        "uid": owner.uid,
        "controller": True,
        "blockOwnerDeletion": True,
    }


def _labels(template: HttpRouteTemplate) -> dict[str, str]:
    return template.labels | {MANAGED_BY: FIELD_MANAGER}


def _matches(template: HttpRouteTemplate) -> list[Any]:
    # Not left to the API server: it fills in what a match does not have, but not an empty list.
    return encode(template)["matches"] if template.matches else _ANY_REQUEST


def _patch(route: RouteRecord, found: RouteShape, wanted: RouteShape, action: ShapeRoute) -> list[Operation]:
    """Return the JSON Patch of what differs; empty where nothing does."""
    template = action.template
    changes: list[Operation] = []
    for part in differences(wanted, found):
        match part:
            case ShapePart.PARENTS:
                changes.append(_set("/spec/parentRefs", encode(template)["parentRefs"]))
            case ShapePart.HOSTNAMES if template.hostnames:
                changes.append(_set("/spec/hostnames", list(template.hostnames)))
            case ShapePart.HOSTNAMES:
                changes.append({"op": "remove", "path": "/spec/hostnames"})
            case ShapePart.RULES:
                changes += _one_rule(route, action)
            case ShapePart.MATCHES:
                changes.append(_set("/spec/rules/0/matches", _matches(template)))
            case ShapePart.LABELS:
                changes += _entries("/metadata/labels", _labels(template), dict(found.labels))
            case ShapePart.ANNOTATIONS:
                changes += _entries("/metadata/annotations", template.annotations, dict(found.annotations))
    return [version_test(route), *changes] if changes else []


def _one_rule(route: RouteRecord, action: ShapeRoute) -> list[Operation]:
    """Return what leaves the model's rule alone in the route, with the template's matches."""
    if not route.rules:
        return [_set("/spec/rules", [{"matches": _matches(action.template)}])]
    kept = _own_rule(route, action)
    others = [place for place in range(len(route.rules)) if place != kept]
    # From the end, so that no removal shifts the place of another.
    removals: list[Operation] = [{"op": "remove", "path": f"/spec/rules/{place}"} for place in reversed(others)]
    return [*removals, _set("/spec/rules/0/matches", _matches(action.template))]


def _own_rule(route: RouteRecord, action: ShapeRoute | SetMirror) -> int:
    """Return the place of the model's rule: that of the version on trial, else the first with a backend of ours."""
    named = [{entry.key for entry in rule.entries} for rule in route.rules]
    on_trial = (place for place, keys in enumerate(named) if action.on_trial in keys)
    ours = (place for place, keys in enumerate(named) if keys & action.ours)
    return next(on_trial, next(ours, 0))


def _entries(path: str, wanted: dict[str, str], found: dict[str, str]) -> list[Operation]:
    if not found:
        return [_set(path, wanted)]
    # RFC 6901, 4: a slash in a name is written ~1.
    names = {name: name.replace("~", "~0").replace("/", "~1") for name in wanted}
    return [_set(f"{path}/{names[name]}", value) for name, value in wanted.items() if found.get(name) != value]


def _set(path: str, value: object) -> Operation:
    # RFC 6902, 4.1: adding a member that exists replaces its value.
    return {"op": "add", "path": path, "value": value}
