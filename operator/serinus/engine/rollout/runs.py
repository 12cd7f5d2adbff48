"""Run lifecycle: preconditions, start, promotion, supersession, retry."""

from serinus.api.model import Enforcement
from serinus.api.names import UNSAFE_ROLLBACK_ANNOTATION, model_version_name
from serinus.api.rollout_status import CurrentStage, RolloutStatus, RunResult, Serving, StageState
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, PlannedSituation, Situation
from serinus.engine.rollout.modes import Running, Stranded
from serinus.engine.rollout.observation import RouteFacts, RouteProblem, VersionFacts
from serinus.engine.rollout.targets import serving_now, shared_backend, usable
from serinus.engine.rollout.waiting import Waiting, WaitReason
from serinus.engine.semver import same_line


def adopt(draft: Draft, situation: PlannedSituation) -> Draft:
    """Adopt what the route serves already as the stable version, where a ModelVersion names its backend."""
    route = situation.observed.route
    if draft.status.stable is not None or not isinstance(route, RouteFacts):
        return draft
    found = serving_now(route, situation.observed.versions.values(), situation.plan.version)
    if found.version is None:
        return draft
    stable = Serving(version=found.version, weight=100, since=situation.now)
    message = f"The route serves {found.version} already: it is the stable version."
    return draft.with_status(stable=stable).with_event(EventReason.STABLE_ADOPTED, message)


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
        or _route_blocker(draft, situation)
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
    if stable is not None and shared_backend(observed, stable.version, spec.version):
        message = f"{stable.version} and {spec.version} name the same backend, so no traffic can be told apart."
        return Waiting(WaitReason.SAME_BACKEND, f"{message} Give each version its own.")
    foreign = serving_now(observed.route, observed.versions.values(), spec.version).foreign
    if stable is None and foreign:
        names = ", ".join(sorted(set(foreign)))
        message = f"The route's traffic goes to {names}, which no ModelVersion of {spec.model} names as its backend."
        return Waiting(
            WaitReason.FOREIGN_BACKENDS, f"{message} Apply a ModelVersion for it, so that it can be the stable version."
        )
    return None


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


def start(draft: Draft, situation: PlannedSituation) -> Draft:
    """Start a run of the desired version at the first stage, at 0 %."""
    status, spec, now = draft.status, situation.plan, situation.now
    first = spec.stages[0]
    begun = draft.with_status(
        run=status.run + 1,
        run_started_at=now,
        candidate=Serving(version=spec.version, weight=0, since=now),
        stage=CurrentStage(index=0, name=first.name, state=StageState.PREPARING, since=now, state_since=now),
        evidence=(),
        tests=(),
        approvals=(),
        rollback=None,
    )
    stable = status.stable.version if status.stable is not None else "nothing"
    story = f"Run {status.run + 1}: {stable} -> {spec.version}."
    actors = situation.observed.actors
    return begun.with_event(EventReason.ROLLOUT_STARTED, story, by=actors.spec_by, why=actors.reason)


def leave(draft: Draft, situation: PlannedSituation) -> Draft:
    """End the run, or put away the rolled-back one, because another version or another plan is desired now.

    A candidate that serves while nothing else can becomes the stable version, so that nobody loses the model.
    """
    status, now = draft.status, situation.now
    candidate = status.candidate
    match draft.mode:
        case Running(candidate=trial) | Stranded(candidate=trial):
            draft = _end_early(draft, situation, trial)
        case _:
            pass
    if status.stable is None and candidate is not None and candidate.weight > 0:
        draft = draft.with_status(stable=Serving(version=candidate.version, weight=100, since=now))
    return draft.with_status(candidate=None, stage=None, rollback=None, evidence=(), tests=(), approvals=())


def _end_early(draft: Draft, situation: PlannedSituation, candidate: Serving) -> Draft:
    stable, wanted = draft.status.stable, situation.plan.version
    if stable is not None and stable.version == wanted:
        reason = f"spec.version went back to {wanted}, which serves already"
        return draft.end_run(candidate, RunResult.CANCELLED, reason, situation.now).with_event(
            EventReason.ROLLOUT_CANCELLED,
            f"{candidate.version} {candidate.weight:g}% -> 0%: {reason}.",
            by=situation.observed.actors.spec_by,
        )
    reason = f"{wanted} is wanted now" if candidate.version != wanted else "the plan's stages changed"
    return draft.end_run(candidate, RunResult.SUPERSEDED, reason, situation.now).with_event(
        EventReason.ROLLOUT_SUPERSEDED,
        f"{candidate.version} {candidate.weight:g}% -> 0%: {reason}.",
        by=situation.observed.actors.spec_by,
    )


def promote(draft: Draft, candidate: Serving, situation: Situation) -> Draft:
    """Make the candidate, which has all the traffic and has passed, the stable version."""
    status = draft.status
    draft = draft.end_run(candidate, RunResult.PROMOTED, "every stage passed", situation.now)
    before = status.stable.version if status.stable is not None else None
    draft = draft.with_status(
        stable=Serving(version=candidate.version, weight=100, since=situation.now),
        last_known_good=before,
        candidate=None,
        stage=None,
    )
    back = f"; {before} stays ready to go back to" if before and usable(situation.observed, before) else ""
    return draft.with_event(EventReason.ROLLOUT_PROMOTED, f"{candidate.version} serves 100%{back}.")


def try_again(draft: Draft, situation: PlannedSituation, token: str) -> Draft:
    """Let a quarantined version start again; a stranded one is judged anew where it stands."""
    status, now = draft.status, situation.now
    remaining = tuple(version for version in status.quarantined if version != situation.plan.version)
    actors = situation.observed.actors
    story = f"{situation.plan.version} may start again, says {actors.requested_by}."
    draft = draft.with_status(quarantined=remaining)
    draft = draft.with_event(EventReason.QUARANTINE_LIFTED, story, by=actors.requested_by, why=situation.why(token))
    match draft.mode:
        case Stranded(stage=CurrentStage(index=index, name=name)):
            stage = CurrentStage(index=index, name=name, state=StageState.ANALYZING, since=now, state_since=now)
            return draft.with_status(rollback=None, stage=stage, evidence=())
        case _:
            return draft
