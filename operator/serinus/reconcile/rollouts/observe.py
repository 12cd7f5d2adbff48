"""From records to an Observation: reads the caches, calls no port."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from serinus.api.model import ModelSpec
from serinus.api.modelversion import BackendRef
from serinus.api.names import ObjectKey
from serinus.api.rollout import HttpRouteRef, RolloutSpec
from serinus.engine.analysis.assessment import Progress
from serinus.engine.rollout.observation import (
    Actors,
    AuditFacts,
    InvalidSpec,
    Observation,
    RouteFacts,
    RouteProblem,
    TestOutcome,
    VersionFacts,
)
from serinus.engine.rollout.route_plan import choose_rule
from serinus.engine.rollout.waiting import WaitReason
from serinus.engine.versions.admission import Review
from serinus.ports.cluster_state import ModelVersionRecord, RolloutRecord
from serinus.reconcile.cache import ClusterCache
from serinus.reconcile.modelversions.admission_cache import AdmissionCache


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
        metrics_problem: why the conditions can never be measured; empty where they can.
        http_tests: the ended HTTP tests, by name.
        actor_stamped: whether the annotations that name the actors were stamped by the API server.
        audit: which audit records the registry has.
    """

    readings: tuple[Progress, ...] = ()
    metrics_problem: str = ""
    http_tests: Mapping[str, TestOutcome] = field(default_factory=dict)
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
    return Observation(
        name=key.name,
        generation=record.generation,
        deleted=deleted or record.deleting,
        commands=record.commands,
        rollback_to=record.rollback_to,
        uid=record.meta.uid,
        actors=record.actors if local.actor_stamped else _unstamped(record.actors),
        policy=admission.policy(model) if model is not None else ModelSpec(),
        audit=local.audit,
        unsafe_rollback=_unsafe_rollback(admission, record, plan) if plan is not None else "",
        freeze=cache.freeze(key.namespace),
        conflict=_older_rival(cache, record, plan) if plan is not None else "",
        versions={version.version: _facts(cache, version, reviews.get(version.version)) for version in versions},
        route=_route(cache, key.namespace, plan.route.http_route) if plan is not None else _NO_PLAN,
        tests={**job_outcomes(cache, record), **local.http_tests},
        readings=local.readings,
        metrics_problem=local.metrics_problem,
    )


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
    """Return how many endpoints of a Service are ready; None for other kinds, which have no EndpointSlices."""
    if backend is None or backend.group or backend.kind != "Service":
        return None
    return cache.ready_endpoints(namespace, backend.name)


def _route(cache: ClusterCache, namespace: str, ref: HttpRouteRef) -> RouteFacts | RouteProblem:
    record = cache.route(ObjectKey(namespace, ref.name))
    if record is None:
        return RouteProblem(
            WaitReason.ROUTE_MISSING, f"HTTPRoute {ref.name} does not exist in namespace {namespace}: apply it."
        )
    position = choose_rule(ref, [rule.name for rule in record.rules], record.owner)
    if isinstance(position, RouteProblem):
        return position
    return RouteFacts(
        generation=record.generation,
        entries=record.rules[position].entries,
        parents=record.parents,
        written_by=record.written_by,
    )


def _older_rival(cache: ClusterCache, record: RolloutRecord, plan: RolloutSpec) -> str:
    """Return the name of an older Rollout with the same model or the same rule of a route."""
    own_age = (record.created_at, record.meta.key.name)
    for other in cache.rivals(record.meta.key, plan):
        other_plan = cache.last_plan(other)
        if other_plan is None or (other.created_at, other.meta.key.name) > own_age:
            continue
        if other_plan.model == plan.model or _share_a_rule(other_plan.route.http_route, plan.route.http_route):
            return other.meta.key.name
    return ""


def _share_a_rule(ref: HttpRouteRef, other: HttpRouteRef) -> bool:
    """Return whether two references may mean the same rule: one without a rule's name means the route's only rule."""
    names = {ref.rule_name, other.rule_name}
    return ref.name == other.name and (len(names) == 1 or None in names)


def job_outcomes(cache: ClusterCache, record: RolloutRecord) -> dict[str, TestOutcome]:
    """Return the outcomes of the ended Jobs of the current run and stage, by test."""
    status = record.status
    if status.stage is None:
        return {}
    current = (record.meta.uid, status.run, status.stage.name)
    return {
        job.test: job.outcome
        for job in cache.jobs(record.meta.key)
        if job.outcome is not None and (job.owner, job.run, job.stage) == current
    }
