"""What the status shows: phase, reason, conditions and sentences, derived from the mode and from what is awaited."""

from datetime import datetime
from typing import assert_never

from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType, condition_of, find_condition, with_condition
from serinus.api.rollout_status import LONGEST_SENTENCE, Phase, RolloutStatus, RunResult, Serving, StageState
from serinus.api.texts import sentence
from serinus.engine.conditions import ConditionUpdate, apply_updates
from serinus.engine.rollout import conditions, summary
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import Idle, Mode, RolledBack, RollingBack, Running, Settled, Stranded
from serinus.engine.rollout.outbox import audit_lag
from serinus.engine.rollout.summary import Shares, shares_on_route
from serinus.engine.rollout.traffic.confirmation import share_mismatch, unconfirmed_by
from serinus.engine.rollout.traffic.readiness import unready_backends
from serinus.engine.rollout.traffic.targets import choose_target
from serinus.engine.rollout.traffic.weights import PlannedEntries
from serinus.engine.rollout.waiting import Waiting, WaitReason


def described(
    draft: Draft, before: RolloutStatus, situation: Situation, wanted: PlannedEntries, lacking: Waiting | None
) -> RolloutStatus:
    """Return the draft's status with phase, reason, sentences and conditions.

    ``lacking`` is what the version on trial lacks of its weight, and is not given now.
    """
    status, observed, mode = draft.status, situation.observed, draft.mode
    problem = None if isinstance(mode, Idle) else unconfirmed_by(wanted, status, observed)
    if problem is not None and lacking is not None and problem.reason is WaitReason.WEIGHT_PENDING:
        problem = lacking
    waiting = draft.waiting or (problem if isinstance(mode, Settled) else None)
    phase = _phase(mode, status, waiting)
    reason = _reason(mode, status, waiting)
    shares, unready = shares_on_route(status, observed), unready_backends(status, observed)
    story = summary.summary(mode, status, situation, shares, unready)
    stalled = isinstance(mode, Stranded) or (waiting is not None and waiting.stalled)
    judging = isinstance(mode, Running) and bool(situation.judged)
    updates = (
        *conditions.kstatus_of(phase, reason, story, stalled=stalled),
        _traffic_confirmed(mode, problem or share_mismatch(status, situation), shares),
        conditions.metrics_available(status.evidence, observed.metrics_problem, judging=judging),
        _rollback_ready(mode, status, situation),
        conditions.backends_ready(unready),
        conditions.threshold_coarse(situation.judged),
        conditions.conditions_merged(observed.merged_conditions),
        audit_lag(status, situation),
    )
    present = tuple(update for update in updates if update is not None)
    return structs.replace(
        status,
        observed_generation=observed.generation,
        phase=phase,
        phase_since=before.phase_since if before.phase is phase and before.phase_since is not None else situation.now,
        reason=reason,
        summary=sentence(story, LONGEST_SENTENCE),
        next_action=sentence(summary.next_action(mode, situation, waiting or problem, unready), LONGEST_SENTENCE),
        stable=_with_weight(status),
        conditions=apply_updates(status.conditions, present, observed.generation, situation.now),
    )


def write_refused(status: RolloutStatus, problem: str, generation: int, now: datetime) -> RolloutStatus:
    """Return the status that reports a write which the API server refuses; a retry cannot succeed."""
    kind = ConditionType.TRAFFIC_CONFIRMED
    refused = condition_of(
        find_condition(status.conditions, kind),
        kind,
        ConditionStatus.FALSE,
        reason="WriteRefused",
        message=problem,
        generation=generation,
        now=now,
    )
    updated = with_condition(status.conditions, refused)
    return structs.replace(status, conditions=updated, next_action=f"A person must act: {problem}")


def _phase(mode: Mode, status: RolloutStatus, waiting: Waiting | None) -> Phase:
    invalid = waiting is not None and waiting.reason.means_invalid
    match mode:
        case RollingBack():
            return Phase.ROLLING_BACK
        case Stranded():
            return Phase.PAUSED
        case RolledBack():
            return Phase.ROLLED_BACK
        case Idle() | Running() | Settled() if invalid:
            return Phase.INVALID
        case Idle():
            return Phase.PENDING
        case Running() as run:
            return _running_phase(run, status)
        case Settled():
            return _settled_phase(waiting)
        case _:
            assert_never(mode)


def _settled_phase(waiting: Waiting | None) -> Phase:
    if waiting is None:
        return Phase.HEALTHY
    if waiting.reason in {WaitReason.PAUSED, WaitReason.QUARANTINED}:
        return Phase.PAUSED
    return Phase.PROGRESSING if waiting.reason.transient else Phase.PENDING


def _running_phase(run: Running, status: RolloutStatus) -> Phase:
    if status.paused is not None or run.stage.state is StageState.AWAITING_APPROVAL:
        return Phase.PAUSED
    first = run.stage.index == 0 and run.stage.state is StageState.PREPARING
    return Phase.PENDING if first else Phase.PROGRESSING


def _reason(mode: Mode, status: RolloutStatus, waiting: Waiting | None) -> str:
    match mode:
        case RollingBack(rollback=rollback) | RolledBack(rollback=rollback):
            return rollback.reason.value
        case Stranded():
            return EventReason.NO_ROLLBACK_TARGET.value
        case Idle() | Running() | Settled() if waiting is not None:
            return waiting.reason.value
        case Idle():
            return "WaitingForVersion"
        case Running(stage=stage):
            return stage.state.value
        case Settled(stable=stable):
            promoted = any((run.result, run.version) == (RunResult.PROMOTED, stable.version) for run in status.history)
            return "Promoted" if promoted else "Adopted"
        case _:
            assert_never(mode)


def _with_weight(status: RolloutStatus) -> Serving | None:
    """Return the stable version with the weight that the candidate leaves it."""
    stable = status.stable
    if stable is None:
        return None
    left = 100 - (status.candidate.weight if status.candidate is not None else 0)
    return stable if stable.weight == left else structs.replace(stable, weight=left)


def _traffic_confirmed(mode: Mode, problem: Waiting | None, shares: Shares) -> ConditionUpdate:
    """Confirm the shares that every parent has accepted, read off the route, foreign backends included."""
    if isinstance(mode, Idle):
        return conditions.nothing_to_confirm()
    accepted = ", ".join(f"{name} {share}" for name, share in shares)
    return conditions.traffic_confirmed(problem, f"Every parent of the route has accepted {accepted}.")


def _rollback_ready(mode: Mode, status: RolloutStatus, situation: Situation) -> ConditionUpdate:
    candidate = status.candidate
    serving = candidate.version if candidate is not None else status.stable.version if status.stable is not None else ""
    choice = choose_target(situation.spec, status, situation.observed, serving)
    return conditions.rollback_ready(choice, needed=isinstance(mode, Running | Stranded))
