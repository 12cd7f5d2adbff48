"""Why the desired version's run cannot begin: the version, the route, the rollback target, the metrics, people."""

from serinus.api.model import Enforcement
from serinus.api.names import UNSAFE_ROLLBACK_ANNOTATION, model_version_name
from serinus.api.quantities import Share
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout import job_tests
from serinus.engine.rollout.draft import Draft, PlannedSituation, Situation
from serinus.engine.rollout.observation import VersionFacts
from serinus.engine.rollout.traffic.facts import RouteFacts, RouteProblem, backend_key
from serinus.engine.rollout.traffic.targets import (
    Adoption,
    beyond_route,
    place_of,
    serving_now,
    shared_backend,
    unfit,
)
from serinus.engine.rollout.waiting import Waiting, WaitReason
from serinus.engine.semver import same_line


def start_blocker(draft: Draft, situation: PlannedSituation) -> Waiting | None:
    """Return why the wanted version's run cannot begin, or None."""
    status, spec, observed = draft.status, situation.plan, situation.observed
    if spec.version in status.quarantined:
        return Waiting(
            WaitReason.QUARANTINED,
            f"{spec.version} was rolled back before and is not retried by itself: set spec.version or ask for a retry.",
        )
    name = model_version_name(spec.model, spec.version)
    facts = observed.versions.get(spec.version)
    if facts is None:
        return Waiting(WaitReason.MODEL_VERSION_MISSING, f"Apply the ModelVersion {name} in this namespace.")
    if facts.problem or facts.backend is None:
        problem = facts.problem or "it says nothing of spec.serving.backendRef"
        return Waiting(WaitReason.MODEL_VERSION_UNUSABLE, f"ModelVersion {name}: {problem}.")
    return (
        _not_admitted(facts, draft, situation)
        or job_tests.disabled(spec.stages, observed)
        or _route_blocker(draft, situation)
        or _target_blocker(status, situation)
        or _metrics_blocker(situation)
        or held_by_people(status, situation)
    )


def _not_admitted(facts: VersionFacts, draft: Draft, situation: Situation) -> Waiting | None:
    """Return why the registry or the Model's policy does not admit the version."""
    if facts.block is not None:
        return Waiting(facts.block.reason, facts.block.message, temporary=facts.block.temporary)
    stable, version, policy = draft.status.stable, facts.version, situation.observed.policy.versioning
    if stable is None or policy.enforcement is not Enforcement.ENFORCE:
        return None
    if not policy.allow_major_in_place and not same_line(stable.version, version):
        message = f"{version} breaks with {stable.version}: the clients of one route cannot be right for both."
        remedy = "Give it a route and a Rollout of its own, or set allowMajorInPlace in the Model's spec.versioning."
        return Waiting(WaitReason.MAJOR_VERSION_IN_PLACE, f"{message} {remedy}")
    if situation.observed.unsafe_rollback:
        remedy = f"Mend the signature, or annotate its ModelVersion with {UNSAFE_ROLLBACK_ANNOTATION}=<reason>."
        return Waiting(WaitReason.ROLLBACK_UNSAFE, f"{situation.observed.unsafe_rollback} {remedy}")
    return None


def _route_blocker(draft: Draft, situation: PlannedSituation) -> Waiting | None:
    spec, observed, stable = situation.plan, situation.observed, draft.status.stable
    if isinstance(observed.route, RouteProblem):
        return Waiting(observed.route.reason, observed.route.message)
    beyond = _router_blocker(situation, observed.route)
    if beyond is not None:
        return beyond
    if stable is not None and shared_backend(draft.status, observed, stable.version, spec.version):
        return _same_backend((stable.version, spec.version))
    if stable is not None:
        return _filters_blocker(draft.status, situation, observed.route)
    return unadoptable(spec.model, serving_now(observed.route, observed.versions.values()))


def unadoptable(model: str, found: Adoption) -> Waiting | None:
    """Return why what the route serves cannot be taken over as the stable version; None where it could.

    What one version alone serves has been adopted before this is asked.
    """
    if found.versions:
        return _same_backend(found.versions)
    if found.foreign:
        names = ", ".join(sorted(found.foreign))
        message = f"The route's traffic goes to {names}, which no ModelVersion of {model} names as its backend."
        remedy = "Apply a ModelVersion with this backend (name and port), so that it can be the stable version."
        return Waiting(WaitReason.FOREIGN_BACKENDS, f"{message} {remedy}")
    return None


def _router_blocker(situation: PlannedSituation, route: RouteFacts) -> Waiting | None:
    """Return what the plan or the version asks for that this kind of route cannot do."""
    spec, can = situation.plan, route.can
    kind = spec.route.rule.kind
    for index, stage in enumerate(spec.stages):
        if stage.traffic.parts % can.unit:
            least = Share.of_parts(can.unit)
            message = (
                f"spec.stages[{index}].traffic: {kind.field} gives no smaller shares than {least}, not {stage.traffic}"
            )
            return Waiting(WaitReason.BEYOND_ROUTER, f"{message}: write a multiple of {least}.")
        if stage.mirror is not None and not can.mirror:
            message = f"spec.stages[{index}].mirror: {kind.field} copies no requests: leave mirror out"
            return Waiting(WaitReason.BEYOND_ROUTER, f"{message}, or use a managed httpRoute.")
    facts = situation.observed.versions[spec.version]
    if facts.backend is None:
        return None
    path = f"ModelVersion {model_version_name(spec.model, spec.version)}, spec.serving.backendRef"
    if facts.backend.subset and not can.subsets:
        message = (
            f"{path}.subset: {kind.field} knows no subsets: "
            "give the version a Service of its own, or use virtualService."
        )
        return Waiting(WaitReason.BEYOND_ROUTER, message)
    key = backend_key(facts.backend)
    if can.services_only and not key.is_service:
        message = f"{path}.kind: {kind.field} knows only Services, not {key.kind}: name a Service, or use httpRoute."
        return Waiting(WaitReason.BEYOND_ROUTER, message)
    if not can.manages_backends and key not in {entry.key for entry in route.entries}:
        message = f"{kind.value} {spec.route.rule.name} does not list {key.label}, where {spec.version} serves"
        return Waiting(WaitReason.BACKEND_NOT_IN_ROUTE, f"{message}: add it there with no traffic.")
    return None


def _same_backend(versions: tuple[str, ...]) -> Waiting:
    names = " and ".join(versions)
    message = f"{names} name the same backend, so no traffic can be told apart. Give each version its own."
    return Waiting(WaitReason.SAME_BACKEND, message)


def _filters_blocker(status: RolloutStatus, situation: PlannedSituation, route: RouteFacts) -> Waiting | None:
    """Return that the candidate's entry stands in the rule already, with other filters than the stable version's."""
    version = situation.plan.version
    stable = place_of(status.stable.version, status, situation.observed) if status.stable is not None else None
    candidate = place_of(version, status, situation.observed)
    filters = {entry.key: entry.filters for entry in route.entries}
    if stable is None or candidate is None or candidate.key not in filters or stable.key not in filters:
        return None
    if filters[candidate.key] == filters[stable.key]:
        return None
    message = (
        f"The backendRef {candidate.key.label} has other filters than {stable.key.label}, which serves: "
        "make them equal, or remove the backendRef; it is added again with the filters of the one that serves."
    )
    return Waiting(WaitReason.FILTERS_DIFFER, message)


def _target_blocker(status: RolloutStatus, situation: PlannedSituation) -> Waiting | None:
    """Return why the version that ``spec.rollbackTo`` names can never be the rollback target of this run."""
    wanted = situation.plan.rollback_to
    if wanted is None:
        return None
    why = "is the version on trial" if wanted == situation.plan.version else unfit(wanted, status, situation.observed)
    why = why or beyond_route(wanted, status, situation.observed)
    if not why:
        return None
    message = f"spec.rollbackTo: {wanted} {why}: name a version that has served well, or leave rollbackTo out."
    return Waiting(WaitReason.ROLLBACK_TARGET_UNFIT, message)


def _metrics_blocker(situation: Situation) -> Waiting | None:
    problem = situation.observed.metrics_problem
    return Waiting(WaitReason.METRICS_INVALID, problem) if problem else None


def held_by_people(status: RolloutStatus, situation: Situation) -> Waiting | None:
    """Return who lets nothing advance: a person who paused the Rollout, or the namespace's freeze; else None."""
    pause, freeze = status.paused, situation.observed.freeze
    if pause is not None:
        return Waiting(WaitReason.PAUSED, f"Paused by {pause.requested_by}: {pause.reason}. Resume it to go on.")
    if freeze is None:
        return None
    message = f"The namespace is frozen: {freeze}. Take its annotation serinus.dev/freeze away to go on."
    return Waiting(WaitReason.FROZEN, message)
