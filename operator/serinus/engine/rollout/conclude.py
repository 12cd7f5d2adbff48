"""From a draft to a decision: the weights to write, the phase, the conditions and the sentences."""

from dataclasses import replace
from datetime import timedelta
from typing import Final, assert_never

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.names import FIELD_MANAGER
from serinus.api.quantities import format_duration
from serinus.api.rollout_status import EvidenceStatus, Phase, RolloutStatus, RunResult, StageState
from serinus.engine.analysis.assessment import Assessment
from serinus.engine.conditions import ConditionUpdate, apply_updates
from serinus.engine.rollout import conditions, summary
from serinus.engine.rollout.actions import SetWeights
from serinus.engine.rollout.confirmation import planned, share_mismatch, unconfirmed_by
from serinus.engine.rollout.decision import Decision, EventReason
from serinus.engine.rollout.draft import Draft, Situation, Waiting
from serinus.engine.rollout.modes import Mode, mode_of
from serinus.engine.rollout.observation import RouteEntry, RouteFacts, backend_key
from serinus.engine.rollout.outbox import LAG, audit_lag, shown, with_records
from serinus.engine.rollout.rollback import has_timed_out
from serinus.engine.rollout.route_plan import TooCoarse, shares_of
from serinus.engine.rollout.targets import is_ready, our_backends, rollback_target, shares_for

REFRESH: Final = timedelta(minutes=1)
"""How often the figures of a running stage's evidence are written anew while the verdicts stay the same."""


def settled_evidence(judged: tuple[Assessment, ...], held: tuple[EvidenceStatus, ...]) -> tuple[EvidenceStatus, ...]:
    """Return the evidence to show: fresh where a verdict changed or the figures are a minute old, else as it was."""
    before = {one.condition: one for one in held}
    return tuple(_settled(one, before.get(one.condition.text)) for one in judged)


def _settled(judged: Assessment, held: EvidenceStatus | None) -> EvidenceStatus:
    if (
        held is not None
        and (held.verdict, held.cause) == (judged.verdict, judged.cause)
        and judged.at - held.at < REFRESH
    ):
        return held
    return shown(judged)


def conclude(draft: Draft, before: RolloutStatus, situation: Situation, *, writes: bool = True) -> Decision:
    """Return the decision that the draft stands for.

    Args:
        draft: what the steps of the engine came to.
        before: the status that they began with.
        situation: what they rested on.
        writes: whether the route may be written at all; another Rollout's must not.
    """
    draft = _note_timeout(_show_evidence(draft, before, situation), before, situation)
    wanted = _wanted(draft.status, situation)
    draft, weights = _weights(draft, before, situation, wanted) if writes else (draft, ())
    draft = replace(draft, status=_describe(draft, before, situation, wanted))
    draft = with_records(_announce(draft, before), before, situation)
    return Decision(
        status=draft.status,
        actions=(*weights, *draft.tests),
        events=draft.events,
        requeue_after=_requeue(draft, situation),
    )


def _announce(draft: Draft, before: RolloutStatus) -> Draft:
    """Tell once that the spec cannot be followed any more, or that the evidence cannot be had any more."""
    after = draft.status
    if after.reason == EventReason.SPEC_INVALID.value != before.reason:
        draft = draft.with_event(EventReason.SPEC_INVALID, after.next_action, warning=True)
    earlier = find_condition(before.conditions, ConditionType.METRICS_AVAILABLE)
    now = find_condition(after.conditions, ConditionType.METRICS_AVAILABLE)
    lost = now is not None and now.status is ConditionStatus.FALSE
    if now is not None and lost and (earlier is None or earlier.status is ConditionStatus.TRUE):
        draft = draft.with_event(
            EventReason.METRICS_UNAVAILABLE, f"{now.message} Nothing advances meanwhile.", warning=True
        )
    return draft


def _show_evidence(draft: Draft, before: RolloutStatus, situation: Situation) -> Draft:
    stage, earlier = draft.status.stage, before.stage
    same = stage is not None and earlier is not None and (stage.index, stage.since) == (earlier.index, earlier.since)
    return draft.with_status(evidence=situation.evidence) if situation.evidence and same else draft


def _note_timeout(draft: Draft, before: RolloutStatus, situation: Situation) -> Draft:
    """Say that a stage with ``onTimeout: Hold`` has had its time."""
    stage = situation.stage(draft.status)
    if stage is None or mode_of(draft.status) is not Mode.RUNNING or not has_timed_out(draft.status, situation):
        return draft
    awaited = draft.waiting.message if draft.waiting is not None else ""
    message = f"Stage {stage.name} has not passed within {format_duration(stage.longest)}. {awaited}".rstrip()
    stalled = find_condition(before.conditions, ConditionType.STALLED)
    if stalled is None or stalled.reason != EventReason.STAGE_TIMED_OUT.value:
        draft = draft.with_event(EventReason.STAGE_TIMED_OUT, message, warning=True)
    return draft.with_waiting(Waiting(EventReason.STAGE_TIMED_OUT.value, message, stalled=True))


def _wanted(status: RolloutStatus, situation: Situation) -> tuple[RouteEntry, ...] | TooCoarse | None:
    """Return the rule's entries as the status wants them; None where it wants none or the route has a problem."""
    route = situation.observed.route
    if mode_of(status) is Mode.IDLE or not isinstance(route, RouteFacts):
        return None
    return planned(situation.spec, status, situation.observed, route)


def _weights(
    draft: Draft, before: RolloutStatus, situation: Situation, wanted: tuple[RouteEntry, ...] | TooCoarse | None
) -> tuple[Draft, tuple[SetWeights, ...]]:
    """Return the write that makes the route show what the status says; none where it does."""
    spec, status, observed = situation.spec, draft.status, situation.observed
    route = observed.route
    if spec is None or wanted is None or isinstance(wanted, TooCoarse) or not isinstance(route, RouteFacts):
        return draft, ()
    if (
        wanted == route.entries
        or _would_go_dark(wanted, route)
        or _rises_blindly(wanted, route, before, draft, situation)
    ):
        return draft, ()
    if _drifted(wanted, route, before, status):
        who = f" by {route.written_by}" if route.written_by else ""
        message = f"The route's weights were changed{who}: put right."
        draft = draft.with_event(EventReason.WEIGHT_DRIFT_CORRECTED, message, warning=True)
    rescue = mode_of(status) in {Mode.ROLLING_BACK, Mode.ROLLED_BACK}
    shares = shares_for(spec, status, observed)
    return draft, (SetWeights(route=spec.route, shares=shares, ours=our_backends(observed), towards_safety=rescue),)


def _would_go_dark(entries: tuple[RouteEntry, ...], route: RouteFacts) -> bool:
    """Never take the last weight out of a rule that serves: the version that had it is not known any more."""
    return any(entry.weight for entry in route.entries) and not any(entry.weight for entry in entries)


def _rises_blindly(
    wanted: tuple[RouteEntry, ...], route: RouteFacts, before: RolloutStatus, draft: Draft, situation: Situation
) -> bool:
    """Say whether putting the route right would raise the candidate's weight while its evidence cannot be had.

    After a crash in the midst of a rollback the route is safe already, the status does not say so yet, and the breach
    must be found anew first.
    """
    candidate, stage = draft.status.candidate, situation.stage(draft.status)
    facts = situation.observed.versions.get(candidate.version) if candidate is not None else None
    if stage is None or facts is None or facts.backend is None or _roles(before) != _roles(draft.status):
        return False
    key = backend_key(facts.backend)
    if shares_of(wanted, (key,))[key] <= shares_of(route.entries, (key,))[key]:
        return False
    return len(situation.judged) < len(stage.abort_on) or any(
        one.cause in conditions.UNASKED for one in situation.judged
    )


def _drifted(wanted: tuple[RouteEntry, ...], route: RouteFacts, before: RolloutStatus, after: RolloutStatus) -> bool:
    """Say whether somebody else has changed the weights; what the operator wrote itself before a crash is no drift."""
    if route.written_by == FIELD_MANAGER:
        return False
    confirmed = find_condition(before.conditions, ConditionType.TRAFFIC_CONFIRMED)
    if confirmed is None or confirmed.status is not ConditionStatus.TRUE or _roles(before) != _roles(after):
        return False
    return {e.key: e.weight for e in wanted if e.weight} != {e.key: e.weight for e in route.entries if e.weight}


def _roles(status: RolloutStatus) -> tuple[str, str, float]:
    candidate, stable = status.candidate, status.stable
    return (
        stable.version if stable is not None else "",
        candidate.version if candidate is not None else "",
        candidate.weight if candidate is not None else 0.0,
    )


def _describe(
    draft: Draft, before: RolloutStatus, situation: Situation, wanted: tuple[RouteEntry, ...] | TooCoarse | None
) -> RolloutStatus:
    """Return the status with phase, reason, sentences and conditions."""
    status, observed = draft.status, situation.observed
    mode = mode_of(status)
    problem = None if mode is Mode.IDLE else unconfirmed_by(wanted, observed.route)
    waiting = draft.waiting or (problem if mode is Mode.SETTLED else None)
    phase = _phase(mode, status, waiting)
    reason = _reason(mode, status, waiting)
    told = summary.summary(mode, status, situation.spec)
    stalled = mode is Mode.STRANDED or (waiting is not None and waiting.stalled)
    judging = mode is Mode.RUNNING and bool(situation.judged)
    found = (
        *conditions.kstatus_of(phase, reason, told, stalled=stalled),
        conditions.traffic_confirmed(problem or share_mismatch(status, situation), _shares_told(status)),
        conditions.metrics_available(status.evidence, observed.metrics_problem, judging=judging),
        _way_back(mode, status, situation),
        conditions.threshold_coarse(situation.judged),
        audit_lag(status, situation),
    )
    said = tuple(one for one in found if one is not None)
    stated = apply_updates(status.conditions, said, observed.generation, situation.now)
    return draft.with_status(
        observed_generation=observed.generation,
        phase=phase,
        phase_since=before.phase_since if before.phase is phase and before.phase_since is not None else situation.now,
        reason=reason,
        summary=told,
        next_action=summary.next_action(mode, status, situation.spec, waiting, observed.name),
        conditions=stated,
    ).status


def _phase(mode: Mode, status: RolloutStatus, waiting: Waiting | None) -> Phase:
    back = mode in {Mode.ROLLING_BACK, Mode.ROLLED_BACK, Mode.STRANDED}
    if waiting is not None and waiting.reason in {"SpecInvalid", "Conflict", "MetricsInvalid"} and not back:
        return Phase.INVALID
    match mode:
        case Mode.IDLE:
            return Phase.PENDING
        case Mode.SETTLED:
            return _settled_phase(waiting)
        case Mode.RUNNING:
            return _running_phase(status)
        case Mode.ROLLING_BACK:
            return Phase.ROLLING_BACK
        case Mode.STRANDED:
            return Phase.PAUSED
        case Mode.ROLLED_BACK:
            return Phase.ROLLED_BACK
        case _:
            assert_never(mode)


def _settled_phase(waiting: Waiting | None) -> Phase:
    if waiting is None:
        return Phase.HEALTHY
    if waiting.reason in {"Paused", "Quarantined"}:
        return Phase.PAUSED
    return Phase.PROGRESSING if waiting.reason in {"WeightPending", "RouteNotAccepted"} else Phase.PENDING


def _running_phase(status: RolloutStatus) -> Phase:
    assert status.stage is not None  # noqa: S101 - running
    if status.paused is not None or status.stage.state is StageState.AWAITING_APPROVAL:
        return Phase.PAUSED
    first = status.stage.index == 0 and status.stage.state is StageState.PREPARING
    return Phase.PENDING if first else Phase.PROGRESSING


def _reason(mode: Mode, status: RolloutStatus, waiting: Waiting | None) -> str:
    if mode in {Mode.ROLLING_BACK, Mode.ROLLED_BACK} and status.rollback is not None:
        return status.rollback.reason.value
    if mode is Mode.STRANDED:
        return EventReason.NO_ROLLBACK_TARGET.value
    if waiting is not None:
        return waiting.reason
    if mode is Mode.RUNNING and status.stage is not None:
        return status.stage.state.value
    if mode is Mode.IDLE or status.stable is None:
        return "WaitingForVersion"
    promoted = any((run.result, run.version) == (RunResult.PROMOTED, status.stable.version) for run in status.history)
    return "Promoted" if promoted else "Adopted"


def _shares_told(status: RolloutStatus) -> str:
    candidate = status.candidate
    parts = [f"{candidate.version} {candidate.weight:g}%"] if candidate is not None else []
    if status.stable is not None:
        parts.insert(0, f"{status.stable.version} {100 - (candidate.weight if candidate is not None else 0):g}%")
    return f"Every parent of the route has accepted {', '.join(parts)}."


def _way_back(mode: Mode, status: RolloutStatus, situation: Situation) -> ConditionUpdate:
    candidate = status.candidate
    serving = candidate.version if candidate is not None else status.stable.version if status.stable is not None else ""
    target = rollback_target(situation.spec, status, situation.observed, serving)
    ready = target is not None and is_ready(situation.observed.versions[target])
    return conditions.rollback_ready(target, ready=ready, needed=mode in {Mode.RUNNING, Mode.STRANDED})


def _requeue(draft: Draft, situation: Situation) -> timedelta | None:
    """Return when to look again: at once, when the clock lets the run go on, or when the stage has had its time."""
    if draft.requeue_now:
        return timedelta(0)
    status = draft.status
    due = [draft.waiting.until] if draft.waiting is not None and draft.waiting.until is not None else []
    stage = situation.stage(status)
    if stage is not None and status.stage is not None and mode_of(status) is Mode.RUNNING:
        deadline = status.stage.since + stage.longest
        due += [deadline] if deadline > situation.now else []
    if status.records and status.records[0].at + LAG > situation.now:
        due.append(status.records[0].at + LAG)
    return max(timedelta(0), min(due) - situation.now) if due else None
