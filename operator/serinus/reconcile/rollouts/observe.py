"""From records to an Observation: reads the caches, calls no port."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from serinus.api.model import ModelSpec
from serinus.api.modelversion import BackendRef
from serinus.api.names import ObjectKey
from serinus.api.rollout import RolloutSpec
from serinus.api.route import RuleId
from serinus.engine.analysis.assessment import Progress
from serinus.engine.analysis.share import NO_REQUESTS, RequestShare
from serinus.engine.rollout.modes import Idle, RolledBack, Settled, mode_of
from serinus.engine.rollout.observation import (
    Actors,
    AuditFacts,
    InvalidSpec,
    JobFacts,
    Observation,
    TestOutcome,
    TestRefusal,
    VersionFacts,
)
from serinus.engine.rollout.tested_content import current_contents, is_as_written
from serinus.engine.rollout.traffic.confirmation import route_in_use
from serinus.engine.rollout.traffic.facts import BackendKey, RouteFacts, RouteProblem, backend_key
from serinus.engine.rollout.traffic.managed import missing, not_managed
from serinus.engine.rollout.traffic.route_plan import choose_rule, with_ports
from serinus.engine.rollout.traffic.targets import on_trial
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.versions.admission import Review
from serinus.ports.cluster_state import JobRecord, ModelVersionRecord, PodFacts, RolloutRecord, RouteRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache
from serinus.reconcile.rollouts.managed_route import is_made_for, managed_route, template_of


def spec_of(cache: ClusterCache, record: RolloutRecord) -> RolloutSpec | InvalidSpec:
    """Return the Rollout's spec; one that cannot be read comes with the last one that could."""
    if isinstance(record.spec, RolloutSpec):
        return record.spec
    return InvalidSpec(record.spec.path, record.spec.problem, cache.last_plan(record))


@dataclass(frozen=True, slots=True)
class LocalFacts:
    """Facts that are not in the cluster's objects.

    Attributes:
        readings: the analysis of the stage, one progress a condition.
        share: the requests to candidate and stable version since the weights last changed.
        metrics_problem: why the conditions can never be measured; empty where they can.
        http_tests: the ended tests that no Job in the cluster tells of, by name.
        pods: what the pods of the Jobs under way show, by the Job's uid.
        own_jobs: the uid of the Job that was created for a test, by test.
        refused_tests: why Jobs were not created and HTTP tests not sent, by test.
        job_tests: whether this installation creates Jobs for tests.
        actor_stamped: whether the annotations that name the actors were stamped by the API server.
        audit: which audit records the registry has.
    """

    readings: tuple[Progress, ...] = ()
    share: RequestShare = NO_REQUESTS
    metrics_problem: str = ""
    http_tests: Mapping[str, TestOutcome] = field(default_factory=dict)
    pods: Mapping[str, PodFacts] = field(default_factory=dict)
    own_jobs: Mapping[str, str] = field(default_factory=dict)
    refused_tests: Mapping[str, TestRefusal] = field(default_factory=dict)
    job_tests: bool = True
    actor_stamped: bool = False
    audit: AuditFacts = field(default_factory=AuditFacts)


def observe(
    cache: ClusterCache, admission: AdmissionCache, record: RolloutRecord, local: LocalFacts, *, deleted: bool = False
) -> Observation:
    """Return every fact about one Rollout that the engine decides by."""
    plan = cache.last_plan(record)
    key = record.meta.key
    model = ObjectKey(key.namespace, plan.model) if plan is not None else None
    versions = cache.versions(*model) if model is not None else ()
    reviews = admission.reviews(model) if model is not None else {}
    route = route_facts(cache, record)
    managed = managed_route(cache, record)
    jobs = current_jobs(cache, record, local.own_jobs)
    return Observation(
        name=key.name,
        namespace=key.namespace,
        generation=record.generation,
        deleted=deleted or record.deleting,
        status_problem=record.status_problem,
        merged_conditions=record.merged_conditions,
        has_finalizer=record.has_finalizer and not deleted,
        namespace_terminating=cache.terminating(key.namespace),
        served=cache.served(*model) if model is not None else frozenset(),
        endpoints=_endpoints(cache, record),
        missing=_missing(cache, record, versions, route),
        commands=record.commands,
        override=record.override,
        rollback_to=record.rollback_to,
        uid=record.meta.uid,
        actors=record.actors if local.actor_stamped else _unstamped(record.actors),
        policy=admission.policy(model) if model is not None else ModelSpec(),
        audit=local.audit,
        unsafe_rollback=_unsafe_rollback(admission, record, plan) if plan is not None else "",
        freeze=cache.freeze(key.namespace),
        conflict=_keeper(cache, record, plan) if plan is not None else "",
        versions={version.version: _facts(cache, version, reviews.get(version.version)) for version in versions},
        route=route,
        managed=managed,
        tests={**job_outcomes(jobs), **local.http_tests},
        jobs={job.test: _job(job, local.pods) for job in jobs if job.outcome is None},
        job_tests=local.job_tests,
        refused_tests=local.refused_tests,
        readings=local.readings,
        share=local.share,
        metrics_problem=local.metrics_problem,
    )


def route_facts(cache: ClusterCache, record: RolloutRecord) -> RouteFacts | RouteProblem:
    """Return the rule that carries a Rollout's traffic."""
    ref = route_in_use(cache.last_plan(record), record.status)
    return _route(cache, record, ref) if ref is not None else _NO_PLAN


_NO_PLAN = RouteProblem(WaitReason.SPEC_INVALID, "The spec names no route that could be read.")


def _unstamped(actors: Actors) -> Actors:
    """Return only what a person may claim: where the API server does not stamp them, anybody can write any name."""
    return Actors(on_behalf_of=actors.on_behalf_of, reason=actors.reason)


def _unsafe_rollback(admission: AdmissionCache, record: RolloutRecord, plan: RolloutSpec) -> str:
    """Return why clients of the wanted version could not go back to the one that would take the traffic back."""
    stable = record.status.stable
    target = plan.rollback_to or (stable.version if stable is not None else None)
    if target is None or target == plan.version:
        return ""
    return admission.unsafe_rollback(record.meta.key.namespace, plan.model, plan.version, target)


def _facts(cache: ClusterCache, record: ModelVersionRecord, review: Review | None) -> VersionFacts:
    artifact = record.spec.artifact if record.spec is not None else None
    return VersionFacts(
        version=record.version,
        backend=record.backend,
        ready=_ready(cache, record.meta.key.namespace, record.backend),
        problem=record.problem,
        digest=(artifact.digest or "") if artifact is not None else "",
        spec_hash=record.spec_hash,
        block=review.block if review is not None else None,
    )


def _ready(cache: ClusterCache, namespace: str, backend: BackendRef | None) -> int | None:
    """Return how many endpoints of a Service are ready; None where that cannot be counted.

    Other kinds have no EndpointSlices. The endpoints of a Service do not tell in which subset they are: where there are
    some, nothing is known of one subset.
    """
    if backend is None or backend.group or backend.kind != "Service":
        return None
    ready = cache.ready_endpoints(namespace, backend.name)
    return ready if ready == 0 or not backend.subset else None


def _endpoints(cache: ClusterCache, record: RolloutRecord) -> dict[BackendKey, int]:
    """Return the ready endpoints of the Services that the status names, whatever became of their ModelVersions."""
    namespace = record.meta.key.namespace
    roles = (record.status.stable, record.status.candidate)
    backends = [role.backend for role in roles if role is not None and role.backend is not None]
    counts = ((backend_key(backend), _ready(cache, namespace, backend)) for backend in backends)
    return {key: ready for key, ready in counts if ready is not None}


def _missing(
    cache: ClusterCache,
    record: RolloutRecord,
    versions: Iterable[ModelVersionRecord],
    route: RouteFacts | RouteProblem,
) -> frozenset[BackendKey]:
    """Return the Services without any EndpointSlice that are in the rule, or could be put there.

    A Service that exists has a slice. One that is missing must not count as there once its entry is out of the rule:
    the entry would be added and removed for ever.
    """
    roles = (record.status.stable, record.status.candidate)
    backends = [version.backend for version in versions] + [role.backend for role in roles if role is not None]
    keys = {backend_key(backend) for backend in backends if backend is not None}
    keys |= {entry.key for entry in route.entries} if isinstance(route, RouteFacts) else set()
    namespace = record.meta.key.namespace
    return frozenset(key for key in keys if key.is_service and not cache.has_slices(namespace, key.name))


def _route(cache: ClusterCache, rollout: RolloutRecord, ref: RuleId) -> RouteFacts | RouteProblem:
    namespace = rollout.meta.key.namespace
    can = cache.routers.get(ref.kind)
    if can is None:
        remedy = f"add {ref.kind.field} to config.routers in the values of the chart, or name another kind of route"
        message = f"{ref.kind.path}: this installation has not switched on the router {ref.kind.field}: {remedy}."
        return RouteProblem(WaitReason.ROUTER_NOT_ENABLED, message)
    record, template = cache.route(namespace, ref), template_of(cache, rollout, ref)
    if record is None and template is not None:
        return missing(ref)
    if record is None:
        message = f"{ref.kind.value} {ref.name} does not exist in namespace {namespace}: apply it."
        return RouteProblem(WaitReason.ROUTE_MISSING, message)
    known, trial = _named_backends(cache, rollout), on_trial(rollout.status)
    rules = [with_ports(rule.entries, known) for rule in record.rules]
    naming = [place for place, entries in enumerate(rules) if trial in {entry.key for entry in entries}]
    foreign = not_managed(ref) if template is not None and not is_made_for(rollout, record) else None
    if rollout.deleting and record.shape is not None and not record.made_for:
        # Deleted with --cascade=orphan: it is still the route whose traffic must be brought back.
        foreign = None
    if foreign is not None and (trial is None or not naming):
        return foreign
    position = choose_rule(ref, [rule.name for rule in record.rules], record.owner, naming)
    if isinstance(position, RouteProblem):
        return position
    return RouteFacts(
        generation=record.generation,
        entries=rules[position],
        parents=record.parents,
        written_by=record.written_by,
        can=can,
        not_ours=foreign,
        mirrors=record.rules[position].mirrors if _may_be_shaped(rollout, record) else None,
    )


def _may_be_shaped(rollout: RolloutRecord, record: RouteRecord) -> bool:
    """Return whether the operator has made a route for this Rollout, so that more than its weights is the operator's.

    With ``--cascade=orphan`` the API server takes it from a Rollout that is being deleted.
    """
    return record.shape is not None and (is_made_for(rollout, record) or (rollout.deleting and not record.made_for))


def _named_backends(cache: ClusterCache, record: RolloutRecord) -> frozenset[BackendKey]:
    """Return the backends of the model's ModelVersions, and of the versions that the status names."""
    plan, namespace = cache.last_plan(record), record.meta.key.namespace
    backends = [version.backend for version in cache.versions(namespace, plan.model)] if plan is not None else []
    backends += [role.backend for role in (record.status.stable, record.status.candidate) if role is not None]
    return frozenset(backend_key(backend) for backend in backends if backend is not None)


def _keeper(cache: ClusterCache, record: RolloutRecord, plan: RolloutSpec) -> str:
    """Return the Rollout that keeps the model or the rule that this one wants too; empty where it is this one.

    Who has a run under way keeps it, then who serves, then who is older: what somebody else applies or edits must not
    take a route from a version that is being watched on it.
    """
    own = _claim(record)
    for other in cache.rivals(record.meta.key, plan):
        other_plan = cache.last_plan(other)
        if other_plan is None or _claim(other) > own:
            continue
        if other_plan.model == plan.model or _rule_of(other, other_plan).may_be(_rule_of(record, plan)):
            return other.meta.key.name
    return ""


def _rule_of(record: RolloutRecord, plan: RolloutSpec) -> RuleId:
    """Return the rule that a Rollout uses now: while a run is under way that is the one it began on."""
    return route_in_use(plan, record.status) or plan.route.rule


def _claim(record: RolloutRecord) -> tuple[int, datetime, str]:
    """Return the order of claims on a route: the smallest keeps it."""
    match mode_of(record.status):
        case Settled() | RolledBack():
            rank = 1
        case Idle():
            rank = 2
        case _:
            rank = 0
    return (rank, record.created_at, record.meta.key.name)


def current_jobs(cache: ClusterCache, record: RolloutRecord, own: Mapping[str, str]) -> tuple[JobRecord, ...]:
    """Return the Jobs of the current run and stage, of the tests as the plan has them now.

    Only those with this uid where one is known, by test.
    """
    status = record.status
    if status.stage is None:
        return ()
    current, contents = (record.meta.uid, status.run, status.stage.name), contents_in(cache, record)
    jobs = (job for job in cache.jobs(record.meta.key) if (job.owner, job.run, job.stage) == current)
    return tuple(
        job
        for job in jobs
        if own.get(job.test, job.meta.uid) == job.meta.uid and is_as_written(job.test, job.content, contents)
    )


def contents_in(cache: ClusterCache, record: RolloutRecord) -> dict[str, str]:
    """Return the content of each test of the Rollout's current stage, by name; none where no stage is testing."""
    return current_contents(cache.last_plan(record), record.status)


def job_outcomes(jobs: Iterable[JobRecord]) -> dict[str, TestOutcome]:
    """Return the outcomes of the ended Jobs, by test."""
    return {job.test: job.outcome for job in jobs if job.outcome is not None}


def _job(job: JobRecord, pods: Mapping[str, PodFacts]) -> JobFacts:
    seen = pods.get(job.meta.uid, PodFacts(has_run=False))
    return JobFacts(
        name=job.meta.key.name,
        uid=job.meta.uid,
        has_run=job.has_run or seen.has_run,
        problem=seen.problem,
        deadline=timedelta(seconds=job.deadline),
    )
