"""Entry point of the decision core: spec + last status + observation -> next status + actions.

Total and pure: the same arguments always give the same decision, and every argument gives one. The guards stand in the
order in which they win.
"""

from datetime import datetime
from typing import assert_never

from msgspec import structs

from serinus.api.names import UNVERIFIED, Command
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RollbackReason, RolloutStatus, RunResult, Serving
from serinus.engine.analysis.assessment import assess
from serinus.engine.rollout import commands, rollback, runs, start_blockers
from serinus.engine.rollout.causes import RollbackCause, rollback_asked, rollback_cause
from serinus.engine.rollout.commands import PendingCommands
from serinus.engine.rollout.conclude import conclude
from serinus.engine.rollout.decision import Decision, Event, EventReason
from serinus.engine.rollout.draft import Draft, PlannedSituation, Situation
from serinus.engine.rollout.evidence import settled
from serinus.engine.rollout.job_tests import track_jobs
from serinus.engine.rollout.modes import Idle, RolledBack, RollingBack, Running, Settled, Stranded, mode_of
from serinus.engine.rollout.observation import InvalidSpec, Observation
from serinus.engine.rollout.outbox import backlog
from serinus.engine.rollout.plan_edits import note_edit
from serinus.engine.rollout.reasons import new_override, new_reason, remember
from serinus.engine.rollout.stages.walk import walk
from serinus.engine.rollout.tested_content import forget_edited
from serinus.engine.rollout.traffic.confirmation import unsafe
from serinus.engine.rollout.traffic.facts import RouteFacts
from serinus.engine.rollout.traffic.mirrors import is_called
from serinus.engine.rollout.traffic.readiness import track_readiness
from serinus.engine.rollout.traffic.targets import choose_target, with_backends
from serinus.engine.rollout.waiting import Waiting, WaitReason


def decide(spec: RolloutSpec | InvalidSpec, status: RolloutStatus, observed: Observation, now: datetime) -> Decision:
    """Return the Rollout's next status and the actions that make it true.

    Args:
        spec: the desired state, or why it does not parse.
        status: the last written status; the only state the operator keeps.
        observed: the facts around the Rollout.
        now: the time, aware, UTC.
    """
    if observed.status_problem:
        return _unreadable(status, observed)
    situation = _situation(spec, status, observed, now)
    draft = _upgraded(Draft(status=status, spec=situation.spec), situation)
    draft = track_readiness(commands.forget_withdrawn(draft, situation), situation)
    draft = track_jobs(forget_edited(draft), situation)
    if observed.deleted:
        return conclude(_drain(draft, situation), status, situation)
    draft, pending = commands.apply_commands(draft, situation)
    before = draft
    draft = _advance(draft, situation, pending, _unfollowable(spec, observed))
    draft = note_edit(commands.answer_rest(draft, before, situation, pending), spec, status, situation)
    return conclude(remember(draft, status, situation), status, situation)


def _advance(draft: Draft, situation: Situation, pending: PendingCommands, unfollowable: Waiting | None) -> Draft:
    # 1. A rollback that has begun is finished before anything else is considered.
    if isinstance(draft.mode, RollingBack):
        return _finish_rollback(draft, draft.mode, situation)
    # 2. Abort beats everything: pause, gates, freeze, an invalid spec, a conflict, a route that is not accepted.
    rescued = _rescue(draft, situation, pending)
    if rescued is not None:
        return rescued
    # What an older release did not keep is stored before anything else rests on it.
    if draft.requeue_now:
        return draft.with_waiting(unfollowable) if unfollowable is not None else draft
    # 3. A spec that cannot be followed changes nothing.
    if unfollowable is not None:
        return draft.with_waiting(unfollowable)
    if not isinstance(situation, PlannedSituation):
        return draft
    # 4. A person wants a version back that was rolled back, or another version, plan or route is desired.
    under_way = isinstance(draft.mode, Running | Stranded)
    draft = _supersede(draft, situation, pending)
    if under_way and isinstance(draft.mode, Settled) and runs.has_moved(draft.status, situation.plan):
        # What was observed is the route that the run was on: the other one is taken over when it is seen.
        return structs.replace(draft, requeue_now=True)
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
    reason, override = new_reason(status, observed), new_override(status, observed)
    if plan is None:
        return Situation(spec=None, observed=observed, now=now, new_reason=reason, new_override=override)
    match mode_of(status, plan):
        case Running(planned=stage) if stage is not None and is_called(stage, status):
            judged = tuple(assess(reading, stage, now) for reading in observed.readings)
        case _:
            judged = ()
    evidence = settled(judged, observed.readings, status.evidence)
    return PlannedSituation(
        spec=plan,
        plan=plan,
        observed=observed,
        now=now,
        judged=judged,
        evidence=evidence,
        new_reason=reason,
        new_override=override,
    )


def _unreadable(status: RolloutStatus, observed: Observation) -> Decision:
    """What cannot be read is not empty: hold, say so in an event, and overwrite nothing."""
    message = (
        f"The status cannot be read: {observed.status_problem}. Nothing is decided and nothing is overwritten: "
        "run the operator's release that wrote it, or correct the status."
    )
    return Decision(status=status, events=(Event(EventReason.STATUS_UNREADABLE, message, warning=True),))


def _upgraded(draft: Draft, situation: Situation) -> Draft:
    """Fill in what an older release did not keep: backends, and the rule with its foreign backends."""
    status = draft.status
    stable = with_backends(status.stable, situation.observed)
    candidate = with_backends(status.candidate, situation.observed)
    if stable is not status.stable or candidate is not status.candidate:
        draft = structs.replace(draft.with_status(stable=stable, candidate=candidate), requeue_now=True)
    route = situation.observed.route
    if (
        status.route is not None
        or isinstance(draft.mode, Idle)
        or not isinstance(situation, PlannedSituation)
        or not isinstance(route, RouteFacts)
    ):
        return draft
    memory = runs.remembered_route(draft.status, situation, route)
    if any(one is not None and one.backend is None for one in (stable, candidate)):
        # One of the entries may be that version's: none is taken for a foreign one.
        memory = structs.replace(memory, foreign=())
    return structs.replace(draft.with_status(route=memory), requeue_now=True)


def _unfollowable(spec: RolloutSpec | InvalidSpec, observed: Observation) -> Waiting | None:
    if isinstance(spec, InvalidSpec):
        message = f"{spec.path}: {spec.problem}. Mend the spec; until then nothing advances."
        return Waiting(WaitReason.SPEC_INVALID, message)
    if observed.conflict:
        message = f"Rollout {observed.conflict} has the same model or route and keeps it: delete one of the two."
        return Waiting(WaitReason.CONFLICT, message)
    return None


def _finish_rollback(draft: Draft, mode: RollingBack, situation: Situation) -> Draft:
    problem = unsafe(mode.rollback.version, draft.status, situation.observed)
    if problem is None:
        return rollback.complete(draft, mode.rollback, situation)
    if situation.observed.conflict and not problem.reason.transient:
        keeps = f"Rollout {situation.observed.conflict} keeps the route: delete one of the two."
        problem = Waiting(problem.reason, f"{problem.message} {keeps}")
    problem = rollback.with_warning(problem, mode.rollback, situation)
    return rollback.retarget(draft, mode.rollback, situation).with_waiting(problem)


def _rescue(draft: Draft, situation: Situation, pending: PendingCommands) -> Draft | None:
    """Return the rollback that must begin now, or None."""
    match draft.mode:
        case Running() as run:
            cause = rollback_cause(run, draft.status, situation, pending)
            if cause is None:
                return None
            return _answered(rollback.roll_back(draft, run.candidate, situation, cause), cause, pending)
        case Stranded() as stranded:
            asked = rollback_asked(pending.rollback, situation) if pending.rollback is not None else None
            retreat = rollback.retreat_if_possible(draft, stranded, situation, asked)
            if retreat is None or pending.rollback is None:
                return retreat
            return commands.acknowledged(retreat, Command.ROLLBACK, pending.rollback)
        case Settled() | RolledBack() if pending.rollback is not None:
            return _roll_back_stable(draft, situation, pending.rollback)
        case Idle() | RollingBack() | RolledBack() | Settled():
            return None
        case _:
            assert_never(draft.mode)


def _answered(draft: Draft, cause: RollbackCause, pending: PendingCommands) -> Draft:
    """Acknowledge the command that the rollback answers."""
    match cause.reason:
        case RollbackReason.ABORTED if pending.abort is not None:
            return commands.acknowledged(draft, Command.ABORT, pending.abort)
        case RollbackReason.ROLLBACK_REQUESTED if pending.rollback is not None:
            return commands.acknowledged(draft, Command.ROLLBACK, pending.rollback)
        case _:
            return draft


def _roll_back_stable(draft: Draft, situation: Situation, token: str) -> Draft | None:
    """Return the rollback of what serves, as a person asked for; None where no version could take the traffic.

    A version that is named gets it, or none: nobody has asked for another. After a rollback the traffic is back
    already, so that one must be named.
    """
    stable, asked = draft.status.stable, situation.observed.rollback_to
    if stable is None or (isinstance(draft.mode, RolledBack) and not asked):
        return None
    target = choose_target(situation.spec, draft.status, situation.observed, stable.version, asked).version
    if target is None or asked not in {"", target}:
        return None
    if isinstance(draft.mode, RolledBack):
        # They are about the version that was rolled back before.
        draft = draft.with_status(candidate=None, stage=None, evidence=(), tests=())
    cause = rollback_asked(token, situation)
    return commands.acknowledged(rollback.roll_back(draft, stable, situation, cause), Command.ROLLBACK, token)


def _supersede(draft: Draft, situation: PlannedSituation, pending: PendingCommands) -> Draft:
    """Leave what is under way where it is not desired any more."""
    draft = _retry(draft, situation, pending.retry) if pending.retry is not None else draft
    match draft.mode:
        case Running(candidate=candidate, planned=planned) as run:
            moved = runs.has_moved(draft.status, situation.plan)
            changed = planned is None or runs.is_reweighted(run, draft.status) or runs.is_gated_since(run)
            obsolete = candidate.version != situation.plan.version or changed or moved
            return _leave_when_ready(draft, situation) if obsolete else draft
        case Stranded(candidate=candidate):
            obsolete = candidate.version != situation.plan.version
        case RolledBack(rollback=done):
            obsolete = done.version != situation.plan.version
        case Idle() | RollingBack() | Settled():
            obsolete = False
        case _:
            assert_never(draft.mode)
    return runs.leave(draft, situation) if obsolete else draft


def _leave_when_ready(draft: Draft, situation: PlannedSituation) -> Draft:
    """Leave the run, unless it would give all the traffic of a candidate that answers to one without endpoints."""
    blocker = runs.leave_blocker(draft, situation)
    return draft.with_waiting(blocker) if blocker is not None else runs.leave(draft, situation)


def _retry(draft: Draft, situation: PlannedSituation, token: str) -> Draft:
    if situation.plan.version not in draft.status.quarantined:
        return draft
    rolled_back = isinstance(draft.mode, RolledBack)
    draft = commands.acknowledged(runs.try_again(draft, situation, token), Command.RETRY, token)
    return runs.leave(draft, situation) if rolled_back else draft


def _start(draft: Draft, situation: PlannedSituation) -> Draft:
    if draft.waiting is not None:
        return draft
    if isinstance(draft.mode, Settled) and runs.has_moved(draft.status, situation.plan):
        draft = runs.move(draft, situation)
        if not runs.has_moved(draft.status, situation.plan):
            return structs.replace(draft, requeue_now=True)
    if isinstance(draft.mode, Idle):
        draft = runs.adopt(draft, situation)
        if isinstance(draft.mode, Settled):
            # Written before any weight moves: after a crash the route alone would not tell who was stable.
            return structs.replace(draft, requeue_now=True)
    match draft.mode:
        case Idle():
            pass
        case Settled(stable=stable) if stable.version != situation.plan.version:
            pass
        case _:
            return draft
    blocker = backlog(draft.status) or start_blockers.start_blocker(draft, situation)
    if blocker is not None:
        return draft.with_waiting(blocker)
    # The intent is stored, and with it on the record, before anything is touched.
    return structs.replace(runs.start(draft, situation), requeue_now=True)


def _hold(draft: Draft, situation: PlannedSituation) -> Waiting | None:
    if draft.waiting is not None or not isinstance(draft.mode, Running):
        return draft.waiting
    route = situation.observed.route
    if isinstance(route, RouteFacts) and route.not_ours is not None:
        return Waiting(route.not_ours.reason, route.not_ours.message)
    return start_blockers.held_by_people(draft.status, situation) or backlog(draft.status)


def _drain(draft: Draft, situation: Situation) -> Draft:
    """The Rollout is being deleted: end its run, and leave no candidate with traffic that nobody watches."""
    match draft.mode:
        case Running(candidate=candidate):
            return _end_deleted(draft, candidate, situation)
        case Stranded(candidate=candidate):
            retreat = rollback.retreat_if_possible(draft, draft.mode, situation)
            if retreat is not None:
                return retreat
            held = rollback.kept_for_want_of_another(candidate, draft.status, situation)
            return draft.with_waiting(held) if held is not None else _end_deleted(draft, candidate, situation)
        case Idle() | RollingBack() | RolledBack() | Settled():
            return draft
        case _:
            assert_never(draft.mode)


def _end_deleted(draft: Draft, candidate: Serving, situation: Situation) -> Draft:
    draft = rollback.with_ready_stable(draft, candidate, situation)
    reason, loss = "the Rollout was deleted", runs.told_loss(candidate, draft.status, situation)
    draft = draft.end_run(candidate, RunResult.CANCELLED, reason, situation.now).with_event(
        # The API server stamps nobody on a deletion: its own audit log has the name.
        EventReason.ROLLOUT_CANCELLED,
        f"{loss}: {reason}.",
        by=UNVERIFIED,
    )
    return runs.cleared(draft, situation)
