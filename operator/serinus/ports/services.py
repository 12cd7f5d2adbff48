"""What the shell may ask of the outside, as Protocols, and the typed records in which the cluster's objects come in.

Every port raises only :mod:`serinus.errors`; every call has a time-out and a bound on what it reads.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Protocol

from serinus.api.audit_record import AuditEntry
from serinus.api.model import ModelSpec, Verification
from serinus.api.modelversion import Artifact, BackendRef, ModelVersionSpec, ModelVersionStatus
from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.api.stage_tests import HttpCheck
from serinus.engine.analysis.measurements import Answer, Question
from serinus.engine.rollout.actions import RunJobTest, SetWeights
from serinus.engine.rollout.decision import Event
from serinus.engine.rollout.observation import Actors, InvalidSpec, ParentFacts, RouteEntry, TestOutcome
from serinus.engine.versions.artifact import ArtifactFinding
from serinus.engine.versions.catalogue import VersionEntry

# ---- records: one object of the cluster, reduced to what the operator needs -------------------


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


# ---- ports ------------------------------------------------------------------------------------


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Return the time of day, aware, UTC, to the millisecond."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class Cluster(Protocol):
    """Reads the cluster's objects as records."""

    async def list_all(self, kind: type[Record]) -> Sequence[Record]:
        """Return every object of this kind that the operator may see, read in pages."""

    async def read_rollout(self, key: ObjectKey) -> RolloutRecord:
        """Return the Rollout as it is now; NotFoundError where it is gone."""

    async def read_route(self, key: ObjectKey) -> RouteRecord:
        """Return the route as it is now; NotFoundError where it is gone."""


class StatusWriter(Protocol):
    """Writes the status subresource of Rollouts and ModelVersions."""

    async def write_rollout(self, meta: Meta, status: RolloutStatus) -> RolloutRecord:
        """Replace the status if the object is still the one seen, and return it as it is now.

        Raises:
            ConflictError: it has changed since: re-read, decide again.
            AmbiguousError: it may have been written.
            NotFoundError, RefusedError, TransientError: as they say.
        """

    async def write_model_version(self, key: ObjectKey, *, stage: str, traffic: str) -> None:
        """Say where a ModelVersion stands; errors as above."""

    async def write_review(self, key: ObjectKey, status: ModelVersionStatus) -> None:
        """Say what is known of a ModelVersion beside where it stands; ``stage`` only where it is not empty.

        Errors as above.
        """

    async def write_policy_seen(self, key: ObjectKey, generation: int) -> None:
        """Say which generation of a Model's policy was recorded last; errors as above."""


class TrafficRouter(Protocol):
    """One data plane's way to give backends their shares."""

    async def set_weights(self, namespace: str, action: SetWeights) -> RouteRecord:
        """Bring the rule to these shares and return the route as it is now; writes nothing where they hold already.

        A conflict is re-read and retried inside, a few times.

        Raises:
            RefusedError: the route or the rule is not there, is not ours to write, or its weights are too coarse.
            ConflictError, AmbiguousError, TransientError: as they say.
        """


class MetricSource(Protocol):
    """One Prometheus, named by the administrator."""

    @property
    def scrape_interval(self) -> timedelta:
        """How often the targets are scraped."""

    @property
    def tick(self) -> timedelta:
        """How often to ask: a third of the scrape interval, at least 1 s."""

    def problem_with(self, question: Question) -> str:
        """Say why this can never be answered, such as an unknown preset or query; empty where it can."""

    async def ask(self, questions: Collection[Question], at: datetime, since: datetime) -> Mapping[Question, Answer]:
        """Answer every question for the time between two ticks, in a few queries whatever their number.

        Never raises: a source that is down answers CouldNotAsk to all.
        """

    async def replay(
        self, questions: Collection[Question], start: datetime, end: datetime, step: timedelta
    ) -> Mapping[Question, Sequence[Answer]]:
        """Answer as ``ask`` would have at every step since ``start``, in order, to rebuild evidence after a restart."""


class Jobs(Protocol):
    """Runs integration tests as Kubernetes Jobs."""

    async def ensure(self, owner: Meta, action: RunJobTest) -> None:
        """Create the Job of this test unless it exists; RefusedError where the API server refuses its template."""


class HttpChecks(Protocol):
    """Runs integration tests that are one HTTP request."""

    async def run(self, namespace: str, backend: BackendRef, check: HttpCheck) -> TestOutcome:
        """Send it and judge the answer; never raises: a request that fails is a failed test."""


class Events(Protocol):
    """Publishes Kubernetes Events; best effort, never in the way of anything."""

    async def publish(self, owner: Meta, event: Event) -> None:
        """Publish one event on a Rollout."""


class Leadership(Protocol):
    """Says whether this process may write."""

    @property
    def epoch(self) -> int | None:
        """The current term's number, or None while another process leads."""


class AuditLog(Protocol):
    """What the operator tells the registry; facts are always taken in, once, however often they are told."""

    async def record(self, model: ObjectKey, audit_entry: AuditEntry) -> int:
        """Take in a fact and return its number in the chain.

        Raises:
            SerinusError: it may not have been taken: tell it again.
        """

    async def register(self, model: ObjectKey, entry: VersionEntry, audit_entry: AuditEntry) -> int:
        """Make a version known; RefusedError where it is known with another spec; else as ``record``."""

    async def set_yanked(self, model: ObjectKey, version: str, reason: str) -> None:
        """Mark a version so that it can never serve again."""


class ArtifactVerifier(Protocol):
    """Looks at a version's bytes, beside the event loop, a few at a time."""

    async def verify(self, artifact: Artifact, how: Verification) -> ArtifactFinding:
        """Say whether they are there and what the spec says; never raises: what could not be asked is a finding too."""
