"""The page to read first: from what is wished, said and seen to what shall be said and done.

Total and pure: the same arguments always give the same decision, and every argument gives one. The guards stand in the
order in which they win.
"""

from dataclasses import replace
from datetime import datetime

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
from serinus.engine.rollout.draft import Draft, Situation, Waiting
from serinus.engine.rollout.modes import Mode, mode_of
from serinus.engine.rollout.observation import InvalidSpec, Observation
from serinus.engine.rollout.outbox import backlog
from serinus.engine.rollout.stages import walk
from serinus.engine.rollout.targets import our_backends, rollback_target, usable


def decide(spec: RolloutSpec | InvalidSpec, status: RolloutStatus, observed: Observation, now: datetime) -> Decision:
    """Say what the Rollout's status is now and what must be done to make it true.

    Args:
        spec: the wish, or why it cannot be read.
        status: what was said last; the operator's whole memory.
        observed: the world around the Rollout.
        now: the time, aware, UTC.
    """
    situation = _situation(spec, status, observed, now)
    if observed.deleted:
        return _drain(status, situation)
    draft, pending = commands.apply_commands(Draft(status=status), situation)
    draft = _advance(draft, situation, pending, _unfollowable(spec, observed))
    return conclude(draft, status, situation, writes=not observed.conflict)


def _advance(draft: Draft, situation: Situation, pending: PendingCommands, unfollowable: Waiting | None) -> Draft:
    # 1. A rollback that has begun is finished before anything else is looked at.
    if mode_of(draft.status) is Mode.ROLLING_BACK:
        return _finish_rollback(draft, situation)
    # 2. Abort beats everything: pause, gates, freeze, an invalid spec, a route that is not accepted.
    rescued = _rescue(draft, situation, pending)
    if rescued is not None:
        return rescued
    # 3. A spec that cannot be followed changes nothing.
    if unfollowable is not None or situation.spec is None:
        return draft.with_waiting(unfollowable) if unfollowable is not None else draft
    # 4. A person wants a version back that was rolled back, or another version or plan is wanted.
    draft = _supersede(draft, situation, pending)
    # 5. Nothing runs: take over what serves, or begin the run that is wanted.
    draft = _start(draft, situation)
    if draft.requeue_now:
        return draft
    # 6. What is held stays where it is.
    held = _hold(draft, situation)
    if held is not None:
        return draft.with_waiting(held)
    # 7. The run goes on as far as the facts allow.
    return walk(draft, situation) if mode_of(draft.status) is Mode.RUNNING else draft


def _situation(
    spec: RolloutSpec | InvalidSpec, status: RolloutStatus, observed: Observation, now: datetime
) -> Situation:
    plan = spec.last if isinstance(spec, InvalidSpec) else spec
    situation = Situation(spec=plan, observed=observed, now=now)
    stage = situation.stage(status)
    if stage is None or mode_of(status) is not Mode.RUNNING:
        return situation
    judged = tuple(assess(reading, stage, now) for reading in observed.readings)
    return Situation(
        spec=plan, observed=observed, now=now, judged=judged, evidence=settled_evidence(judged, status.evidence)
    )


def _unfollowable(spec: RolloutSpec | InvalidSpec, observed: Observation) -> Waiting | None:
    if isinstance(spec, InvalidSpec):
        return Waiting(
            "SpecInvalid", f"{spec.path}: {spec.problem}. Mend the spec; until then nothing advances.", stalled=True
        )
    if observed.conflict:
        message = f"Rollout {observed.conflict} is older and has the same model or route: delete one of the two."
        return Waiting("Conflict", message, stalled=True)
    return None


def _finish_rollback(draft: Draft, situation: Situation) -> Draft:
    hold = weights_hold(situation.spec, draft.status, situation.observed)
    return (
        rollback.complete(draft, situation) if rollback.is_safe(draft.status, situation, weights_hold=hold) else draft
    )


def _rescue(draft: Draft, situation: Situation, pending: PendingCommands) -> Draft | None:
    """Return the rollback that must begin now, or None."""
    match mode_of(draft.status):
        case Mode.RUNNING:
            fault = rollback.rollback_cause(draft, situation, pending)
            return rollback.roll_back(draft, situation, fault) if fault is not None else None
        case Mode.STRANDED:
            return rollback.retreat_if_possible(draft, situation)
        case Mode.SETTLED if pending.rollback is not None:
            return _roll_back_stable(draft, situation, pending)
        case _:
            return None


def _roll_back_stable(draft: Draft, situation: Situation, pending: PendingCommands) -> Draft | None:
    stable, by, token = draft.status.stable, situation.observed.requested_by, pending.rollback or ""
    serving = stable.version if stable is not None else ""
    asked = situation.observed.rollback_to
    if rollback_target(situation.spec, draft.status, situation.observed, serving, asked) is None:
        return commands.ignored_rollback(draft, situation)
    message = f"Rollback asked for by {by}: {token}."
    fault = rollback.RollbackCause(
        reason=RollbackReason.ROLLBACK_REQUESTED,
        message=message,
        requested_by=by,
        why=situation.why(token),
        asked_target=asked,
    )
    return rollback.roll_back(draft, situation, fault)


def _supersede(draft: Draft, situation: Situation, pending: PendingCommands) -> Draft:
    """Leave what is under way where it is not what is wanted any more."""
    draft = _retry(draft, situation, pending.retry) if pending.retry is not None else draft
    candidate, mode = draft.status.candidate, mode_of(draft.status)
    if candidate is None or mode not in {Mode.RUNNING, Mode.STRANDED, Mode.ROLLED_BACK}:
        return draft
    other_plan = mode is Mode.RUNNING and situation.stage(draft.status) is None
    return runs.leave(draft, situation) if candidate.version != situation.plan.version or other_plan else draft


def _retry(draft: Draft, situation: Situation, token: str) -> Draft:
    if situation.plan.version not in draft.status.quarantined:
        return commands.ignored_retry(draft, situation)
    rolled_back = mode_of(draft.status) is Mode.ROLLED_BACK
    draft = runs.try_again(draft, situation, token)
    return runs.leave(draft, situation) if rolled_back else draft


def _start(draft: Draft, situation: Situation) -> Draft:
    mode = mode_of(draft.status)
    if mode is Mode.IDLE:
        draft = runs.adopt(draft, situation)
        if mode_of(draft.status) is Mode.SETTLED:
            # Written before any weight moves: after a crash the route alone would not tell who was stable.
            return replace(draft, requeue_now=True)
    stable = draft.status.stable
    if mode not in {Mode.IDLE, Mode.SETTLED} or (stable is not None and stable.version == situation.plan.version):
        return draft
    hindered = backlog(draft.status) or runs.start_blocker(draft, situation)
    if hindered is not None:
        return draft.with_waiting(hindered)
    # The intent is stored, and with it on the record, before anything is touched.
    return replace(runs.start(draft, situation), requeue_now=True)


def _hold(draft: Draft, situation: Situation) -> Waiting | None:
    status = draft.status
    if draft.waiting is not None or mode_of(status) is not Mode.RUNNING:
        return draft.waiting
    if status.paused is not None:
        return Waiting("Paused", f"Paused by {status.paused.requested_by}: {status.paused.reason}. Resume it to go on.")
    freeze = situation.observed.freeze
    return runs.frozen(freeze) if freeze is not None else backlog(status)


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
