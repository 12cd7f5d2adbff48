"""The cluster's objects as typed records, reduced to what the operator needs."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import ClassVar, Final

from serinus.api.conditions import Condition
from serinus.api.model import ModelSpec, ProductionVersion
from serinus.api.modelversion import BackendRef, ModelVersionSpec, ModelVersionStatus
from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.api.route import RouteKind
from serinus.engine.rollout.observation import Actors, InvalidSpec, TestOutcome
from serinus.engine.rollout.traffic.facts import Mirror, ParentFacts, RouteEntry
from serinus.engine.rollout.traffic.managed import RouteShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """The metadata of a record.

    ``version`` is metadata.resourceVersion as a number (Kubernetes 1.35 made them comparable), so that an older version
    of an object never replaces a newer one.
    """

    key: ObjectKey
    uid: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """A Rollout.

    Attributes:
        spec: one that cannot be followed comes with what of it can guard a run that is under way.
        status_problem: why the stored status does not parse; ``status`` is then empty.
        merged_conditions: which conditions of the spec are one in two spellings; empty where none are.
        override: why a command does without the approval that the plan asks for; empty where none does.
        model_name: the model that a spec names which cannot be followed; empty where it names none.
    """

    meta: Meta
    generation: int
    created_at: datetime
    spec: RolloutSpec | InvalidSpec
    status: RolloutStatus
    status_problem: str
    commands: Mapping[str, str]
    rollback_to: str
    actors: Actors
    deleting: bool
    has_finalizer: bool = False
    merged_conditions: str = ""
    override: str = ""
    model_name: str = ""

    @property
    def model(self) -> ObjectKey:
        """The model by which its shard is found: it depends on the stored object alone, so all processes agree."""
        name = self.spec.model if isinstance(self.spec, RolloutSpec) else self.model_name
        return ObjectKey(self.meta.key.namespace, name)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersionRecord:
    """A ModelVersion.

    Attributes:
        spec: None where it does not parse; ``problem`` then says why.
        spec_hash: SHA-256 of the spec's canonical JSON.
        status: the last written one.
        waiver: why its schema may break the compatibility that its number implies; empty where it may not.
        unsafe_rollback: why it may serve though its clients could not go back; empty where it may not.
        worse_metrics: why its metrics may be worse than production's; empty where they may not.
        yanked: why it must never serve again; empty where it may.
        actors: who applied it, or set one of those annotations last.
    """

    meta: Meta
    model: str
    version: str
    backend: BackendRef | None
    problem: str
    spec: ModelVersionSpec | None = None
    spec_hash: str = ""
    created_at: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    generation: int = 1
    labels: tuple[tuple[str, str], ...] = ()
    status: ModelVersionStatus = field(default_factory=ModelVersionStatus)
    waiver: str = ""
    unsafe_rollback: str = ""
    worse_metrics: str = ""
    yanked: str = ""
    actors: Actors = field(default_factory=Actors)

    @property
    def stage(self) -> str:
        """The stage in its status."""
        return self.status.stage

    @property
    def traffic(self) -> str:
        """The share of the traffic in its status."""
        return self.status.traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A Model: its policy, and the versions that have served well as the registry's head knows them.

    ``problem`` says why the policy does not parse, and then no run may begin. ``recorded`` is the number of its last
    audit record; 0 where there is none. ``conditions`` are those that the status has, none where they cannot be read.
    ``production`` is the production version in the status; None likewise.
    """

    meta: Meta
    generation: int
    policy: ModelSpec
    problem: str
    observed_generation: int
    actors: Actors
    served: frozenset[str] = frozenset()
    recorded: int = 0
    conditions: tuple[Condition, ...] = ()
    production: ProductionVersion | None = None


@dataclass(frozen=True, slots=True)
class RouteRule:
    """One rule of a route.

    ``name`` is empty where the rule has none; ``mirrors`` are the backends that get copies of its requests, in order.
    """

    name: str
    entries: tuple[RouteEntry, ...]
    mirrors: tuple[Mirror, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRecord:
    """What carries the traffic of models: its rules and what its parents report; each kind has a type of its own.

    ``owner`` is the controller that owns the route, as ``Kind/name``, or empty; ``written_by`` the field manager that
    wrote its weights last, or empty. ``made_for`` is the uid of the Rollout for which the operator has made it, or
    empty, also where it was taken from its Rollout (``--cascade=orphan``); ``shape`` is what a route that the operator
    has made has of its template, and None of others.
    """

    kind: ClassVar[RouteKind]

    meta: Meta
    generation: int
    rules: tuple[RouteRule, ...]
    parents: tuple[ParentFacts, ...]
    owner: str
    written_by: str
    made_for: str = ""
    shape: RouteShape | None = None


class HttpRouteRecord(RouteRecord):
    """An HTTPRoute of the Gateway API."""

    __slots__ = ()
    kind = RouteKind.HTTP_ROUTE


class GrpcRouteRecord(RouteRecord):
    """A GRPCRoute of the Gateway API."""

    __slots__ = ()
    kind = RouteKind.GRPC_ROUTE


class VirtualServiceRecord(RouteRecord):
    """A VirtualService of Istio: its HTTP routes."""

    __slots__ = ()
    kind = RouteKind.VIRTUAL_SERVICE


class InferenceServiceRecord(RouteRecord):
    """An InferenceService of KServe: its one rule has the predictors, with ten-thousandths as weights."""

    __slots__ = ()
    kind = RouteKind.INFERENCE_SERVICE


ROUTE_RECORDS: Final[Mapping[RouteKind, type[RouteRecord]]] = {
    record.kind: record for record in (HttpRouteRecord, GrpcRouteRecord, VirtualServiceRecord, InferenceServiceRecord)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointsRecord:
    """An EndpointSlice: how many ready endpoints it has for its Service."""

    meta: Meta
    service: str
    ready: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRecord:
    """A Namespace; its key has an empty namespace.

    ``freeze`` is why no run may advance in it, or None; ``terminating`` whether it is being deleted.
    """

    meta: Meta
    freeze: str | None
    terminating: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A Job that tests a candidate: which test of which run of which Rollout.

    Attributes:
        owner: the Rollout's uid: a new Rollout of the same name must not use the tests of the deleted one.
        content: the digest of what the test does; empty where an earlier release has made it.
        outcome: None while it has not ended.
        has_run: a pod of it was ready or has succeeded.
        suspended: somebody else, such as a queue, does not let it start yet.
        containers: the names of its template's containers: what an injector adds is not the test.
        deadline: seconds after which the Job controller ends it.
    """

    meta: Meta
    rollout: str
    owner: str
    run: int
    stage: str
    test: str
    outcome: TestOutcome | None
    content: str = ""
    has_run: bool = False
    suspended: bool = False
    containers: tuple[str, ...] = ()
    created_at: datetime = datetime(2020, 1, 1, tzinfo=UTC)
    deadline: float = 600.0


@dataclass(frozen=True, slots=True)
class PodFacts:
    """What the pods of a Job show together.

    Attributes:
        has_run: a container of the Job's template has run in one of them.
        problem: why none has, in the words of Kubernetes; empty where one has.
    """

    has_run: bool
    problem: str = ""


Record = RolloutRecord | ModelVersionRecord | ModelRecord | RouteRecord | EndpointsRecord | NamespaceRecord | JobRecord


@dataclass(frozen=True, slots=True)
class Listed:
    """A complete list of one kind.

    Attributes:
        records: its members.
        version: its resource version as a number: it has everything that happened before. None where its members were
            read one by one.
    """

    records: Sequence[Record]
    version: int | None
