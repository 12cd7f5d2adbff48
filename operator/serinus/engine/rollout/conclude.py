"""From a draft to a decision, in this order: evidence, time-out, weights, status, events and records, requeue."""

from datetime import timedelta

from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.quantities import format_duration
from serinus.api.rollout_status import RolloutStatus, StageState
from serinus.engine.rollout.actions import Action, SetFinalizer, SetWeights
from serinus.engine.rollout.causes import NOT_READY_LIMIT, has_timed_out
from serinus.engine.rollout.decision import Decision, EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.evidence import refreshed
from serinus.engine.rollout.finalizer import finalizer_change
from serinus.engine.rollout.modes import Running
from serinus.engine.rollout.outbox import LAG, with_records
from serinus.engine.rollout.status import described
from serinus.engine.rollout.traffic.history import with_traffic
from serinus.engine.rollout.traffic.managed_writes import Written, route_writes
from serinus.engine.rollout.traffic.mirror_writes import mirror_writes
from serinus.engine.rollout.traffic.weights import lacking_weight, planned_entries, weight_writes
from serinus.engine.rollout.waiting import Waiting, WaitReason


def conclude(draft: Draft, before: RolloutStatus, situation: Situation) -> Decision:
    """Return the decision that the draft stands for.

    Args:
        draft: the result of the engine's steps.
        before: the status that they began with.
        situation: what they rested on.
    """
    draft = _note_timeout(_show_evidence(draft, before, situation), before, situation)
    wanted = planned_entries(draft, before, situation)
    draft, weights = weight_writes(draft, before, situation, wanted)
    draft, mirrors = mirror_writes(draft, before, situation)
    draft, routes = route_writes(draft, before, situation)
    lacking = lacking_weight(wanted, draft, situation) if not weights else None
    draft = _track_hold(draft, situation, unwatched=lacking is not None)
    shown = described(draft, before, situation, wanted, lacking)
    draft = structs.replace(draft, status=with_traffic(shown, before, situation))
    draft = with_records(_announce(draft, before), before, situation)
    return Decision(
        status=draft.status,
        actions=_in_order(weights, finalizer_change(draft, before, situation), (*mirrors, *routes), draft.tests),
        events=draft.events,
        requeue_after=_requeue(draft, situation),
    )


def _in_order(
    weights: tuple[SetWeights, ...], finalizer: SetFinalizer | None, routes: Written, tests: tuple[Action, ...]
) -> tuple[Action, ...]:
    """Return the actions in the order in which they are done: safety first, then what a higher weight rests on.

    The mirror and the template of a managed route come after all weights: they delay none.
    """
    safe = tuple(action for action in weights if action.towards_safety)
    others = tuple(action for action in weights if not action.towards_safety)
    return (*safe, *((finalizer,) if finalizer is not None else ()), *others, *routes, *tests)


def _track_hold(draft: Draft, situation: Situation, *, unwatched: bool) -> Draft:
    """Note in the stage since when it is held, or add what was held: held time is not run time.

    So is time in which the version has less traffic than the stage gives it (``unwatched``).
    """
    run, now = draft.mode, situation.now
    if not isinstance(run, Running):
        return draft
    waiting = draft.waiting
    holding = draft.status.paused is not None or run.stage.state is StageState.AWAITING_APPROVAL
    holding = (
        holding
        or unwatched
        or situation.observed.freeze is not None
        or (waiting is not None and waiting.reason.is_hold)
    )
    since = run.stage.held_since
    if holding and since is None:
        return draft.with_status(stage=structs.replace(run.stage, held_since=now))
    if holding or since is None:
        return draft
    seconds = (now - since).total_seconds()
    held = structs.replace(
        run.stage,
        held_since=None,
        held_seconds=run.stage.held_seconds + seconds,
        state_held_seconds=run.stage.state_held_seconds + seconds,
    )
    return draft.with_status(stage=held)


def _announce(draft: Draft, before: RolloutStatus) -> Draft:
    """Report once that the spec cannot be followed any more, or that the evidence cannot be had any more."""
    after = draft.status
    if after.reason == EventReason.SPEC_INVALID.value != before.reason:
        draft = draft.with_event(EventReason.SPEC_INVALID, after.next_action, warning=True)
    earlier = find_condition(before.conditions, ConditionType.METRICS_AVAILABLE)
    now = find_condition(after.conditions, ConditionType.METRICS_AVAILABLE)
    lost = now is not None and now.status is ConditionStatus.FALSE
    if now is not None and lost and (earlier is None or earlier.status is ConditionStatus.TRUE):
        message = f"{now.message} Nothing advances meanwhile."
        draft = draft.with_event(EventReason.METRICS_UNAVAILABLE, message, warning=True)
    return draft


def _show_evidence(draft: Draft, before: RolloutStatus, situation: Situation) -> Draft:
    """Show the evidence of the stage that was judged, with a decision about it as it is at this moment."""
    after, earlier = draft.status, before.stage
    if not situation.evidence or earlier is None:
        return draft
    if after.stage is None:
        # A promotion shows the evidence of the last stage, also of one too short to have stored any; whatever else
        # ends a run has cleared it.
        promoted = any(event.reason is EventReason.ROLLOUT_PROMOTED for event in draft.events)
        return draft.with_status(evidence=refreshed(situation, before.evidence)) if promoted else draft
    if (after.stage.index, after.stage.since) != (earlier.index, earlier.since):
        return draft
    passed = earlier.state is StageState.ANALYZING and after.stage.state is not StageState.ANALYZING
    failed = after.rollback is not None and after.rollback != before.rollback
    evidence = refreshed(situation, before.evidence) if passed or failed else situation.evidence
    return draft.with_status(evidence=evidence)


def _note_timeout(draft: Draft, before: RolloutStatus, situation: Situation) -> Draft:
    """Report that a stage with ``onTimeout: Hold`` has used its time."""
    run = draft.mode
    if not isinstance(run, Running) or run.planned is None or not has_timed_out(run, draft.status, situation):
        return draft
    if draft.waiting is not None and draft.waiting.reason.means_invalid:
        return draft
    awaited = draft.waiting.message if draft.waiting is not None else ""
    longest = format_duration(run.planned.longest)
    message = f"Stage {run.planned.name} has not passed within {longest}. {awaited}".rstrip()
    stalled = find_condition(before.conditions, ConditionType.STALLED)
    if stalled is None or stalled.reason != EventReason.STAGE_TIMED_OUT.value:
        draft = draft.with_event(EventReason.STAGE_TIMED_OUT, message, warning=True)
    return draft.with_waiting(Waiting(WaitReason.STAGE_TIMED_OUT, message))


def _requeue(draft: Draft, situation: Situation) -> timedelta | None:
    """Return when to decide again: at once, when the clock lets the run advance, or when the stage's time is over."""
    if draft.requeue_now:
        return timedelta(0)
    status, run = draft.status, draft.mode
    due = [draft.waiting.until] if draft.waiting is not None and draft.waiting.until is not None else []
    if isinstance(run, Running) and run.planned is not None:
        deadline = situation.now + run.planned.longest - run.stage.elapsed(situation.now)
        due += [deadline] if deadline > situation.now and run.stage.held_since is None else []
        unready = run.candidate.not_ready_since
        due += [unready + NOT_READY_LIMIT] if unready is not None and unready + NOT_READY_LIMIT > situation.now else []
    if status.records and status.records[0].at + LAG > situation.now:
        due.append(status.records[0].at + LAG)
    return max(timedelta(0), min(due) - situation.now) if due else None
