"""What the reconcilers ask of the outside, as Protocols.

Every port raises only :mod:`serinus.errors`; every call has a time-out and a bound on what it reads.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Protocol

from serinus.api.audit_record import AuditEntry
from serinus.api.model import Verification
from serinus.api.modelversion import Artifact, BackendRef, ModelVersionStatus
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import RolloutStatus
from serinus.api.stage_tests import HttpCheck
from serinus.engine.analysis.measurements import Answer, Question
from serinus.engine.rollout.actions import RunJobTest, SetWeights
from serinus.engine.rollout.decision import Event
from serinus.engine.rollout.observation import TestOutcome
from serinus.engine.versions.artifact import ArtifactFinding
from serinus.engine.versions.catalogue import VersionEntry
from serinus.ports.cluster_state import Meta, Record, RolloutRecord, RouteRecord


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
