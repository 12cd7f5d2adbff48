"""The protocols of the adapters.

Every port raises only :mod:`serinus.errors`; every call has a time-out and a bound on what it reads.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from serinus.api.audit_record import AuditEntry
from serinus.api.conditions import Condition
from serinus.api.model import Verification
from serinus.api.modelversion import Artifact, BackendRef, ModelVersionStatus
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.api.route import RouteKind
from serinus.api.stage_tests import HttpCheck
from serinus.engine.analysis.measurements import Answer, Question
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.rollout.actions import CreateRoute, RunJobTest, SetMirror, SetWeights, ShapeRoute
from serinus.engine.rollout.decision import Event
from serinus.engine.rollout.observation import TestOutcome
from serinus.engine.rollout.traffic.capabilities import RouterCapabilities
from serinus.engine.versions.artifact import ArtifactFinding
from serinus.engine.versions.catalogue import VersionEntry
from serinus.ports.cluster_state import JobRecord, Listed, Meta, PodFacts, Record, RolloutRecord, RouteRecord

Guard = Callable[[], None]
"""Called before every single request of a write; it raises where the write must not be sent any more.

Raises:
    NotLeaderError: another process leads, or may lead.
    OvertakenError: a decision towards safety has been taken since the one that asks for the write.
"""


class Clock(Protocol):
    """The only source of time."""

    def now(self) -> datetime:
        """Return the time of day, aware, UTC, to the millisecond."""

    def monotonic(self) -> float:
        """Return seconds that never go back."""


class Cluster(Protocol):
    """Reads the cluster's objects as records."""

    async def list_all(self, kind: type[Record]) -> Listed:
        """Return every object of this kind that the operator may read, in pages."""

    async def read_rollout(self, key: ObjectKey) -> RolloutRecord:
        """Return the Rollout as it is now; NotFoundError where it is gone."""

    async def read_route(self, kind: RouteKind, key: ObjectKey) -> RouteRecord:
        """Return the route as it is now; NotFoundError where it is gone."""


class StatusWriter(Protocol):
    """Writes the status subresource of Rollouts and ModelVersions."""

    async def write_rollout(self, meta: Meta, status: RolloutStatus, *, guard: Guard | None = None) -> RolloutRecord:
        """Replace the status if the object is still the version in ``meta``, and return the object as it is now.

        Raises:
            NotLeaderError, OvertakenError: by the guard; nothing was sent.
            ConflictError: it has changed since: re-read, decide again.
            AmbiguousError: it may have been written.
            NotFoundError, RefusedError, TransientError: see serinus.errors.
        """

    async def write_model_version(self, meta: Meta, *, stage: str, traffic: str) -> None:
        """Write a ModelVersion's stage and its share of the traffic, whatever else of it has changed since ``meta``.

        Raises:
            NotFoundError: it is gone, also where another one has its name.
            AmbiguousError, ConflictError, RefusedError, TransientError: as above.
        """

    async def write_review(self, meta: Meta, status: ModelVersionStatus, *, with_traffic: bool) -> None:
        """Write a ModelVersion's status; ``stage`` only where it is not empty, ``traffic`` only where told to.

        Errors as for ``write_model_version``.
        """

    async def write_policy_seen(self, meta: Meta, generation: int, conditions: tuple[Condition, ...] = ()) -> None:
        """Write which generation of a Model's policy was recorded last, and its conditions.

        Errors as for ``write_model_version``.
        """


class TrafficRouter(Protocol):
    """Sets the traffic weights of routes."""

    @property
    def capabilities(self) -> Mapping[RouteKind, RouterCapabilities]:
        """The kinds of routes that it writes, and what can be done with each."""

    async def set_weights(
        self,
        namespace: str,
        action: SetWeights,
        *,
        guard: Guard | None = None,
        known: RouteRecord | None = None,
    ) -> RouteRecord:
        """Set the shares of a rule and return the route as it is now; writes nothing where they are right already.

        ``known`` is the route as a watch has shown it, which saves the first reading. After a conflict it re-reads and
        retries a few times; the guard is called before each of these requests.

        Raises:
            NotLeaderError, OvertakenError: by the guard; nothing was written.
            RefusedError: the route or the rule does not exist, belongs to another, or its weights are too coarse.
            ConflictError, AmbiguousError, TransientError: see serinus.errors.
        """


class ManagedRoutes(Protocol):
    """Makes the routes that Rollouts have the operator make, and keeps them as their templates say."""

    async def create(self, owner: Meta, action: CreateRoute, *, guard: Guard | None = None) -> RouteRecord:
        """Make a route that the Rollout owns, and return it; one of its name that exists is returned as it is.

        Raises:
            NotLeaderError, OvertakenError: by the guard; nothing was sent.
            RefusedError: the API server does not take it, or the operator has no right to make routes.
            AmbiguousError, NotFoundError, TransientError: see serinus.errors.
        """

    async def shape(self, owner: Meta, action: ShapeRoute, *, guard: Guard | None = None) -> RouteRecord:
        """Put right what a route of the Rollout has of its template, and return it; writes nothing that is right.

        After a conflict it re-reads and retries a few times. A route that the operator has not made for this Rollout,
        or that is gone, is left to the next decision.

        Raises:
            RefusedError: the API server does not take it, or changes what was written.
            ConflictError: it changed during every attempt, or is another one: decide again.
            NotFoundError: it is gone: decide again.
            NotLeaderError, OvertakenError, AmbiguousError, TransientError: as above.
        """

    async def mirror(self, owner: Meta, action: SetMirror, *, guard: Guard | None = None) -> RouteRecord:
        """Have the model's rule in a route of the Rollout copy requests to one backend, or to none, and return it.

        It writes nothing where that is so already. Other filters of the rule stay. As above where it changed meanwhile.

        Raises:
            RefusedError: the API server does not take it, or would store another percentage.
            ConflictError, NotFoundError, NotLeaderError, OvertakenError, AmbiguousError, TransientError: as above.
        """


class MetricSource(Protocol):
    """One Prometheus, under the administrator's name for it."""

    @property
    def scrape_interval(self) -> timedelta:
        """How often the targets are scraped."""

    @property
    def tick(self) -> timedelta:
        """How often to query: a third of the scrape interval, at least 1 s."""

    def problem_with(self, question: Question) -> str:
        """Return why this can never be answered, such as an unknown preset or query; empty where it can."""

    async def ask(self, questions: Collection[Question], at: datetime, since: datetime) -> Mapping[Question, Answer]:
        """Answer every question for the time between two ticks, in a few queries however many they are.

        Never raises: a source that is down answers CouldNotAsk to all.
        """

    async def replay(
        self, questions: Collection[Question], start: datetime, end: datetime, step: timedelta
    ) -> Mapping[Question, Sequence[Answer]]:
        """Answer as ``ask`` would have at every step since ``start``, in order: the evidence after a restart."""


class Finalizers(Protocol):
    """Puts our finalizer on Rollouts and takes it off."""

    async def set(self, meta: Meta, *, present: bool) -> RolloutRecord:
        """Make sure that the Rollout has our finalizer, or has not, and return it as it is now.

        Raises:
            ConflictError: it was changed at the same time, or recreated under its name: re-read, decide again.
            NotFoundError: it is gone.
            AmbiguousError, RefusedError, TransientError: see serinus.errors.
        """


class Jobs(Protocol):
    """Runs integration tests as Kubernetes Jobs."""

    async def ensure(self, owner: Meta, action: RunJobTest, noted: str = "") -> JobRecord:
        """Create the Job of this test unless it exists, and return it as it is now.

        ``noted`` is the uid of the Job that was created before, empty where none is known: another one is in the way.

        Raises:
            RefusedError: it cannot be created as things are: its template, a quota, a policy or our rights forbid it.
            AmbiguousError, NotFoundError, TransientError: see serinus.errors.
        """

    async def pods(self, job: JobRecord) -> PodFacts:
        """Return what the pods of a Job show; RefusedError or TransientError where they cannot be read."""


class HttpChecks(Protocol):
    """Runs integration tests that are one HTTP request."""

    async def run(self, namespace: str, backend: BackendRef, check: HttpCheck) -> TestOutcome:
        """Send the request and judge the response; a request that fails is a failed test.

        Raises:
            RefusedError, TransientError: nothing was sent, as there is nowhere to send it to, or that cannot be found
                out: ask again.
        """


class Events(Protocol):
    """Publishes Kubernetes Events, best effort."""

    async def publish(self, owner: Meta, event: Event) -> None:
        """Publish one event on a Rollout."""


class Leadership(Protocol):
    """Whether this process may write; with several shards that differs from model to model."""

    @property
    def handles_all(self) -> bool:
        """Whether every model is this process's concern: there are no shards. Asked for each Rollout at each tick."""

    def handles(self, model: ObjectKey, /) -> bool:
        """Return whether a model is this process's concern: always, unless there are shards and it is in another's."""

    def epoch_of(self, model: ObjectKey, /) -> int | None:
        """Return the number of the current term in which this process leads for a model; None while it does not."""

    def outrank(self, epoch: int, model: ObjectKey, /) -> None:
        """Have the number of a model's term raised above this one, if this process truly leads.

        Called for an epoch that a status has and this process does not: one of another cluster, or of a Lease that was
        lost. ``epoch_of`` changes once the store of the leadership has confirmed it.
        """


class AuditLog(Protocol):
    """The registry as the operator writes it; a fact is always accepted, and recorded once however often it is sent."""

    async def record(self, model: ObjectKey, audit_entry: AuditEntry) -> int:
        """Record a fact and return its sequence number in the chain.

        Raises:
            SerinusError: it may not have been recorded: send it again.
        """

    async def record_all(self, model: ObjectKey, entries: Sequence[AuditEntry]) -> int:
        """Record facts in this order and return the number of the last one; SerinusError: some may be recorded."""

    async def register(self, model: ObjectKey, entry: VersionEntry, audit_entry: AuditEntry) -> int:
        """Register a version; VersionTakenError where it is registered with another spec; else as ``record``."""

    async def set_yanked(self, model: ObjectKey, version: str, reason: str, audit_entry: AuditEntry) -> int:
        """Yank a version, or with an empty reason take its yank back; record it where that is a change.

        Raises:
            NotFoundError: it is not registered.
            SerinusError: it may not have been recorded: send it again.
        """

    async def standing(self, model: ObjectKey, version: str) -> RegisteredVersion | None:
        """Return what the records say of a version, whatever its object says; None where they do not mention it."""


class ArtifactVerifier(Protocol):
    """Verifies artifacts outside the event loop, a few at a time."""

    async def verify(self, namespace: str, artifact: Artifact, how: Verification) -> ArtifactFinding:
        """Return whether the bytes exist and match the spec; never raises: an unavailable store is a finding too.

        ``namespace`` is that of the ModelVersion: where its artifact may be depends on it.
        """
