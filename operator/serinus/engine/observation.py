"""Every fact that decide() may look at. Nothing here is an opinion; a fact that could not be had says so by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from serinus.api.modelversion import BackendRef
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import TestResult
from serinus.engine.analysis import Progress


class BackendKey(NamedTuple):
    """What identifies a backend in a route: never its port or weight."""

    group: str
    kind: str
    name: str


def backend_key(backend: BackendRef) -> BackendKey:
    """Return the identity of a ModelVersion's backend."""
    return BackendKey(backend.group, backend.kind, backend.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """A ModelVersion of the Rollout's model, as it stands in the cluster.

    Attributes:
        version: without a leading v.
        backend: where it serves, or None where it says nothing of it.
        ready: its ready endpoints; None where its kind of backend has none that could be counted.
        problem: why it cannot be used, such as a spec that does not parse; empty where it can.
    """

    version: str
    backend: BackendRef | None
    ready: int | None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class RouteEntry:
    """One backendRef of the route's rule."""

    key: BackendKey
    weight: int
    port: int | None = None


@dataclass(frozen=True, slots=True)
class ParentFacts:
    """What one parent (a Gateway's listener) says of the route.

    ``accepted`` is True only where ``Accepted`` and ``ResolvedRefs`` are, and nothing is ``PartiallyInvalid``.
    """

    name: str
    accepted: bool
    observed_generation: int
    message: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteFacts:
    """The rule that carries the model's traffic.

    Attributes:
        generation: the route's generation that shows these entries.
        entries: the rule's backendRefs in order, foreign ones included.
        parents: one for each parentRef; a parent that has said nothing yet is not accepted at generation 0.
        written_by: the field manager that wrote the rules last, for the story of a drift.
    """

    generation: int
    entries: tuple[RouteEntry, ...]
    parents: tuple[ParentFacts, ...]
    written_by: str = ""


@dataclass(frozen=True, slots=True)
class RouteProblem:
    """The route cannot carry the traffic: not there, no such rule, owned by another controller.

    ``reason`` is one stable CamelCase word; ``message`` says what to do.
    """

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """How an integration test ended."""

    __test__ = False  # pytest collects names that begin with Test

    result: TestResult
    message: str


@dataclass(frozen=True, slots=True)
class InvalidSpec:
    """The spec has a form that cannot be followed.

    ``last`` is the last spec that could, where this process has seen it: a run in progress stays guarded by it.
    """

    path: str
    problem: str
    last: RolloutSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The world around one Rollout.

    Attributes:
        name: metadata.name of the Rollout, for the commands that people are told to type.
        generation: metadata.generation of the Rollout.
        deleted: the Rollout is being deleted or gone.
        commands: by verb, the token that its annotations hold.
        requested_by: who wrote them, as stamped by the API server, else ``unverified``.
        freeze: the namespace's reason to let nothing advance; None where there is none.
        conflict: the older Rollout that has the same model or route; empty where there is none.
        versions: the model's ModelVersions, by version.
        route: the rule that carries the traffic.
        tests: by name, the ended tests of the current run and stage.
        readings: the evidence of each condition of the current stage, in the order of ``abortOn``.
        metrics_problem: why the stage's conditions cannot be asked at all, such as an unknown source; else empty.
    """

    name: str = "<name>"
    generation: int
    route: RouteFacts | RouteProblem
    deleted: bool = False
    commands: Mapping[str, str] = field(default_factory=dict)
    requested_by: str = "unverified"
    freeze: str | None = None
    conflict: str = ""
    versions: Mapping[str, VersionFacts] = field(default_factory=dict)
    tests: Mapping[str, TestOutcome] = field(default_factory=dict)
    readings: tuple[Progress, ...] = ()
    metrics_problem: str = ""
