"""Run lifecycle: preconditions, start, promotion, supersession, retry."""

from msgspec import structs

from serinus.api.names import Command
from serinus.api.rollout import Approval, RolloutSpec
from serinus.api.rollout_status import (
    CurrentStage,
    RolloutStatus,
    RouteStatus,
    RunResult,
    Serving,
    StageState,
    VersionRequest,
)
from serinus.api.route import RuleId
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, PlannedSituation, Situation
from serinus.engine.rollout.modes import Running, Stranded
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.traffic.facts import RouteFacts
from serinus.engine.rollout.traffic.mirrors import mirror_in
from serinus.engine.rollout.traffic.targets import (
    Adoption,
    could_take_over,
    is_barred,
    our_backends,
    place_of,
    serves_alone,
    serving_now,
    unfit,
    usable,
    with_backends,
)
from serinus.engine.rollout.waiting import Waiting, WaitReason


def adopt(draft: Draft, situation: PlannedSituation) -> Draft:
    """Adopt what the route serves already as the stable version, where exactly one ModelVersion names its backend."""
    route = situation.observed.route
    if not isinstance(route, RouteFacts):
        return draft
    version = _adoptable(serving_now(route, situation.observed.versions.values()), situation)
    if version is None:
        return draft
    facts = situation.observed.versions[version]
    stable = Serving(version=version, weight=100, since=situation.now, backend=facts.backend)
    adopted = draft.with_status(stable=stable)
    adopted = adopted.with_status(route=remembered_route(adopted.status, situation, route))
    message = f"The route serves {version} already: it is the stable version."
    return adopted.with_event(EventReason.STABLE_ADOPTED, message)


def _adoptable(found: Adoption, situation: PlannedSituation) -> str | None:
    """Return the version that the route serves; of several with its backend, the one that has served before."""
    if len(found.versions) == 1:
        return found.versions[0]
    vouched = [version for version in found.versions if version in situation.observed.served]
    return vouched[0] if len(vouched) == 1 else None


def remembered_route(status: RolloutStatus, situation: PlannedSituation, route: RouteFacts) -> RouteStatus:
    """Return the rule as the status keeps it: its name, and the backends with weight that are not ours."""
    ref, ours = situation.plan.route.rule, our_backends(situation.observed, status)
    foreign = dict.fromkeys(entry.key.label for entry in route.entries if entry.weight and entry.key not in ours)
    return RouteStatus(kind=ref.kind, name=ref.name, rule_name=ref.rule, foreign=tuple(foreign))


def has_moved(status: RolloutStatus, spec: RolloutSpec) -> bool:
    """Return whether the spec names another route or rule than the one that the status remembers."""
    route = status.route
    return route is not None and RuleId(route.kind, route.name, route.rule_name) != spec.route.rule


def is_reweighted(run: Running, status: RolloutStatus) -> bool:
    """Return whether the plan gives the stage under way another share than the one that the version was given in it.

    Or copies of another share of the requests.

    What was measured is about that share: the stage can pass with neither of the two.
    """
    stage = run.planned
    if stage is None or run.stage.state is StageState.PREPARING:
        return False
    return round(run.candidate.weight * 100) != stage.traffic.parts or run.candidate.mirror != mirror_in(stage, status)


def is_gated_since(run: Running) -> bool:
    """Return whether the plan asks for an approval of the stage under way since the run has entered it.

    A stage that needed one before is entered together with its traffic.
    """
    stage = run.planned
    return stage is not None and run.stage.state is StageState.PREPARING and stage.approval is Approval.REQUIRED


def move(draft: Draft, situation: PlannedSituation) -> Draft:
    """Take over another route: what it serves becomes the stable version; what it does not serve is not claimed."""
    route = situation.observed.route
    if not isinstance(route, RouteFacts):
        return draft
    if draft.status.stable is not None and _keeps_stable(draft.status.stable, draft.status, situation.observed, route):
        return draft.with_status(route=remembered_route(draft.status, situation, route))
    return adopt(draft.with_status(stable=None, route=None), situation)


def _keeps_stable(stable: Serving, status: RolloutStatus, observed: Observation, route: RouteFacts) -> bool:
    """Return whether the stable version stays so on another route: it serves there, or nothing does that may.

    A version that was rolled back or is refused is not adopted in its place as long as it can take the traffic.
    """
    barred = {version for version in observed.versions if is_barred(version, status, observed)}
    found = serving_now(route, [facts for version, facts in observed.versions.items() if version not in barred])
    if stable.version in found.versions:
        return True
    bad = {place.key.label for version in barred if (place := place_of(version, status, observed)) is not None}
    if found.serving is not None or set(found.foreign) - bad:
        return False
    place = place_of(stable.version, status, observed)
    return not found.foreign or (place is not None and place.is_ready)


def start(draft: Draft, situation: PlannedSituation) -> Draft:
    """Start a run of the desired version at the first stage, at 0 %."""
    status, spec, now = draft.status, situation.plan, situation.now
    first, route = spec.stages[0], situation.observed.route
    candidate = with_backends(Serving(version=spec.version, weight=0, since=now), situation.observed)
    actors = situation.observed.actors
    why = situation.reason_for(actors.version_by)
    begun = draft.with_status(
        run=status.run + 1,
        run_started_at=now,
        requested=VersionRequest(by=actors.version_by[:512], author=actors.version_author, reason=why[:1024]),
        plan_generation=situation.observed.generation,
        candidate=candidate,
        stage=CurrentStage(index=0, name=first.name, state=StageState.PREPARING, since=now, state_since=now),
        evidence=(),
        traffic=(),
        baselines=(),
        tests=(),
        approvals=(),
        rollback=None,
    )
    if isinstance(route, RouteFacts):
        begun = begun.with_status(route=remembered_route(begun.status, situation, route))
    stable = status.stable.version if status.stable is not None else "nothing"
    story = f"Run {status.run + 1}: {stable} -> {spec.version}."
    return begun.with_event(EventReason.ROLLOUT_STARTED, story, by=actors.version_by, why=why)


def leave(draft: Draft, situation: PlannedSituation) -> Draft:
    """End the run, or put away the rolled-back one, because another version or another plan is desired now.

    A candidate that serves while nothing else can becomes the stable version, so that nobody loses the model.
    """
    match draft.mode:
        case Running(candidate=trial) | Stranded(candidate=trial):
            draft = _end_early(draft, situation, trial)
        case _:
            pass
    return cleared(draft, situation)


def cleared(draft: Draft, situation: Situation) -> Draft:
    """Return the draft without candidate, stage and rollback; who serves alone becomes the stable version."""
    status, candidate = draft.status, draft.status.candidate
    if candidate is not None and keeps_serving(candidate, status, situation):
        good = status.stable.version if status.stable is not None else status.last_known_good
        stable = structs.replace(candidate, weight=100, since=situation.now)
        draft = draft.with_status(stable=stable, last_known_good=good)
    return draft.with_status(candidate=None, stage=None, rollback=None, evidence=(), tests=(), approvals=())


def keeps_serving(candidate: Serving, status: RolloutStatus, situation: Situation) -> bool:
    """Return whether the version on trial serves alone and the stable one could not take its traffic."""
    stable, observed = status.stable, situation.observed
    if stable is None:
        return candidate.weight > 0
    alone = candidate.weight > 0 and serves_alone(candidate.version, status, observed)
    return alone and not could_take_over(stable.version, status, observed)


def told_loss(candidate: Serving, status: RolloutStatus, situation: Situation) -> str:
    """Return what becomes of the candidate's traffic when its run is left, for a sentence."""
    if candidate.weight > 0 and keeps_serving(candidate, status, situation):
        return f"{candidate.version} keeps {candidate.weight:g}%, which nothing else could take"
    return f"{candidate.version} {candidate.weight:g}% -> 0%"


def leave_blocker(draft: Draft, situation: PlannedSituation) -> Waiting | None:
    """Return why a run cannot be left yet: what would get the candidate's traffic may not, or has no endpoint."""
    stable, candidate = draft.status.stable, draft.status.candidate
    if stable is None or candidate is None or candidate.weight == 0:
        return None
    place = place_of(stable.version, draft.status, situation.observed)
    trial = place_of(candidate.version, draft.status, situation.observed)
    if place is None or trial is None or not trial.is_ready:
        return None
    share = f"{candidate.version} keeps {candidate.weight:g}%"
    why = unfit(stable.version, draft.status, situation.observed)
    if why and serves_alone(candidate.version, draft.status, situation.observed):
        message = f"{share}: {stable.version}, which would get all the traffic, {why}. Set spec.version back."
        return Waiting(WaitReason.ROLLBACK_TARGET_NOT_READY, message)
    if place.is_ready:
        return None
    message = f"{share} until {stable.version} has a ready endpoint: it would get all the traffic."
    return Waiting(WaitReason.ROLLBACK_TARGET_NOT_READY, message)


def _end_early(draft: Draft, situation: PlannedSituation, candidate: Serving) -> Draft:
    stable, wanted = draft.status.stable, situation.plan.version
    loss = told_loss(candidate, draft.status, situation)
    if stable is not None and stable.version == wanted:
        reason = f"spec.version went back to {wanted}, which serves already"
        return draft.end_run(candidate, RunResult.CANCELLED, reason, situation.now).with_event(
            EventReason.ROLLOUT_CANCELLED,
            f"{loss}: {reason}.",
            by=situation.observed.actors.version_by,
        )
    actors = situation.observed.actors
    other = candidate.version != wanted
    reason = f"{wanted} is wanted now" if other else "the plan's stages changed"
    return draft.end_run(candidate, RunResult.SUPERSEDED, reason, situation.now).with_event(
        EventReason.ROLLOUT_SUPERSEDED,
        f"{loss}: {reason}.",
        by=actors.version_by if other else actors.spec_by,
    )


def promote(draft: Draft, candidate: Serving, situation: Situation) -> Draft:
    """Make the candidate, which has all the traffic and has passed, the stable version."""
    status = draft.status
    draft = draft.end_run(candidate, RunResult.PROMOTED, "every stage passed", situation.now)
    before = status.stable.version if status.stable is not None else None
    if before is not None and unfit(before, status, situation.observed):
        before = status.last_known_good
    draft = draft.with_status(
        stable=structs.replace(candidate, weight=100, since=situation.now, not_ready_since=None),
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
    by = situation.observed.issuer_of(Command.RETRY)
    story = f"{situation.plan.version} may start again, says {by}."
    draft = draft.with_status(quarantined=remaining)
    draft = draft.with_event(EventReason.QUARANTINE_LIFTED, story, by=by, why=situation.why(by, token))
    match draft.mode:
        case Stranded(stage=CurrentStage(index=index, name=name)):
            stage = CurrentStage(index=index, name=name, state=StageState.ANALYZING, since=now, state_since=now)
            return draft.with_status(rollback=None, stage=stage, evidence=())
        case _:
            return draft
