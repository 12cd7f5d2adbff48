"""The typed records in which the cluster's objects come in: one object each, reduced to what the operator needs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from serinus.api.model import ModelSpec
from serinus.api.modelversion import BackendRef, ModelVersionSpec, ModelVersionStatus
from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.observation import Actors, InvalidSpec, ParentFacts, RouteEntry, TestOutcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What all records share.

    ``version`` is metadata.resourceVersion as a number (Kubernetes 1.35 made them comparable), so that an older sight
    never replaces a newer one.
    """

    key: ObjectKey
    uid: str
    version: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RolloutRecord:
    """A Rollout. ``status_problem`` says why a stored status could not be read; ``status`` is then the empty one."""

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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelVersionRecord:
    """A ModelVersion.

    Attributes:
        spec: None where it cannot be read; ``problem`` then says why.
        spec_hash: SHA-256 of the spec's canonical JSON.
        status: what was said of it last.
        waiver: why its schema may break its promise; empty where it may not.
        unsafe_rollback: why it may serve though its clients could not go back; empty where it may not.
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
    yanked: str = ""
    actors: Actors = field(default_factory=Actors)

    @property
    def stage(self) -> str:
        """The stage that its status says."""
        return self.status.stage

    @property
    def traffic(self) -> str:
        """The share of the traffic that its status says."""
        return self.status.traffic


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRecord:
    """A Model's policy; ``problem`` says why it cannot be read, and then nothing new may begin."""

    meta: Meta
    generation: int
    policy: ModelSpec
    problem: str
    observed_generation: int
    actors: Actors


@dataclass(frozen=True, slots=True)
class RouteRule:
    """One rule of a route; ``name`` is empty where the rule has none."""

    name: str
    entries: tuple[RouteEntry, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteRecord:
    """An HTTPRoute: its rules and what its parents say of it.

    ``owner`` is the controller that owns the route, as ``Kind/name``, or empty; ``written_by`` the field manager that
    wrote ``spec.rules`` last, or empty.
    """

    meta: Meta
    generation: int
    rules: tuple[RouteRule, ...]
    parents: tuple[ParentFacts, ...]
    owner: str
    written_by: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointsRecord:
    """An EndpointSlice: the ready endpoints that it holds for its Service."""

    meta: Meta
    service: str
    ready: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NamespaceRecord:
    """A Namespace; ``freeze`` is the reason to let nothing advance in it, or None. Its key has an empty namespace."""

    meta: Meta
    freeze: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRecord:
    """A Job that tests a candidate: which test of which run of which Rollout; ``outcome`` is None while it runs.

    ``owner`` is the Rollout's uid: a Rollout made anew under an old name must not believe the old one's tests.
    """

    meta: Meta
    rollout: str
    owner: str
    run: int
    stage: str
    test: str
    outcome: TestOutcome | None


Record = RolloutRecord | ModelVersionRecord | ModelRecord | RouteRecord | EndpointsRecord | NamespaceRecord | JobRecord
