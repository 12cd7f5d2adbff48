"""Whether the versions of a Rollout are there, and serve."""

from collections.abc import Iterable, Iterator
from typing import Final, assert_never

from serinus.api.modelversion import BackendRef
from serinus.api.names import SERVICE
from serinus.cli.check.cluster import members
from serinus.cli.lint.cluster.endpoints import Endpoints
from serinus.cli.lint.cluster.objects import Absent, Found, NotAsked, NotServed, Objects
from serinus.cli.lint.cluster.plans import (
    Located,
    Plan,
    Version,
    kind_of_backend,
    not_asked,
    not_served,
    version_record,
)
from serinus.cli.lint.documents import Document
from serinus.cli.lint.finding import Check, Level, Problem

_INSTALL: Final = "install the chart of Serinus"
_BACKEND: Final = "spec.serving.backendRef"


def version_problems(plan: Plan, objects: Objects, endpoints: Endpoints) -> Iterator[Located]:
    """Yield what is wrong with the versions that a Rollout names."""
    for version in plan.versions:
        yield from _version_problems(plan, version, objects, endpoints)
    yield from _shared_backend(plan)


def _version_problems(plan: Plan, version: Version, objects: Objects, endpoints: Endpoints) -> Iterator[Located]:
    match version.answer:
        case Found():
            yield from _found_problems(plan, version, objects, endpoints)
        case Absent():
            said = f"ModelVersion {version.name} is neither in the files nor in namespace {plan.namespace}"
            remedy = "apply it before the Rollout, or correct the version"
            yield plan.document, Problem(Check.MISSING_VERSION, version.path, f"{said} of the cluster", remedy)
        case NotServed(kind):
            yield plan.document, not_served(version.path, kind, _INSTALL)
        case NotAsked():
            yield plan.document, not_asked(version.path, f"ModelVersion {version.name} exists", version.answer)
        case _:
            assert_never(version.answer)


def _found_problems(plan: Plan, version: Version, objects: Objects, endpoints: Endpoints) -> Iterator[Located]:
    record, backend = version.record, version.backend
    if record is None or record.problem:
        # What is wrong with one of the files is found without a cluster.
        if version.document is None:
            problem = record.problem if record is not None else "it cannot be read"
            said = f"ModelVersion {version.name} of the cluster cannot be used: {problem}"
            yield plan.document, Problem(Check.PARSER, version.path, said, "apply a version that can")
    elif backend is None:
        said = f"ModelVersion {version.name} does not say where it serves: give it spec.serving.backendRef"
        yield plan.document, Problem(Check.NO_BACKEND, version.path, said)
    else:
        yield from _backend_problems(plan, version, backend, objects, endpoints)


def _shared_backend(plan: Plan) -> Iterator[Located]:
    first, *others = plan.versions
    for other in others:
        if other.number != first.number and other.backend is not None and other.backend == first.backend:
            said = f"ModelVersion {other.name} has the same backend as the version: give each version one of its own"
            yield plan.document, Problem(Check.ONE_BACKEND, other.path, said)


def backend_problems(document: Document, objects: Objects) -> Iterator[Problem]:
    """Yield that the backend of a ModelVersion of the files, or its port, is not there."""
    namespace = objects.namespace_of(document)
    record = version_record(document.manifest, namespace)
    if record is not None and record.backend is not None:
        yield from _existence(namespace, record.backend, objects, document)


def _backend_problems(
    plan: Plan, version: Version, backend: BackendRef, objects: Objects, endpoints: Endpoints
) -> Iterator[Located]:
    found = list(_existence(plan.namespace, backend, objects, version.document or plan.document))
    yield from (_located(plan, version, problem) for problem in found)
    if not found and kind_of_backend(backend) == SERVICE:
        answer = objects.get(SERVICE, plan.namespace, backend.name, version.document or plan.document)
        # A Service that is still to be applied, or changed, has no endpoints that could be counted.
        if isinstance(answer, Found) and answer.document is None:
            yield from (_located(plan, version, one) for one in _readiness(plan, version, backend, endpoints))


def _located(plan: Plan, version: Version, problem: Problem) -> Located:
    """Return a problem of a backend at its field where the files have the ModelVersion, else at the Rollout's field."""
    if version.document is not None:
        return version.document, problem
    said = f"ModelVersion {version.name} of the cluster: {problem.said}"
    return plan.document, Problem(problem.check, version.path, said, problem.advice, level=problem.level)


def _existence(namespace: str, backend: BackendRef, objects: Objects, beside: Document) -> Iterator[Problem]:
    kind = kind_of_backend(backend)
    title = f"{backend.kind} {backend.name}"
    check = Check.MISSING_SERVICE if kind == SERVICE else Check.MISSING_BACKEND
    answer = objects.get(kind, namespace, backend.name, beside)
    match answer:
        case Found(manifest):
            if kind == SERVICE:
                yield from _port_problems(backend, members(manifest, "spec", "ports"))
        case Absent():
            said = f"{title} is neither in the files nor in namespace {namespace} of the cluster"
            yield Problem(check, f"{_BACKEND}.name", said, "apply it before the Rollout, or correct the name")
        case NotServed(name):
            yield not_served(f"{_BACKEND}.kind", name, "correct group and kind, or install what serves it")
        case NotAsked():
            yield not_asked(f"{_BACKEND}.name", f"{title} exists", answer)
        case _:
            assert_never(answer)


def _port_problems(backend: BackendRef, ports: Iterable[object]) -> Iterator[Problem]:
    numbers = [port.get("port") for port in ports if isinstance(port, dict)]
    if backend.port not in numbers:
        shown = ", ".join(str(number) for number in numbers) or "none"
        said = f"Service {backend.name} has no port {backend.port}; it has {shown}"
        yield Problem(Check.MISSING_SERVICE, f"{_BACKEND}.port", said)


def _readiness(plan: Plan, version: Version, backend: BackendRef, endpoints: Endpoints) -> Iterator[Problem]:
    ready = endpoints.ready(plan.namespace, backend.name)
    if isinstance(ready, NotAsked):
        yield not_asked(f"{_BACKEND}.name", f"Service {backend.name} has ready endpoints", ready)
    elif not ready:
        effect = "no stage begins until it has one"
        if version.field != "version":
            effect = "no version gets more traffic until it has one, because nothing could take the traffic back"
        said = f"Service {backend.name} has no ready endpoints: {effect}"
        remedy = f"see its pods: kubectl get endpointslices -n {plan.namespace} -l kubernetes.io/service-name="
        yield Problem(Check.NOT_READY, f"{_BACKEND}.name", said, remedy + backend.name, level=Level.WARNING)
