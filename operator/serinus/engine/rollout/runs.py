"""A run as a whole: what it needs to begin, how it begins, how it ends well, how another wish ends it early."""

from serinus.api.model import Enforcement
from serinus.api.names import UNSAFE_ROLLBACK_ANNOTATION, model_version_name
from serinus.api.rollout_status import CurrentStage, RolloutStatus, RunResult, Serving, StageState
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation, Waiting
from serinus.engine.rollout.modes import Mode, mode_of
from serinus.engine.rollout.observation import RouteFacts, RouteProblem, VersionFacts
from serinus.engine.rollout.targets import serving_now, shared_backend, usable
from serinus.engine.semver import same_line


def adopt(draft: Draft, situation: Situation) -> Draft:
    """Take what the route serves already as the stable version, where a ModelVersion names it."""
    route = situation.observed.route
    if draft.status.stable is not None or not isinstance(route, RouteFacts):
        return draft
    found = serving_now(route, situation.observed.versions.values(), situation.plan.version)
    if found.version is None:
        return draft
    stable = Serving(version=found.version, weight=100, since=situation.now)
    message = f"The route serves {found.version} already: it is the stable version."
    return draft.with_status(stable=stable).with_event(EventReason.STABLE_ADOPTED, message)


def start_blocker(draft: Draft, situation: Situation) -> Waiting | None:
    """Return why the wanted version's run cannot begin, or None."""
    status, spec, observed = draft.status, situation.plan, situation.observed
    if spec.version in status.quarantined:
        return Waiting(
            "Quarantined",
            f"{spec.version} was rolled back before and is not retried by itself: set spec.version or ask for a retry.",
            stalled=True,
        )
    name = model_version_name(spec.model, spec.version)
    facts = observed.versions.get(spec.version)
    if facts is None:
        return Waiting("ModelVersionMissing", f"Apply the ModelVersion {name} in this namespace.")
    if facts.problem or facts.backend is None:
        problem = facts.problem or "it says nothing of spec.serving.backendRef"
        return Waiting("ModelVersionUnusable", f"ModelVersion {name}: {problem}.")
    return _barred(facts, draft, situation) or _route_hindrance(draft, situation) or _held(status, situation)


def _barred(facts: VersionFacts, draft: Draft, situation: Situation) -> Waiting | None:
    """Return what the registry and the Model's policy have against the version."""
    if facts.block is not None:
        return Waiting(facts.block.reason, facts.block.message, stalled=not facts.block.passing)
    stable, version, policy = draft.status.stable, facts.version, situation.observed.policy.versioning
    if stable is None or policy.enforcement is not Enforcement.ENFORCE:
        return None
    if not policy.allow_major_in_place and not same_line(stable.version, version):
        message = f"{version} breaks with {stable.version}: the clients of one route cannot be right for both."
        remedy = "Give it a route and a Rollout of its own, or set allowMajorInPlace in the Model's spec.versioning."
        return Waiting("MajorVersionInPlace", f"{message} {remedy}", stalled=True)
    if situation.observed.unsafe_rollback:
        remedy = f"Mend the signature, or annotate its ModelVersion with {UNSAFE_ROLLBACK_ANNOTATION}=<reason>."
        return Waiting("RollbackUnsafe", f"{situation.observed.unsafe_rollback} {remedy}", stalled=True)
    return None


def _route_hindrance(draft: Draft, situation: Situation) -> Waiting | None:
    spec, observed, stable = situation.plan, situation.observed, draft.status.stable
    if isinstance(observed.route, RouteProblem):
        return Waiting(observed.route.reason, observed.route.message)
    if stable is not None and shared_backend(observed, stable.version, spec.version):
        message = f"{stable.version} and {spec.version} name the same backend, so no traffic can be told apart."
        return Waiting("SameBackend", f"{message} Give each version its own.", stalled=True)
    foreign = serving_now(observed.route, observed.versions.values(), spec.version).foreign
    if stable is None and foreign:
        names = ", ".join(sorted(set(foreign)))
        message = f"The route's traffic goes to {names}, which no ModelVersion of {spec.model} names as its backend."
        return Waiting(
            "ForeignBackends", f"{message} Apply a ModelVersion for it, so that it can be the stable version."
        )
    return None


def _held(status: RolloutStatus, situation: Situation) -> Waiting | None:
    if situation.observed.metrics_problem:
        return Waiting("MetricsInvalid", situation.observed.metrics_problem, stalled=True)
    if status.paused is not None:
        return Waiting("Paused", f"Paused by {status.paused.requested_by}: {status.paused.reason}. Resume it to go on.")
    if situation.observed.freeze is not None:
        return frozen(situation.observed.freeze)
    return None


def frozen(reason: str) -> Waiting:
    """Return what is said while the namespace lets nothing advance."""
    return Waiting(
        "Frozen", f"The namespace is frozen: {reason}. Take its annotation serinus.dev/freeze away to go on."
    )


def start(draft: Draft, situation: Situation) -> Draft:
    """Begin a run of the wanted version at the first stage, at 0 %."""
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


def leave(draft: Draft, situation: Situation) -> Draft:
    """End the run, or put away the rolled-back one, because another version or another plan is wanted now.

    A candidate that serves while nothing else can becomes the stable version, so that nobody loses the model.
    """
    status, now = draft.status, situation.now
    candidate = status.candidate
    mode = mode_of(status)
    if candidate is not None and mode in {Mode.RUNNING, Mode.STRANDED}:
        draft = _end_early(draft, situation, candidate)
    if status.stable is None and candidate is not None and candidate.weight > 0:
        draft = draft.with_status(stable=Serving(version=candidate.version, weight=100, since=now))
    return draft.with_status(candidate=None, stage=None, rollback=None, evidence=(), tests=(), approvals=())


def _end_early(draft: Draft, situation: Situation, candidate: Serving) -> Draft:
    stable, wanted = draft.status.stable, situation.plan.version
    if stable is not None and stable.version == wanted:
        reason = f"spec.version went back to {wanted}, which serves already"
        return draft.end_run(RunResult.CANCELLED, reason, situation.now).with_event(
            EventReason.ROLLOUT_CANCELLED,
            f"{candidate.version} {candidate.weight:g}% -> 0%: {reason}.",
            by=situation.observed.actors.spec_by,
        )
    reason = f"{wanted} is wanted now" if candidate.version != wanted else "the plan's stages changed"
    return draft.end_run(RunResult.SUPERSEDED, reason, situation.now).with_event(
        EventReason.ROLLOUT_SUPERSEDED,
        f"{candidate.version} {candidate.weight:g}% -> 0%: {reason}.",
        by=situation.observed.actors.spec_by,
    )


def promote(draft: Draft, situation: Situation) -> Draft:
    """Make the candidate, which has all the traffic and has passed, the stable version."""
    status = draft.status
    candidate = status.candidate
    assert candidate is not None  # noqa: S101 - only a run is promoted
    draft = draft.end_run(RunResult.PROMOTED, "every stage passed", situation.now)
    before = status.stable.version if status.stable is not None else None
    draft = draft.with_status(
        stable=Serving(version=candidate.version, weight=100, since=situation.now),
        last_known_good=before,
        candidate=None,
        stage=None,
    )
    back = f"; {before} stays ready to go back to" if before and usable(situation.observed, before) else ""
    return draft.with_event(EventReason.ROLLOUT_PROMOTED, f"{candidate.version} serves 100%{back}.")


def try_again(draft: Draft, situation: Situation, token: str) -> Draft:
    """Let a quarantined version start again; a stranded one is judged anew where it stands."""
    status, now = draft.status, situation.now
    remaining = tuple(version for version in status.quarantined if version != situation.plan.version)
    actors = situation.observed.actors
    story = f"{situation.plan.version} may start again, says {actors.requested_by}."
    draft = draft.with_status(quarantined=remaining)
    draft = draft.with_event(EventReason.QUARANTINE_LIFTED, story, by=actors.requested_by, why=situation.why(token))
    if mode_of(status) is Mode.STRANDED and status.stage is not None:
        stage = CurrentStage(
            index=status.stage.index, name=status.stage.name, state=StageState.ANALYZING, since=now, state_since=now
        )
        return draft.with_status(rollback=None, stage=stage, evidence=())
    return draft
