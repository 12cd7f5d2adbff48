"""Rollback of a bad version: how it begins, which version gets the traffic, when it is complete.

Nothing here waits: no pause, freeze, invalid spec or unready gateway is considered before the weights.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from msgspec import structs

from serinus.api.rollout_status import (
    MAX_QUARANTINED,
    Pause,
    Rollback,
    RolloutStatus,
    RunResult,
    Serving,
    StageState,
    TestResult,
    TestStatus,
)
from serinus.engine.rollout.causes import RollbackCause, kind_of
from serinus.engine.rollout.decision import EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.job_tests import has_ended, outcome_of
from serinus.engine.rollout.modes import Running, Stranded
from serinus.engine.rollout.observation import Observation
from serinus.engine.rollout.tested_content import content_of
from serinus.engine.rollout.traffic.facts import RouteFacts
from serinus.engine.rollout.traffic.targets import Choice, choose_target, could_take_over, place_of
from serinus.engine.rollout.waiting import Waiting, WaitReason

_ALL: Final = 100

GATEWAY_LIMIT: Final = timedelta(seconds=15)
"""So long may the gateway take to accept the weights of a rollback until a person is told to look after it."""


def roll_back(draft: Draft, bad: Serving, situation: Situation, cause: RollbackCause) -> Draft:
    """Take all traffic from the bad version and give it to the rollback target.

    Where no version is fit to be the target, the bad one still loses its traffic as long as anything else in the rule
    has some: what serves beside it then serves alone.
    """
    status, observed = draft.status, situation.observed
    choice = choose_target(situation.spec, status, observed, bad.version, cause.asked_target)
    keeps = _serves_beside(bad, status, observed)
    target = choice.version or (keeps if keeps is not None else "")
    message = cause.message
    if cause.asked_target not in {"", target}:
        message += f" {cause.asked_target} was asked for, but it cannot take the traffic."
    rollback = Rollback(
        version=bad.version,
        to=target,
        reason=cause.reason,
        message=message,
        condition=cause.judged.condition.text if cause.judged is not None else "",
        value=cause.judged.value if cause.judged is not None else "",
        requests=cause.judged.requests if cause.judged is not None else 0,
        at_weight=bad.weight,
        requested_by=cause.requested_by,
        decided_at=situation.now,
    )
    draft = _record_failed_tests(draft, situation)
    if not _has_weight(bad, status, observed) and choice.version is None:
        return _end_without_traffic(draft, bad, rollback)
    if choice.version is None and keeps is None and bad.weight > 0:
        return _strand(draft, rollback, choice)
    draft = _record(draft, bad, rollback, situation)
    gets = f"all traffic to {target}" if target else "the rule's other backends serve alone"
    return draft.with_event(
        EventReason.ROLLBACK_STARTED,
        f"{message} {bad.version} {bad.weight:g}% -> 0%, {gets}.{_note(choice, target)}",
        warning=True,
        by=cause.requested_by,
        why=cause.why,
        override=cause.override,
    )


def _note(choice: Choice, target: str) -> str:
    """Return what a person must know of the target: that it is not ready, and which ones were passed over."""
    if choice.version is None and target:
        return f" {target} KEEPS SERVING ALTHOUGH IT IS NOT FIT TO: {choice.reasons or 'it is not ready'}."
    return f" Passed over: {choice.reasons}." if choice.passed_over else ""


def _serves_beside(bad: Serving, status: RolloutStatus, observed: Observation) -> str | None:
    """Return what serves beside the bad version: the stable one, "" for foreign backends, None where nothing does."""
    stable, route = status.stable, observed.route
    partly = stable is not None and stable.version != bad.version and bad.weight < _ALL
    if not isinstance(route, RouteFacts):
        return stable.version if partly and bad.weight > 0 and stable is not None else None
    place = place_of(bad.version, status, observed)
    live = {entry.key for entry in route.entries if entry.weight and (place is None or entry.key != place.key)}
    beside = place_of(stable.version, status, observed) if stable is not None else None
    if partly and stable is not None and beside is not None and beside.key in live:
        return stable.version
    return "" if live else None


def _has_weight(bad: Serving, status: RolloutStatus, observed: Observation) -> bool:
    """Return whether the bad version has traffic: as the status says, or as the route shows."""
    place, route = place_of(bad.version, status, observed), observed.route
    if bad.weight > 0 or place is None or not isinstance(route, RouteFacts):
        return bad.weight > 0
    return any(entry.weight for entry in route.entries if entry.key == place.key)


def _record(draft: Draft, bad: Serving, rollback: Rollback, situation: Situation) -> Draft:
    """Make the target stable, and the bad version a quarantined candidate at 0."""
    status, now = draft.status, situation.now
    stable = status.stable
    good = status.last_known_good if status.last_known_good not in {rollback.to, rollback.version} else None
    if stable is not None and stable.version not in {rollback.to, rollback.version}:
        good = stable.version
    return draft.with_status(
        rollback=rollback,
        stable=_as_stable(rollback.to, status, situation) if rollback.to else None,
        candidate=structs.replace(
            bad, weight=0, mirror=None, since=_candidate_since(status, now), not_ready_since=None
        ),
        last_known_good=good,
        quarantined=_quarantine(status, rollback.version),
        paused=_pause_left(draft),
    )


def _pause_left(draft: Draft) -> Pause | None:
    """Return the pause that outlives a rollback: one of a run ends with it, one without a run holds the next one."""
    return None if isinstance(draft.mode, Running | Stranded) else draft.status.paused


def _as_stable(version: str, status: RolloutStatus, situation: Situation) -> Serving:
    """Return the version as the one that serves; since when it does, where it did already."""
    stable = status.stable
    if stable is not None and stable.version == version:
        return structs.replace(stable, weight=100)
    place = place_of(version, status, situation.observed)
    return Serving(
        version=version, weight=100, since=situation.now, backend=place.backend if place is not None else None
    )


def with_ready_stable(draft: Draft, candidate: Serving, situation: Situation) -> Draft:
    """Return the draft of a run that must end, with a stable version that can take the candidate's traffic.

    Where the candidate alone serves and no version could take its traffic, the stable version stays what it is.
    """
    status, observed = draft.status, situation.observed
    if status.stable is None or candidate.weight < _ALL or _serves_beside(candidate, status, observed):
        return draft
    choice = choose_target(situation.spec, status, observed, candidate.version)
    if choice.version is None:
        return draft
    return draft.with_status(stable=_as_stable(choice.version, status, situation))


def kept_for_want_of_another(bad: Serving, status: RolloutStatus, situation: Situation) -> Waiting | None:
    """Return why a deleted Rollout stays: its bad version answers all the requests, and no other one could.

    Once the Rollout is gone nobody would take the traffic from it.
    """
    place = place_of(bad.version, status, situation.observed)
    if place is None or not place.is_ready:
        return None
    choice = choose_target(situation.spec, status, situation.observed, bad.version)
    passed_over = f" ({choice.reasons})" if choice.reasons else ""
    message = (
        f"{bad.version} is bad, has all the traffic, and no other version could take it{passed_over}. The Rollout goes "
        "as soon as one has a ready endpoint; without its finalizer serinus.dev/outbox it goes at once."
    )
    return Waiting(WaitReason.ROLLBACK_TARGET_NOT_READY, message)


def _candidate_since(status: RolloutStatus, now: datetime) -> datetime:
    return status.candidate.since if status.candidate is not None else now


def retarget(draft: Draft, rollback: Rollback, situation: Situation) -> Draft:
    """Return the draft with another target, where the present one cannot take the traffic and another can."""
    status, observed = draft.status, situation.observed
    if rollback.to and could_take_over(rollback.to, status, observed):
        return draft
    choice = choose_target(situation.spec, status, observed, rollback.version)
    if choice.version is None or choice.version == rollback.to:
        return draft
    message = f"{rollback.to or 'What serves'} cannot take the traffic any more: all traffic to {choice.version}."
    return draft.with_status(
        rollback=structs.replace(rollback, to=choice.version),
        stable=_as_stable(choice.version, status, situation),
    ).with_event(EventReason.ROLLBACK_TARGET_CHANGED, message, warning=True)


def with_warning(problem: Waiting, rollback: Rollback, situation: Situation) -> Waiting:
    """Return what is awaited; once the gateway has taken too long, that a person should see why."""
    if not problem.reason.transient:
        return problem
    due = rollback.decided_at + GATEWAY_LIMIT
    if situation.now < due:
        return Waiting(problem.reason, problem.message, until=due)
    message = (
        f"{rollback.version} MAY STILL HAVE ITS TRAFFIC: the gateway has not taken the weights for more than "
        f"{GATEWAY_LIMIT.total_seconds():g}s. See why in its controller's log. {problem.message}"
    )
    return Waiting(problem.reason, message)


def _quarantine(status: RolloutStatus, version: str) -> tuple[str, ...]:
    return (version, *(other for other in status.quarantined if other != version))[:MAX_QUARANTINED]


def _end_without_traffic(draft: Draft, bad: Serving, rollback: Rollback) -> Draft:
    """End the run of a version that has no traffic to lose."""
    rollback = structs.replace(rollback, to="", traffic_safe_at=rollback.decided_at)
    quarantined = _quarantine(draft.status, rollback.version)
    draft = draft.with_status(rollback=rollback, quarantined=quarantined, paused=_pause_left(draft))
    if draft.status.candidate is not None:
        draft = draft.with_status(candidate=structs.replace(draft.status.candidate, mirror=None))
    at = rollback.decided_at
    draft = draft.end_run(bad, RunResult.ROLLED_BACK, rollback.message, at, decided_at=at)
    had = f"only copies of {bad.mirror:g}% of the requests" if bad.mirror is not None else "no traffic"
    message = f"{rollback.message} {rollback.version} had {had}."
    return draft.with_event(EventReason.ROLLBACK_COMPLETED, message, warning=True)


def _strand(draft: Draft, rollback: Rollback, choice: Choice) -> Draft:
    """Report loudly that there is nothing to go back to."""
    note = f" Passed over: {choice.reasons}." if choice.passed_over else ""
    message = f"{rollback.message} THERE IS NO VERSION TO GO BACK TO: {rollback.version} KEEPS {rollback.at_weight:g}%."
    draft = draft.with_status(rollback=rollback, quarantined=_quarantine(draft.status, rollback.version))
    return draft.with_event(EventReason.NO_ROLLBACK_TARGET, message + note, warning=True)


def _record_failed_tests(draft: Draft, situation: Situation) -> Draft:
    run = draft.mode
    if not isinstance(run, Running) or run.planned is None or run.stage.state is not StageState.TESTING:
        return draft
    held = {test.name: test for test in draft.status.tests}
    for test in run.planned.tests:
        outcome = outcome_of(test.name, draft.status, situation.observed)
        if outcome is not None and (test.name not in held or not has_ended(held[test.name])):
            held[test.name] = TestStatus(
                name=test.name,
                result=outcome.result,
                message=outcome.message,
                at=situation.now,
                job_uid=outcome.uid,
                content=content_of(test),
            )
            if outcome.result is TestResult.FAILED:
                message = f"{kind_of(test)} test {test.name}: {outcome.message}"
                details = outcome.details(test.name, run.stage.name)
                draft = draft.with_event(EventReason.TEST_FAILED, message, warning=True, details=details)
    return draft.with_status(tests=tuple(held.values()))


def complete(draft: Draft, rollback: Rollback, situation: Situation) -> Draft:
    """Record that the traffic is safe."""
    took = (situation.now - rollback.decided_at).total_seconds()
    bad = draft.status.candidate or Serving(version=rollback.version, weight=0, since=rollback.decided_at)
    draft = draft.with_status(rollback=structs.replace(rollback, traffic_safe_at=situation.now))
    draft = draft.end_run(bad, RunResult.ROLLED_BACK, rollback.message, situation.now, decided_at=rollback.decided_at)
    serves = f"{rollback.to} serves" if rollback.to else f"{rollback.version} has no traffic any more"
    return draft.with_event(
        EventReason.ROLLBACK_COMPLETED,
        f"{rollback.message} {serves} (accepted {took:.1f}s after the decision).",
        by=rollback.requested_by,
    )


def retreat_if_possible(
    draft: Draft, stranded: Stranded, situation: Situation, asked: RollbackCause | None = None
) -> Draft | None:
    """Return the rollback of a stranded version once there is something to go back to, for who has ``asked`` for it."""
    held = stranded.rollback
    cause = RollbackCause(reason=held.reason, message=held.message, requested_by=held.requested_by)
    if asked is not None:
        cause = replace(asked, reason=held.reason, message=f"{held.message} {asked.message}")
    choice = choose_target(situation.spec, draft.status, situation.observed, held.version, cause.asked_target)
    if choice.version is None and _serves_beside(stranded.candidate, draft.status, situation.observed) is None:
        return None
    again = roll_back(draft.with_status(rollback=None), stranded.candidate, situation, cause)
    begun = again.status.rollback
    if begun is None:
        return again
    return again.with_status(
        rollback=structs.replace(begun, condition=held.condition, value=held.value, requests=held.requests)
    )
