"""The Rollouts of the files that can be read, and what they name, found in the files or in the cluster."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, TypeAlias

from serinus.api.modelversion import BackendRef
from serinus.api.names import MODEL_VERSION, ROLLOUT, SERVICE, Kind, model_version_name
from serinus.api.parsing import decode
from serinus.api.rollout import RolloutSpec
from serinus.api.route import RouteKind
from serinus.cli.check.cluster import text_at
from serinus.cli.lint.cluster.objects import Answer, Found, Manifest, NotAsked, Objects
from serinus.cli.lint.documents import Document
from serinus.cli.lint.finding import Check, Level, Problem
from serinus.cli.lint.object_check import schema_of
from serinus.cli.lint.schema_check import without_nulls
from serinus.errors import InvalidObjectError
from serinus.kube.records import model_version_record
from serinus.ports.cluster_state import ModelVersionRecord
from serinus.routers import RouterFactory, load_router

Located: TypeAlias = tuple[Document, Problem]
"""A problem, and the object of the files at whose field it is shown."""

_NEVER_STORED: Final = {"uid": "", "resourceVersion": "0", "creationTimestamp": "1970-01-01T00:00:00Z"}


@dataclass(frozen=True, slots=True)
class Version:
    """A version that a Rollout names.

    Attributes:
        field: which field of the Rollout's spec names it.
        number: the version.
        name: of its ModelVersion.
        answer: whether that is there.
        record: what it says; None where it is not there.
    """

    field: str
    number: str
    name: str
    answer: Answer
    record: ModelVersionRecord | None

    @property
    def path(self) -> str:
        """The path of the field."""
        return f"spec.{self.field}"

    @property
    def backend(self) -> BackendRef | None:
        """Where it serves; None where that is not known."""
        return self.record.backend if self.record is not None else None

    @property
    def document(self) -> Document | None:
        """Where the files have it."""
        return self.answer.document if isinstance(self.answer, Found) else None


@dataclass(frozen=True, slots=True)
class Plan:
    """A Rollout of the files whose spec can be followed.

    Attributes:
        document: the Rollout.
        namespace: where it is to be applied.
        spec: its spec.
        route: whether its route is there.
        versions: the versions that it names.
    """

    document: Document
    namespace: str
    spec: RolloutSpec
    route: Answer
    versions: Sequence[Version]

    @property
    def router(self) -> RouterFactory:
        """The router of its kind of route."""
        return router_of(self.spec.route.rule.kind)


@lru_cache(maxsize=len(RouteKind))
def router_of(kind: RouteKind) -> RouterFactory:
    """Return the router of a kind of route."""
    return load_router(kind.field)


def plans_of(documents: Iterable[Document], objects: Objects) -> list[Plan]:
    """Return the Rollouts that can be read; what is wrong with the others is found without a cluster."""
    read = [(document, spec) for document in documents if (spec := _spec_of(document)) is not None]
    for kind, namespace, names in _named(read, objects):
        objects.load(kind, namespace, names)
    plans = [_plan(document, spec, objects) for document, spec in read]
    for kind, namespace, names in _backends(plans):
        objects.load(kind, namespace, names)
    return plans


def _spec_of(document: Document) -> RolloutSpec | None:
    manifest = document.manifest
    if text_at(manifest, "kind") != ROLLOUT.kind or text_at(manifest, "apiVersion") != ROLLOUT.api_version:
        return None
    try:
        # The lines of abortOn must keep their places, so that this is not what is made of a stored spec.
        return decode(RolloutSpec, without_nulls(manifest, schema_of(ROLLOUT.kind)).get("spec"), "spec")
    except InvalidObjectError:
        return None


_ByPlace: TypeAlias = dict[tuple[Kind, str], list[str]]


def _listed(found: Iterable[tuple[Kind, str, str]]) -> Iterator[tuple[Kind, str, list[str]]]:
    by_place: _ByPlace = {}
    for kind, namespace, name in found:
        by_place.setdefault((kind, namespace), []).append(name)
    return ((kind, namespace, names) for (kind, namespace), names in by_place.items())


def _named(read: Iterable[tuple[Document, RolloutSpec]], objects: Objects) -> Iterator[tuple[Kind, str, list[str]]]:
    """Yield the routes and ModelVersions that Rollouts name, so that each kind is asked for once."""
    return _listed(
        (kind, objects.namespace_of(document), name)
        for document, spec in read
        for kind, name in [
            (router_of(spec.route.rule.kind).source.kind, spec.route.rule.name),
            *((MODEL_VERSION, model_version_name(spec.model, number)) for _, number in _numbers(spec)),
        ]
    )


def _backends(plans: Iterable[Plan]) -> Iterator[tuple[Kind, str, list[str]]]:
    return _listed(
        (kind_of_backend(version.backend), plan.namespace, version.backend.name)
        for plan in plans
        for version in plan.versions
        if version.backend is not None
    )


def kind_of_backend(backend: BackendRef) -> Kind:
    """Return the kind of a backend; of one that is no Service neither version nor plural is known."""
    return SERVICE if (backend.group, backend.kind) == ("", "Service") else Kind(backend.group, "", backend.kind, "")


def _numbers(spec: RolloutSpec) -> list[tuple[str, str]]:
    return [("version", spec.version), *([("rollbackTo", spec.rollback_to)] if spec.rollback_to is not None else [])]


def _plan(document: Document, spec: RolloutSpec, objects: Objects) -> Plan:
    namespace, rule = objects.namespace_of(document), spec.route.rule
    versions = []
    for field, number in _numbers(spec):
        name = model_version_name(spec.model, number)
        answer = objects.get(MODEL_VERSION, namespace, name, document)
        record = version_record(answer.manifest, namespace) if isinstance(answer, Found) else None
        versions.append(Version(field, number, name, answer, record))
    route = objects.get(router_of(rule.kind).source.kind, namespace, rule.name, document)
    return Plan(document, namespace, spec, route, versions)


def version_record(manifest: Manifest, namespace: str) -> ModelVersionRecord | None:
    """Return a ModelVersion as the operator reads it; None where its metadata cannot be read."""
    try:
        return model_version_record(as_stored(without_nulls(manifest, schema_of(MODEL_VERSION.kind)), namespace))
    except InvalidObjectError:
        return None


def as_stored(manifest: Manifest, namespace: str) -> dict[str, Any]:
    """Return an object as it were if it were stored: with the metadata that the API server gives each object."""
    metadata = manifest.get("metadata")
    own = metadata if isinstance(metadata, Mapping) else {}
    return {**manifest, "metadata": _NEVER_STORED | dict(own) | {"namespace": namespace}}


def not_asked(path: str, what: str, answer: NotAsked) -> Problem:
    """Return the note that something could not be asked."""
    return Problem(Check.NOT_ASKED, path, f"not checked whether {what}: {answer.why}", answer.remedy, level=Level.NOTE)


def not_served(path: str, kind: str, remedy: str) -> Problem:
    """Return the finding that the API server lacks a kind."""
    return Problem(Check.NOT_SERVED, path, f"this cluster has no kind {kind}", remedy)
