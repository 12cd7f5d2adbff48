"""From records to an Observation: read-only, no call to the outside."""

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


def spec_of(store: ClusterCache, record: RolloutRecord) -> RolloutSpec | InvalidSpec:
    """Return the Rollout's spec; one that cannot be read carries the last one that could."""
    if isinstance(record.spec, RolloutSpec):
        return record.spec
    return InvalidSpec(record.spec.path, record.spec.problem, store.last_plan(record))


@dataclass(frozen=True, slots=True)
class LocalFacts:
    """What is known beside the cluster's objects.

    Attributes:
        readings: the stage's evidence.
        metrics_problem: why it can never be had.
        http_tests: the ended HTTP tests.
        actor_stamped: whether the annotations that name the actors were stamped by the API server.
        audit: how far the registry is.
    """

    readings: tuple[Progress, ...] = ()
    metrics_problem: str = ""
    http_tests: Mapping[str, TestOutcome] = field(default_factory=dict)
    actor_stamped: bool = False
    audit: AuditFacts = field(default_factory=AuditFacts)


def observe(
    store: ClusterCache, reviews: AdmissionCache, record: RolloutRecord, found: LocalFacts, *, deleted: bool = False
) -> Observation:
    """Return every fact about one Rollout that the engine may look at."""
    plan = store.last_plan(record)
    key = record.meta.key
    model = ObjectKey(key.namespace, plan.model) if plan is not None else None
    versions = store.versions(*model) if model is not None else ()
    reviewed = reviews.reviews(model) if model is not None else {}
    return Observation(
        name=key.name,
        generation=record.generation,
        deleted=deleted or record.deleting,
        commands=record.commands,
        rollback_to=record.rollback_to,
        uid=record.meta.uid,
        actors=record.actors if found.actor_stamped else _unstamped(record.actors),
        policy=reviews.policy(model) if model is not None else ModelSpec(),
        audit=found.audit,
        unsafe_rollback=_unsafe_rollback(reviews, record, plan) if plan is not None else "",
        freeze=store.freeze(key.namespace),
        conflict=_older_rival(store, record, plan) if plan is not None else "",
        versions={version.version: _facts(store, version, reviewed.get(version.version)) for version in versions},
        route=_route(store, key.namespace, plan.route.http_route) if plan is not None else _NO_PLAN,
        tests={**job_outcomes(store, record), **found.http_tests},
        readings=found.readings,
        metrics_problem=found.metrics_problem,
    )


_NO_PLAN = RouteProblem(WaitReason.SPEC_INVALID, "The spec names no route that could be read.")


def _unstamped(actors: Actors) -> Actors:
    """Return what is left where anybody could have written the names: what they say of themselves."""
    return Actors(on_behalf_of=actors.on_behalf_of, reason=actors.reason)


def _unsafe_rollback(reviews: AdmissionCache, record: RolloutRecord, plan: RolloutSpec) -> str:
    """Return why clients of the wanted version could not go back to the one that would take the traffic back."""
    stable = record.status.stable
    target = plan.rollback_to or (stable.version if stable is not None else None)
    if target is None or target == plan.version:
        return ""
    return reviews.unsafe_rollback(record.meta.key.namespace, plan.model, plan.version, target)


def _facts(store: ClusterCache, record: ModelVersionRecord, review: Review | None) -> VersionFacts:
    artifact = record.spec.artifact if record.spec is not None else None
    return VersionFacts(
        version=record.version,
        backend=record.backend,
        ready=_ready(store, record.meta.key.namespace, record.backend),
        problem=record.problem,
        digest=(artifact.digest or "") if artifact is not None else "",
        spec_hash=record.spec_hash,
        block=review.block if review is not None else None,
    )


def _ready(store: ClusterCache, namespace: str, backend: BackendRef | None) -> int | None:
    """Return the ready endpoints of a Service; only Services have EndpointSlices that could be counted."""
    if backend is None or backend.group or backend.kind != "Service":
        return None
    return store.ready_endpoints(namespace, backend.name)


def _route(store: ClusterCache, namespace: str, ref: HttpRouteRef) -> RouteFacts | RouteProblem:
    record = store.route(ObjectKey(namespace, ref.name))
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


def _older_rival(store: ClusterCache, record: RolloutRecord, plan: RolloutSpec) -> str:
    """Return the name of an older Rollout with the same model or the same rule of a route."""
    mine = (record.created_at, record.meta.key.name)
    for other in store.rivals(record.meta.key, plan):
        theirs = store.last_plan(other)
        if theirs is None or (other.created_at, other.meta.key.name) > mine:
            continue
        if theirs.model == plan.model or _share_a_rule(theirs.route.http_route, plan.route.http_route):
            return other.meta.key.name
    return ""


def _share_a_rule(one: HttpRouteRef, other: HttpRouteRef) -> bool:
    """Say whether two references may mean the same rule: one without a rule's name means the only one there is."""
    names = {one.rule_name, other.rule_name}
    return one.name == other.name and (len(names) == 1 or None in names)


def job_outcomes(store: ClusterCache, record: RolloutRecord) -> dict[str, TestOutcome]:
    """Return the outcomes of the ended Jobs of the current run and stage, by test."""
    status = record.status
    if status.stage is None:
        return {}
    here = (record.meta.uid, status.run, status.stage.name)
    return {
        job.test: job.outcome
        for job in store.jobs(record.meta.key)
        if job.outcome is not None and (job.owner, job.run, job.stage) == here
    }
