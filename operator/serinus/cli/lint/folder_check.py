"""Checks objects against each other: what a Rollout names, as far as its folder has objects of that kind.

Two objects of one name are a mistake in one folder only: in two, they may be for two clusters. What an object names is
looked for in all files, and is only missed where the object's own folder has others of that kind.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from serinus.api.names import API_VERSION, HTTP_ROUTE, MODEL_VERSION, ROLLOUT, SERVICE
from serinus.cli.lint.documents import Document
from serinus.cli.lint.finding import Check, Finding, Problem

Value = Any
"""A value of JSON."""

_Key = tuple[str, str, str, str]
"""Folder, kind, namespace and name."""


def folder_findings(documents: Iterable[Document]) -> Iterator[Finding]:
    """Yield what does not fit together in the objects of all files."""
    objects: dict[_Key, Document] = {}
    for document in documents:
        name = _text(document, "metadata", "name")
        key = (document.source.folder, _text(document, "kind"), _namespace(document), name)
        if not _is_known(document) or not name:
            continue
        if key in objects:
            where = _where(objects[key])
            said = f"{document.title} is there twice, also in {where}: the one that is applied last counts"
            yield document.finding(Problem(Check.DUPLICATE_OBJECT, "metadata.name", said))
            continue
        objects[key] = document
    world = _World(objects)
    rollouts = world.all_of(ROLLOUT.kind)
    yield from _shared(rollouts)
    for rollout in rollouts:
        yield from (rollout.finding(problem) for problem in _rollout_problems(rollout, world))
    for version in world.all_of(MODEL_VERSION.kind):
        yield from (version.finding(problem) for problem in _service_problems(version, world))


def _is_known(document: Document) -> bool:
    kind, version = _text(document, "kind"), _text(document, "apiVersion")
    return (
        version == API_VERSION
        or (kind == HTTP_ROUTE.kind and version.startswith(f"{HTTP_ROUTE.group}/"))
        or (kind == SERVICE.kind and version == SERVICE.api_version)
    )


@dataclass(frozen=True, slots=True)
class _World:
    """The objects of all files."""

    objects: Mapping[_Key, Document]

    def all_of(self, kind: str) -> list[Document]:
        """Return all of a kind."""
        return [document for (_, other, _, _), document in self.objects.items() if other == kind]

    def beside(self, document: Document, kind: str) -> list[str]:
        """Return the names of a kind in the folder and the namespace of an object."""
        place = (document.source.folder, kind, _namespace(document))
        return sorted(name for *where, name in self.objects if tuple(where) == place)

    def named(self, document: Document, kind: str, name: str) -> Document | None:
        """Return the object of a kind and a name in the namespace of another one; its folder's own comes first."""
        found = {
            folder: other for (folder, *key), other in self.objects.items() if key == [kind, _namespace(document), name]
        }
        return found.get(document.source.folder) or next(iter(found.values()), None)

    def versions(self, rollout: Document) -> dict[str, Document]:
        """Return the ModelVersions of a Rollout's model by version; the Rollout's own folder comes last, and counts."""
        model, place = _text(rollout, "spec", "model"), _namespace(rollout)
        ours = [
            version
            for version in self.all_of(MODEL_VERSION.kind)
            if (_text(version, "spec", "model"), _namespace(version)) == (model, place)
        ]
        ours.sort(key=lambda one: one.source.folder == rollout.source.folder)
        return {_text(version, "spec", "version").removeprefix("v"): version for version in ours}


def _shared(rollouts: list[Document]) -> Iterator[Finding]:
    by_model: dict[tuple[str, ...], Document] = {}
    by_route: dict[tuple[str, ...], Document] = {}
    for rollout in rollouts:
        place = (rollout.source.folder, _namespace(rollout))
        model = _text(rollout, "spec", "model")
        if model:
            other = by_model.setdefault((*place, model), rollout)
            if other is not rollout:
                said = f"{other.title} in {_where(other)} is of model {model} too: a model has one Rollout"
                yield rollout.finding(Problem(Check.TWO_ROLLOUTS, "spec.model", said))
                continue
        name, rule = (_text(rollout, "spec", "route", "httpRoute", field) for field in ("name", "ruleName"))
        if name:
            other = by_route.setdefault((*place, name, rule), rollout)
            if other is not rollout:
                said = (
                    f"{other.title} in {_where(other)} has the same rule of route {name}: give each a rule of its own"
                )
                yield rollout.finding(Problem(Check.SHARED_ROUTE, "spec.route.httpRoute", said))


def _rollout_problems(rollout: Document, world: _World) -> Iterator[Problem]:
    there = world.versions(rollout)
    beside = [one for one in there.values() if one.source.folder == rollout.source.folder]
    version, target = (_text(rollout, "spec", field).removeprefix("v") for field in ("version", "rollbackTo"))
    found = there.get(version)
    if version and found is None and beside:
        others = ", ".join(sorted(there))
        said = f"no ModelVersion of {_text(rollout, 'spec', 'model')} {version} is here; there are {others}"
        yield Problem(Check.MISSING_VERSION, "spec.version", said)
    if found is not None:
        yield from _backend_problems(found, there.get(target))
    yield from _route_problems(rollout, world)


def _backend_problems(version: Document, target: Document | None) -> Iterator[Problem]:
    """Yield what is wrong with where versions serve; a rollback target that is not here may be in the cluster."""
    backend = _get(version, "spec", "serving", "backendRef")
    if backend is None:
        said = f"{version.title} does not say where it serves: give it spec.serving.backendRef"
        yield Problem(Check.NO_BACKEND, "spec.version", said)
    elif target is not None and target is not version and _get(target, "spec", "serving", "backendRef") == backend:
        said = f"{target.title} has the same backend as the version: give each version one of its own"
        yield Problem(Check.ONE_BACKEND, "spec.rollbackTo", said)


def _route_problems(rollout: Document, world: _World) -> Iterator[Problem]:
    at = "spec.route.httpRoute"
    name, rule = (_text(rollout, "spec", "route", "httpRoute", field) for field in ("name", "ruleName"))
    route, there = world.named(rollout, HTTP_ROUTE.kind, name), world.beside(rollout, HTTP_ROUTE.kind)
    if _get(rollout, "spec", "route", "httpRoute", "managed") is True:
        if route is not None:
            said = f"HTTPRoute {name} is here, and the operator is to make it of the template: take it out of the files"
            yield Problem(Check.ROUTE_OWNED, f"{at}.managed", said)
        return
    if route is None:
        if name and there:
            said = f"no HTTPRoute {name} is here; there are {', '.join(there)}"
            yield Problem(Check.MISSING_ROUTE, f"{at}.name", said)
        return
    rules = _get(route, "spec", "rules")
    members = rules if isinstance(rules, list) else []
    names = [one["name"] for one in members if isinstance(one, dict) and isinstance(one.get("name"), str)]
    if rule and rule not in names:
        shown = f"its rules are {', '.join(names)}" if names else "none of its rules has a name"
        yield Problem(Check.MISSING_RULE, f"{at}.ruleName", f"HTTPRoute {name} has no rule {rule}: {shown}")
    elif not rule and len(members) > 1:
        yield Problem(Check.MISSING_RULE, at, f"HTTPRoute {name} has {len(members)} rules: say which by ruleName")


def _service_problems(version: Document, world: _World) -> Iterator[Problem]:
    backend = _get(version, "spec", "serving", "backendRef")
    if not isinstance(backend, dict) or backend.get("kind", "Service") != "Service" or backend.get("group"):
        return
    name = backend.get("name")
    if not isinstance(name, str):
        return
    service = world.named(version, SERVICE.kind, name)
    if service is None:
        if there := world.beside(version, SERVICE.kind):
            said = f"no Service {name} is here; there are {', '.join(there)}"
            yield Problem(Check.MISSING_SERVICE, "spec.serving.backendRef.name", said)
        return
    ports = _get(service, "spec", "ports")
    numbers = [port.get("port") for port in ports if isinstance(port, dict)] if isinstance(ports, list) else []
    if numbers and backend.get("port") not in numbers:
        shown = ", ".join(str(number) for number in numbers)
        said = f"Service {name} has no port {backend.get('port')}; it has {shown}"
        yield Problem(Check.MISSING_SERVICE, "spec.serving.backendRef.port", said)


def _where(document: Document) -> str:
    place = document.source.place(document.number, document.prefix)
    return f"{document.source.name}:{place.line}"


def _namespace(document: Document) -> str:
    return _text(document, "metadata", "namespace")


def _text(document: Document, *path: str) -> str:
    """Return the text at a path; empty where there is none."""
    found = _get(document, *path)
    return found if isinstance(found, str) else ""


def _get(document: Document, *path: str) -> Value:
    """Return the value at a path; None where there is none."""
    value: Any = document.manifest
    for name in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(name)
    return value
