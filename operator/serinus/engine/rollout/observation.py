"""Every fact that decide() may look at. Nothing here is an opinion; a fact that could not be had says so by name."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from serinus.api.audit_record import OnBehalfOf
from serinus.api.model import ModelSpec
from serinus.api.modelversion import BackendRef
from serinus.api.names import UNVERIFIED, Command
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import TestResult
from serinus.engine.analysis.assessment import Progress
from serinus.engine.analysis.share import NO_REQUESTS, RequestShare
from serinus.engine.rollout.traffic.facts import BackendKey, RouteFacts, RouteProblem
from serinus.engine.rollout.traffic.managed import ManagedRoute
from serinus.engine.rollout.waiting import WaitReason


@dataclass(frozen=True, slots=True, kw_only=True)
class VersionFacts:
    """A ModelVersion of the Rollout's model, as it stands in the cluster.

    Attributes:
        version: without a leading v.
        backend: where it serves, or None where it says nothing of it.
        ready: its ready endpoints; None where its kind of backend has none that could be counted.
        problem: why it cannot be used, such as a spec that does not parse; empty where it can.
        digest: its artifact's digest; empty where it has none.
        spec_hash: of its whole spec.
        block: why no run of it may begin, such as a schema that breaks its promise; None where one may.
    """

    version: str
    backend: BackendRef | None
    ready: int | None
    problem: str = ""
    digest: str = ""
    spec_hash: str = ""
    block: "AdmissionBlock | None" = None


@dataclass(frozen=True, slots=True)
class AdmissionBlock:
    """Why no run of a version may begin; what serves already stays.

    Attributes:
        reason: for ``kubectl get``.
        message: a full sentence.
        temporary: it is being checked, and goes away by itself.
        artifact_gone: there are no bytes any more that could be right or wrong.
    """

    reason: WaitReason
    message: str
    temporary: bool = False
    artifact_gone: bool = False

    @property
    def bars_rollback(self) -> bool:
        """Whether also a version that has served well must not get the traffic back: yanked, or with wrong bytes.

        A version whose number is registered with another spec is not the one that has served.

        The other blocks only keep a run from starting: a policy that is made stricter, an artifact that was cleaned up
        or a registry that cannot be asked must not take away the version to go back to.
        """
        wrong_bytes = self.reason is WaitReason.ARTIFACT_REJECTED and not self.artifact_gone
        return wrong_bytes or self.reason in {WaitReason.VERSION_YANKED, WaitReason.VERSION_TAKEN}


@dataclass(frozen=True, slots=True)
class TestOutcome:
    """How an integration test ended.

    Attributes:
        result: passed or failed.
        message: how, in words.
        job: the name of the Job that ran it; empty where none did.
        uid: the Job's uid; empty likewise.
        timed_out: the Job's deadline ended it, whether or not its pods had run.
    """

    __test__ = False  # pytest collects names that begin with Test

    result: TestResult
    message: str
    job: str = ""
    timed_out: bool = False
    uid: str = ""

    def details(self, test: str, stage: str) -> tuple[tuple[str, str], ...]:
        """Return what an audit record says of it: which test, how it ended, and which Job ran it."""
        facts = {"test": test, "stage": stage, "outcome": self.result.value, "job": self.job, "jobUid": self.uid}
        return tuple((name, fact) for name, fact in facts.items() if fact)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobFacts:
    """The Job of a test, while it has not ended.

    Attributes:
        name: its metadata.name.
        uid: its metadata.uid; empty where it is not known.
        has_run: a container of the test has run.
        problem: why none has, in the words of Kubernetes; empty where that is not known.
        deadline: the time after which it is ended, from its start.
    """

    name: str
    uid: str = ""
    has_run: bool = False
    problem: str = ""
    deadline: timedelta = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class TestRefusal:
    """Why the API server did not create the Job of a test, or why an HTTP test could not be sent, and since when.

    ``may_exist`` where it gave no clear answer, such as a webhook's 500: then the Job may have been created.
    """

    __test__ = False  # pytest collects names that begin with Test

    message: str
    at: datetime
    may_exist: bool = False


@dataclass(frozen=True, slots=True)
class InvalidSpec:
    """The spec has a form that cannot be followed.

    ``last`` is the last spec that could, where this process has seen it, else what of this one can be read: a run in
    progress stays guarded by it.
    """

    path: str
    problem: str
    last: RolloutSpec | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Actors:
    """Who has acted, as the API server stamped it, else ``unverified``; and what they say of it.

    Attributes:
        requested_by: who wrote the last wish or command.
        spec_by: who changed the spec last.
        version_by: who set ``spec.version``.
        version_author: for whom, as the pipeline said that did; empty where it named nobody.
        approved_by: who wrote the last ``promote``.
        on_behalf_of: for whom, as a pipeline says itself.
        reason: the reason that stands on the object; empty where there is none.
        reason_by: who wrote it; empty where no policy stamps that.
        override_by: who wrote the override.
        issuers: who wrote each command, by its annotation; those that no policy has stamped are left out.
    """

    requested_by: str = UNVERIFIED
    spec_by: str = UNVERIFIED
    version_by: str = UNVERIFIED
    version_author: str = ""
    approved_by: str = UNVERIFIED
    on_behalf_of: OnBehalfOf | None = None
    reason: str = ""
    reason_by: str = ""
    override_by: str = UNVERIFIED
    issuers: tuple[tuple[str, str], ...] = ()

    def issuer_of(self, annotation: str) -> str:
        """Return who wrote a command: not who wrote another one, or the spec, a moment later.

        One from before the policy stamped each by itself is that of who wrote last.
        """
        return dict(self.issuers).get(annotation) or self.requested_by


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFacts:
    """How far the registry is.

    Attributes:
        recorded: the ids of the status's records that it has taken.
        problem: why it takes none; empty where it does.
    """

    recorded: frozenset[str] = frozenset()
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The world around one Rollout.

    Attributes:
        name: metadata.name of the Rollout, for the commands that people are told to type.
        namespace: its metadata.namespace.
        generation: metadata.generation of the Rollout.
        deleted: the Rollout is being deleted or gone.
        commands: by verb, the token that its annotations hold.
        override: why ``promote`` or ``rollback`` does without the plan's approval; empty where it does not.
        rollback_to: where the command ``rollback`` shall go; empty for the Rollout's own target.
        uid: metadata.uid of the Rollout, which makes its records' ids unique.
        actors: who wrote them.
        policy: the Model's policy; the default one where the model has none.
        audit: how far the registry is.
        unsafe_rollback: why clients of the wanted version could not go back to the rollback target; else empty.
        freeze: the namespace's reason to let nothing advance; None where there is none.
        conflict: the Rollout that keeps the model or the route, for it has a run, serves or is older; else empty.
        status_problem: why the stored status cannot be read; empty where it can.
        merged_conditions: which conditions of the spec are one in two spellings; empty where none are.
        has_finalizer: whether the Rollout has our finalizer.
        namespace_terminating: whether its namespace is being deleted.
        served: versions that have served well, as the registry's head says.
        endpoints: the ready endpoints of backends that the status names; a backend that cannot be counted is absent.
        missing: backends of the rule, of the versions and of the status whose Service does not exist.
        versions: the model's ModelVersions, by version.
        route: the rule that carries the traffic.
        managed: what is known of it as one that the operator makes; None where it is not managed.
        tests: by name, the ended tests of the current run and stage.
        jobs: by test, the Jobs of the current run and stage that have not ended.
        job_tests: whether this installation creates Jobs for tests.
        refused_tests: by test of the current run and stage, why its Job was not created or its request not sent.
        readings: the evidence of each condition of the current stage, in the order of ``abortOn``.
        share: the requests to the candidate and the stable version since the weights of the rule last changed.
        metrics_problem: why the stage's conditions cannot be asked at all, such as an unknown source; else empty.
    """

    name: str = "<name>"
    namespace: str = ""
    generation: int
    route: RouteFacts | RouteProblem
    managed: ManagedRoute | None = None
    deleted: bool = False
    commands: Mapping[str, str] = field(default_factory=dict)
    override: str = ""
    rollback_to: str = ""
    uid: str = ""
    actors: Actors = field(default_factory=Actors)
    policy: ModelSpec = field(default_factory=ModelSpec)
    audit: AuditFacts = field(default_factory=AuditFacts)
    unsafe_rollback: str = ""
    freeze: str | None = None
    conflict: str = ""
    status_problem: str = ""
    merged_conditions: str = ""
    has_finalizer: bool = False
    namespace_terminating: bool = False
    served: frozenset[str] = frozenset()
    endpoints: Mapping[BackendKey, int] = field(default_factory=dict)
    missing: frozenset[BackendKey] = frozenset()
    versions: Mapping[str, VersionFacts] = field(default_factory=dict)
    tests: Mapping[str, TestOutcome] = field(default_factory=dict)
    jobs: Mapping[str, JobFacts] = field(default_factory=dict)
    job_tests: bool = True
    refused_tests: Mapping[str, TestRefusal] = field(default_factory=dict)
    readings: tuple[Progress, ...] = ()
    share: RequestShare = NO_REQUESTS
    metrics_problem: str = ""

    def issuer_of(self, verb: Command) -> str:
        """Who gave this command, else ``unverified``; an approval has a stamp of its own."""
        actors = self.actors
        if verb is Command.PROMOTE and actors.approved_by != UNVERIFIED:
            return actors.approved_by
        return actors.issuer_of(verb.annotation)
