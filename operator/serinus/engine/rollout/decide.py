"""Entry point of the decision core: spec + last status + observation -> next status + actions.

Total and pure: the same arguments always give the same decision, and every argument gives one. The guards stand in the
order in which they win.
"""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from serinus.api.quantities import WEIGHT_SCALE
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RollbackReason, RolloutStatus
from serinus.engine.analysis.assessment import assess
from serinus.engine.rollout import commands, rollback, runs
from serinus.engine.rollout.actions import BackendShare, SetWeights
from serinus.engine.rollout.commands import PendingCommands
from serinus.engine.rollout.conclude import conclude, settled_evidence
from serinus.engine.rollout.confirmation import weights_hold
from serinus.engine.rollout.decision import Decision
from serinus.engine.rollout.draft import Draft, PlannedSituation, Situation
from serinus.engine.rollout.modes import Idle, RolledBack, RollingBack, Running, Settled, Stranded, mode_of
from serinus.engine.rollout.observation import InvalidSpec, Observation
from serinus.engine.rollout.outbox import backlog
from serinus.engine.rollout.stages import walk
from serinus.engine.rollout.targets import our_backends, rollback_target, usable
from serinus.engine.rollout.waiting import Waiting, WaitReason


def decide(spec: RolloutSpec | InvalidSpec, status: RolloutStatus, observed: Observation, now: datetime) -> Decision:
    """Return the Rollout's next status and the actions that make it true.

    Args:
        spec: the desired state, or why it does not parse.
        status: the last written status; the only state the operator keeps.
        observed: the facts around the Rollout.
        now: the time, aware, UTC.
    """
    situation = _situation(spec, status, observed, now)
    if observed.deleted:
        return _drain(status, situation)
    draft, pending = commands.apply_commands(Draft(status=status, spec=situation.spec), situation)
    draft = _advance(draft, situation, pending, _unfollowable(spec, observed))
    return conclude(draft, status, situation, writes=not observed.conflict)


def _advance(draft: Draft, situation: Situation, pending: PendingCommands, unfollowable: Waiting | None) -> Draft:
    # 1. A rollback that has begun is finished before anything else is considered.
    if isinstance(draft.mode, RollingBack):
        return _finish_rollback(draft, draft.mode, situation)
    # 2. Abort beats everything: pause, gates, freeze, an invalid spec, a route that is not accepted.
    rescued = _rescue(draft, situation, pending)
    if rescued is not None:
        return rescued
    # 3. A spec that cannot be followed changes nothing.
    if unfollowable is not None:
        return draft.with_waiting(unfollowable)
    if not isinstance(situation, PlannedSituation):
        return draft
    # 4. A person wants a version back that was rolled back, or another version or plan is desired.
    draft = _supersede(draft, situation, pending)
    # 5. Nothing runs: adopt what serves, or start the desired run.
    draft = _start(draft, situation)
    if draft.requeue_now:
        return draft
    # 6. What is held stays where it is.
    held = _hold(draft, situation)
    if held is not None:
        return draft.with_waiting(held)
    # 7. The run advances as far as the facts allow.
    return walk(draft, situation)


def _situation(
    spec: RolloutSpec | InvalidSpec, status: RolloutStatus, observed: Observation, now: datetime
) -> Situation:
    plan = spec.last if isinstance(spec, InvalidSpec) else spec
    if plan is None:
        return Situation(spec=None, observed=observed, now=now)
    match mode_of(status, plan):
        case Running(planned=stage) if stage is not None:
            judged = tuple(assess(reading, stage, now) for reading in observed.readings)
        case _:
            judged = ()
    evidence = settled_evidence(judged, status.evidence)
    return PlannedSituation(spec=plan, plan=plan, observed=observed, now=now, judged=judged, evidence=evidence)


def _unfollowable(spec: RolloutSpec | InvalidSpec, observed: Observation) -> Waiting | None:
    if isinstance(spec, InvalidSpec):
        message = f"{spec.path}: {spec.problem}. Mend the spec; until then nothing advances."
        return Waiting(WaitReason.SPEC_INVALID, message)
    if observed.conflict:
        message = f"Rollout {observed.conflict} is older and has the same model or route: delete one of the two."
        return Waiting(WaitReason.CONFLICT, message)
    return None


def _finish_rollback(draft: Draft, mode: RollingBack, situation: Situation) -> Draft:
    hold = weights_hold(situation.spec, draft.status, situation.observed)
    if rollback.is_safe(situation, weights_hold=hold):
        return rollback.complete(draft, mode.rollback, situation)
    return draft


def _rescue(draft: Draft, situation: Situation, pending: PendingCommands) -> Draft | None:
    """Return the rollback that must begin now, or None."""
    match draft.mode:
        case Running() as run:
            cause = rollback.rollback_cause(run, draft.status, situation, pending)
            return rollback.roll_back(draft, run.candidate, situation, cause) if cause is not None else None
        case Stranded() as stranded:
            return rollback.retreat_if_possible(draft, stranded, situation)
        case Settled(stable=stable) if pending.rollback is not None:
            bad_at = stable.version
            asked = situation.observed.rollback_to
            if rollback_target(situation.spec, draft.status, situation.observed, bad_at, asked) is None:
                return commands.ignored_rollback(draft, situation)
            return rollback.roll_back(draft, stable, situation, _requested(situation, pending.rollback))
        case Idle() | RollingBack() | RolledBack() | Settled():
            return None
        case _:
            assert_never(draft.mode)


def _requested(situation: Situation, token: str) -> rollback.RollbackCause:
    by = situation.observed.requested_by
    return rollback.RollbackCause(
        reason=RollbackReason.ROLLBACK_REQUESTED,
        message=f"Rollback asked for by {by}: {token}.",
        requested_by=by,
        why=situation.why(token),
        asked_target=situation.observed.rollback_to,
    )


def _supersede(draft: Draft, situation: PlannedSituation, pending: PendingCommands) -> Draft:
    """Leave what is under way where it is not desired any more."""
    draft = _retry(draft, situation, pending.retry) if pending.retry is not None else draft
    match draft.mode:
        case Running(candidate=candidate, planned=planned):
            obsolete = candidate.version != situation.plan.version or planned is None
        case Stranded(candidate=candidate):
            obsolete = candidate.version != situation.plan.version
        case RolledBack(rollback=done):
            obsolete = done.version != situation.plan.version
        case Idle() | RollingBack() | Settled():
            obsolete = False
        case _:
            assert_never(draft.mode)
    return runs.leave(draft, situation) if obsolete else draft


def _retry(draft: Draft, situation: PlannedSituation, token: str) -> Draft:
    if situation.plan.version not in draft.status.quarantined:
        return commands.ignored_retry(draft, situation)
    rolled_back = isinstance(draft.mode, RolledBack)
    draft = runs.try_again(draft, situation, token)
    return runs.leave(draft, situation) if rolled_back else draft


def _start(draft: Draft, situation: PlannedSituation) -> Draft:
    if isinstance(draft.mode, Idle):
        draft = runs.adopt(draft, situation)
        if isinstance(draft.mode, Settled):
            # Written before any weight moves: after a crash the route alone would not tell who was stable.
            return replace(draft, requeue_now=True)
    match draft.mode:
        case Idle():
            pass
        case Settled(stable=stable) if stable.version != situation.plan.version:
            pass
        case _:
            return draft
    blocker = backlog(draft.status) or runs.start_blocker(draft, situation)
    if blocker is not None:
        return draft.with_waiting(blocker)
    # The intent is stored, and with it on the record, before anything is touched.
    return replace(runs.start(draft, situation), requeue_now=True)


def _hold(draft: Draft, situation: PlannedSituation) -> Waiting | None:
    if draft.waiting is not None or not isinstance(draft.mode, Running):
        return draft.waiting
    return runs.held_by_people(draft.status, situation) or backlog(draft.status)


def _drain(status: RolloutStatus, situation: Situation) -> Decision:
    """The Rollout is being deleted: leave no candidate with traffic that nobody watches."""
    spec, observed, stable, candidate = situation.spec, situation.observed, status.stable, status.candidate
    serving = usable(observed, stable.version) if stable is not None else None
    if spec is None or candidate is None or candidate.weight == 0 or serving is None or serving.backend is None:
        return Decision(status=status)
    shares = [BackendShare(serving.backend, WEIGHT_SCALE)]
    trial = usable(observed, candidate.version)
    if trial is not None and trial.backend is not None:
        shares.append(BackendShare(trial.backend, 0))
    action = SetWeights(route=spec.route, shares=tuple(shares), ours=our_backends(observed), towards_safety=True)
    return Decision(status=status, actions=(action,))
