"""Rollback of a bad version: what counts as bad, how the rollback begins, when it is complete.

Nothing here waits: no pause, freeze, invalid spec or unready gateway is considered before the weights.
"""

from dataclasses import dataclass

from msgspec import structs

from serinus.api.abort_condition import Latency
from serinus.api.quantities import format_duration
from serinus.api.rollout import OnTimeout
from serinus.api.rollout_status import (
    MAX_QUARANTINED,
    Rollback,
    RollbackReason,
    RolloutStatus,
    RunResult,
    Serving,
    StageState,
    TestResult,
    TestStatus,
)
from serinus.api.stage_tests import IntegrationTest
from serinus.api.verdict import Verdict
from serinus.engine.analysis.assessment import Assessment
from serinus.engine.rollout.commands import PendingCommands
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import Running, Stranded
from serinus.engine.rollout.observation import RouteFacts
from serinus.engine.rollout.route_plan import AcceptanceState, accepted
from serinus.engine.rollout.targets import is_ready, rollback_target


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackCause:
    """Why a version must lose its traffic."""

    reason: RollbackReason
    message: str
    judged: Assessment | None = None
    requested_by: str = ""
    why: str = ""
    asked_target: str = ""


def rollback_cause(
    run: Running, status: RolloutStatus, situation: Situation, pending: PendingCommands
) -> RollbackCause | None:
    """Return why the candidate is bad, or None: a breach before a failed test, a test before a command."""
    breach = next((one for one in situation.judged if one.verdict is Verdict.BREACH), None)
    if breach is not None:
        too = " The stable version is over the same limit too." if breach.stable_too else ""
        return RollbackCause(reason=RollbackReason.METRIC_BREACHED, message=_sentence(breach) + too, judged=breach)
    return _failed_test(run, situation) or _asked(pending, situation) or _timed_out(run, status, situation)


def _sentence(breach: Assessment) -> str:
    condition = breach.condition
    if isinstance(condition.metric, Latency) and "%" in breach.value:
        # Where no quantile is known that shows it, the share of slow requests does.
        return f"{condition.text}: {breach.value} ({breach.requests:,} requests)."
    return f"{condition.name} {breach.value} {condition.threshold_text} ({breach.requests:,} requests)."


def _failed_test(run: Running, situation: Situation) -> RollbackCause | None:
    stage = run.planned
    if stage is None or run.stage.state is not StageState.TESTING:
        return None
    for test in stage.tests:
        outcome = situation.observed.tests.get(test.name)
        if outcome is not None and outcome.result is TestResult.FAILED:
            message = f"{_kind(test)} test {test.name} failed in stage {stage.name}: {outcome.message}"
            return RollbackCause(reason=RollbackReason.TEST_FAILED, message=message)
    return None


def _kind(test: IntegrationTest) -> str:
    return "HTTP" if test.http is not None else "Job"


def _asked(pending: PendingCommands, situation: Situation) -> RollbackCause | None:
    by = situation.observed.requested_by
    if pending.abort is not None:
        message, why = f"Aborted by {by}: {pending.abort}.", situation.why(pending.abort)
        return RollbackCause(reason=RollbackReason.ABORTED, message=message, requested_by=by, why=why)
    if pending.rollback is not None:
        message = f"Rollback asked for by {by}: {pending.rollback}."
        return RollbackCause(
            reason=RollbackReason.ROLLBACK_REQUESTED,
            message=message,
            requested_by=by,
            why=situation.why(pending.rollback),
            asked_target=situation.observed.rollback_to,
        )
    return None


def _timed_out(run: Running, status: RolloutStatus, situation: Situation) -> RollbackCause | None:
    stage = run.planned
    if stage is None or not has_timed_out(run, status, situation) or stage.on_timeout is not OnTimeout.ROLLBACK:
        return None
    message = f"Stage {stage.name} did not pass within {format_duration(stage.longest)} (onTimeout: Rollback)."
    return RollbackCause(reason=RollbackReason.STAGE_TIMED_OUT, message=message)


def has_timed_out(run: Running, status: RolloutStatus, situation: Situation) -> bool:
    """Return whether the stage has used its time; never while a person holds the run or is awaited."""
    stage, current = run.planned, run.stage
    if stage is None or status.paused is not None or situation.observed.freeze is not None:
        return False
    return current.state is not StageState.AWAITING_APPROVAL and situation.now - current.since >= stage.longest


def roll_back(draft: Draft, bad: Serving, situation: Situation, cause: RollbackCause) -> Draft:
    """Take all traffic from the bad version and give it to the rollback target."""
    status, now = draft.status, situation.now
    target = rollback_target(situation.spec, status, situation.observed, bad.version, cause.asked_target) or ""
    rollback = Rollback(
        version=bad.version,
        to=target,
        reason=cause.reason,
        message=cause.message,
        condition=cause.judged.condition.text if cause.judged is not None else "",
        value=cause.judged.value if cause.judged is not None else "",
        requests=cause.judged.requests if cause.judged is not None else 0,
        at_weight=bad.weight,
        requested_by=cause.requested_by,
        decided_at=now,
    )
    draft = _record_failed_tests(draft, situation)
    if not target:
        return _strand(draft, bad, rollback, situation)
    draft = _record(draft, rollback, situation)
    note = "" if is_ready(situation.observed.versions[target]) else f" {target} HAS NO READY ENDPOINTS."
    if cause.asked_target not in {"", target}:
        note += f" {cause.asked_target} was asked for, but it cannot take the traffic."
    message = f"{cause.message} {bad.version} {bad.weight:g}% -> 0%, all traffic to {target}.{note}"
    return draft.with_event(EventReason.ROLLBACK_STARTED, message, warning=True, by=cause.requested_by, why=cause.why)


def _record(draft: Draft, rollback: Rollback, situation: Situation) -> Draft:
    """Make the target stable, and the bad version a quarantined candidate at 0."""
    status, now = draft.status, situation.now
    stable = status.stable
    since = stable.since if stable is not None and stable.version == rollback.to else now
    good = status.last_known_good if status.last_known_good not in {rollback.to, rollback.version} else None
    if stable is not None and stable.version not in {rollback.to, rollback.version}:
        good = stable.version
    candidate_since = status.candidate.since if status.candidate is not None else now
    return draft.with_status(
        rollback=rollback,
        stable=Serving(version=rollback.to, weight=100, since=since),
        candidate=Serving(version=rollback.version, weight=0, since=candidate_since),
        last_known_good=good,
        quarantined=_quarantine(status, rollback.version),
        paused=None,
    )


def _quarantine(status: RolloutStatus, version: str) -> tuple[str, ...]:
    return (version, *(other for other in status.quarantined if other != version))[:MAX_QUARANTINED]


def _strand(draft: Draft, bad: Serving, rollback: Rollback, situation: Situation) -> Draft:
    """Report loudly that there is nothing to go back to; the run of a candidate without traffic just ends."""
    status = draft.status
    draft = draft.with_status(quarantined=_quarantine(status, rollback.version))
    if rollback.at_weight == 0:
        rollback = structs.replace(rollback, traffic_safe_at=situation.now)
        draft = draft.with_status(rollback=rollback, paused=None).end_run(
            bad, RunResult.ROLLED_BACK, rollback.message, situation.now
        )
        return draft.with_event(
            EventReason.ROLLBACK_COMPLETED, f"{rollback.message} {rollback.version} had no traffic.", warning=True
        )
    story = f"{rollback.message} THERE IS NO VERSION TO GO BACK TO: {rollback.version} KEEPS {rollback.at_weight:g}%."
    return draft.with_status(rollback=rollback).with_event(EventReason.NO_ROLLBACK_TARGET, story, warning=True)


def _record_failed_tests(draft: Draft, situation: Situation) -> Draft:
    run = draft.mode
    if not isinstance(run, Running) or run.planned is None or run.stage.state is not StageState.TESTING:
        return draft
    held = {test.name: test for test in draft.status.tests}
    for test in run.planned.tests:
        outcome = situation.observed.tests.get(test.name)
        if outcome is not None and test.name not in held:
            held[test.name] = TestStatus(
                name=test.name, result=outcome.result, message=outcome.message, at=situation.now
            )
            if outcome.result is TestResult.FAILED:
                draft = draft.with_event(
                    EventReason.TEST_FAILED, f"{_kind(test)} test {test.name}: {outcome.message}", warning=True
                )
    return draft.with_status(tests=tuple(held.values()))


def is_safe(situation: Situation, *, weights_hold: bool) -> bool:
    """Return whether the gateway has accepted that the bad version has no traffic."""
    route = situation.observed.route
    return weights_hold and isinstance(route, RouteFacts) and accepted(route).state is AcceptanceState.YES


def complete(draft: Draft, rollback: Rollback, situation: Situation) -> Draft:
    """Record that the traffic is safe."""
    took = (situation.now - rollback.decided_at).total_seconds()
    draft = draft.with_status(rollback=structs.replace(rollback, traffic_safe_at=situation.now))
    bad = Serving(version=rollback.version, weight=0, since=situation.now)
    draft = draft.end_run(bad, RunResult.ROLLED_BACK, rollback.message, situation.now)
    return draft.with_event(
        EventReason.ROLLBACK_COMPLETED,
        f"{rollback.message} {rollback.to} serves 100% (accepted {took:.1f}s after the decision).",
        by=rollback.requested_by,
    )


def retreat_if_possible(draft: Draft, stranded: Stranded, situation: Situation) -> Draft | None:
    """Return the rollback of a stranded version once there is something to go back to."""
    held = stranded.rollback
    if rollback_target(situation.spec, draft.status, situation.observed, held.version) is None:
        return None
    cause = RollbackCause(reason=held.reason, message=held.message, requested_by=held.requested_by)
    again = roll_back(draft.with_status(rollback=None), stranded.candidate, situation, cause)
    begun = again.status.rollback
    if begun is None:
        return again
    return again.with_status(
        rollback=structs.replace(begun, condition=held.condition, value=held.value, requests=held.requests)
    )
