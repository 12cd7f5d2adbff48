"""A bad version loses its traffic: what counts as bad, how the way back begins, when it is over.

Nothing here waits for anything: no pause, freeze, invalid spec or unready gateway is looked at before the weights.
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
from serinus.engine.rollout.modes import Mode, mode_of
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


def rollback_cause(draft: Draft, situation: Situation, pending: PendingCommands) -> RollbackCause | None:
    """Return why the candidate is bad, or None: a breach before a failed test, a test before a person's wish."""
    breach = next((one for one in situation.judged if one.verdict is Verdict.BREACH), None)
    if breach is not None:
        too = " The stable version is over the same limit too." if breach.stable_too else ""
        return RollbackCause(reason=RollbackReason.METRIC_BREACHED, message=_sentence(breach) + too, judged=breach)
    return _failed_test(draft.status, situation) or _asked(pending, situation) or _timed_out(draft.status, situation)


def _sentence(breach: Assessment) -> str:
    condition = breach.condition
    if isinstance(condition.metric, Latency) and "%" in breach.value:
        # Where no quantile is known that shows it, the share of slow requests does.
        return f"{condition.text}: {breach.value} ({breach.requests:,} requests)."
    return f"{condition.name} {breach.value} {condition.threshold_text} ({breach.requests:,} requests)."


def _failed_test(status: RolloutStatus, situation: Situation) -> RollbackCause | None:
    stage = situation.stage(status)
    if stage is None or status.stage is None or status.stage.state is not StageState.TESTING:
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


def _timed_out(status: RolloutStatus, situation: Situation) -> RollbackCause | None:
    stage = situation.stage(status)
    if stage is None or not has_timed_out(status, situation) or stage.on_timeout is not OnTimeout.ROLLBACK:
        return None
    message = f"Stage {stage.name} did not pass within {format_duration(stage.longest)} (onTimeout: Rollback)."
    return RollbackCause(reason=RollbackReason.STAGE_TIMED_OUT, message=message)


def has_timed_out(status: RolloutStatus, situation: Situation) -> bool:
    """Say whether the stage has had its time; not while a person holds the run or is awaited."""
    stage, current = situation.stage(status), status.stage
    if stage is None or current is None or status.paused is not None or situation.observed.freeze is not None:
        return False
    return current.state is not StageState.AWAITING_APPROVAL and situation.now - current.since >= stage.longest


def roll_back(draft: Draft, situation: Situation, fault: RollbackCause) -> Draft:
    """Take all traffic from the candidate and give it to the rollback target."""
    status, now = draft.status, situation.now
    bad = _bad_version(status)
    at_weight = status.candidate.weight if status.candidate is not None else _weight_of_stable(status)
    target = rollback_target(situation.spec, status, situation.observed, bad, fault.asked_target) or ""
    rollback = Rollback(
        version=bad,
        to=target,
        reason=fault.reason,
        message=fault.message,
        condition=fault.judged.condition.text if fault.judged is not None else "",
        value=fault.judged.value if fault.judged is not None else "",
        requests=fault.judged.requests if fault.judged is not None else 0,
        at_weight=at_weight,
        requested_by=fault.requested_by,
        decided_at=now,
    )
    draft = _record_failed_tests(draft, situation)
    if not target:
        return _strand(draft, rollback, situation)
    draft = _record(draft, rollback, situation)
    note = "" if is_ready(situation.observed.versions[target]) else f" {target} HAS NO READY ENDPOINTS."
    if fault.asked_target not in {"", target}:
        note += f" {fault.asked_target} was asked for, but it cannot take the traffic."
    story = f"{fault.message} {bad} {at_weight:g}% -> 0%, all traffic to {target}.{note}"
    return draft.with_event(EventReason.ROLLBACK_STARTED, story, warning=True, by=fault.requested_by, why=fault.why)


def _bad_version(status: RolloutStatus) -> str:
    if status.candidate is not None and mode_of(status) is not Mode.SETTLED:
        return status.candidate.version
    assert status.stable is not None  # noqa: S101 - only what serves can be rolled back
    return status.stable.version


def _weight_of_stable(status: RolloutStatus) -> float:
    return status.stable.weight if status.stable is not None else 0


def _record(draft: Draft, rollback: Rollback, situation: Situation) -> Draft:
    """Say that the target is stable, the bad version a quarantined candidate at 0."""
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


def _strand(draft: Draft, rollback: Rollback, situation: Situation) -> Draft:
    """Say loudly that there is nothing to go back to; a candidate without traffic is simply out."""
    status = draft.status
    draft = draft.with_status(quarantined=_quarantine(status, rollback.version))
    if rollback.at_weight == 0:
        rollback = structs.replace(rollback, traffic_safe_at=situation.now)
        draft = draft.with_status(rollback=rollback, paused=None).end_run(
            RunResult.ROLLED_BACK, rollback.message, situation.now
        )
        return draft.with_event(
            EventReason.ROLLBACK_COMPLETED, f"{rollback.message} {rollback.version} had no traffic.", warning=True
        )
    story = f"{rollback.message} THERE IS NO VERSION TO GO BACK TO: {rollback.version} KEEPS {rollback.at_weight:g}%."
    return draft.with_status(rollback=rollback).with_event(EventReason.NO_ROLLBACK_TARGET, story, warning=True)


def _record_failed_tests(draft: Draft, situation: Situation) -> Draft:
    stage = situation.stage(draft.status)
    if stage is None or draft.status.stage is None or draft.status.stage.state is not StageState.TESTING:
        return draft
    held = {test.name: test for test in draft.status.tests}
    for test in stage.tests:
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


def is_safe(status: RolloutStatus, situation: Situation, *, weights_hold: bool) -> bool:
    """Say whether the gateway has accepted that the bad version has no traffic."""
    route = situation.observed.route
    return (
        mode_of(status) is Mode.ROLLING_BACK
        and weights_hold
        and isinstance(route, RouteFacts)
        and accepted(route).state is AcceptanceState.YES
    )


def complete(draft: Draft, situation: Situation) -> Draft:
    """Say that the traffic is safe."""
    rollback = draft.status.rollback
    assert rollback is not None  # noqa: S101 - a rollback is under way
    took = (situation.now - rollback.decided_at).total_seconds()
    draft = draft.with_status(rollback=structs.replace(rollback, traffic_safe_at=situation.now))
    draft = draft.end_run(RunResult.ROLLED_BACK, rollback.message, situation.now)
    return draft.with_event(
        EventReason.ROLLBACK_COMPLETED,
        f"{rollback.message} {rollback.to} serves 100% (accepted {took:.1f}s after the decision).",
        by=rollback.requested_by,
    )


def retreat_if_possible(draft: Draft, situation: Situation) -> Draft | None:
    """Return the rollback of a stranded version once there is something to go back to."""
    held = draft.status.rollback
    assert held is not None  # noqa: S101 - stranded
    if rollback_target(situation.spec, draft.status, situation.observed, held.version) is None:
        return None
    fault = RollbackCause(reason=held.reason, message=held.message, requested_by=held.requested_by)
    again = roll_back(draft.with_status(rollback=None), situation, fault)
    begun = again.status.rollback
    assert begun is not None  # noqa: S101 - just begun
    told = structs.replace(begun, condition=held.condition, value=held.value, requests=held.requests)
    return again.with_status(rollback=told)
