"""Statuses that mean the same, made equal: what is left is all that a decision can depend on.

Merged, so that a world has finitely many states:

- Sentences, names of people, figures and the texts of conditions: nothing is decided on them.
- Times become ages in steps of 31 s, at most ``OLDEST`` and at least ``YOUNGEST`` of them (younger than none after the
  clock was stepped back). 31 s is more than the 30 s without endpoints, two of them more than the pause of a contested
  route, and the worlds' stages last one and at most two.
- Held time is taken out of the stage's beginning, where the two together give the same run time.
- The history keeps the promoted versions, in order, without repetition.
- Run numbers are 1, or 0 where no run has begun; records are none, one, or as many as stop the run.
- Tokens: for each verb "x", which the annotation has, or "y", an older one.
- Approvals of another stage, or given before the present state began, count for nothing and go.
"""

from datetime import datetime, timedelta
from functools import cache
from typing import Final

import msgspec
from msgspec import structs

from serinus.api.audit_record import Actor, ActorKind, AuditEntry, AuditEvent, Authentication, RolloutReference
from serinus.api.conditions import Condition
from serinus.api.rollout_status import (
    CurrentStage,
    EvidenceStatus,
    PastRun,
    RolloutStatus,
    RouteStatus,
    RunResult,
    Serving,
    StageApproval,
)
from serinus.engine.rollout.outbox import BACKLOG
from support.builders import NOW

TICK: Final = timedelta(seconds=31)
OLDEST: Final = 4
YOUNGEST: Final = -2
MOST_CORRECTIONS: Final = 4
"""More corrections in a row than this are all treated alike."""

_AGES: Final = {TICK * steps: NOW - TICK * steps for steps in range(YOUNGEST, OLDEST + 1)}
_RECORD: Final = AuditEntry(
    id="00000000-0000-5000-8000-000000000000",
    event=AuditEvent.ROLLOUT_STARTED,
    at=NOW,
    version="",
    actor=Actor(name="serinus", kind=ActorKind.OPERATOR, authentication=Authentication.OPERATOR),
    rollout=RolloutReference(name="fraud", uid="uid-fraud", generation=1, run=1, stage="", spec_hash=""),
    message="",
)
_OUTBOXES: Final = {False: (_RECORD,), True: (_RECORD,) * BACKLOG}
_encode = msgspec.msgpack.Encoder().encode


def key_of(status: RolloutStatus) -> bytes:
    """Return what tells one canonical status from another."""
    return _encode(status)


def canonical(status: RolloutStatus, now: datetime) -> RolloutStatus:
    """Return the status that stands for all those in which the same decisions will be taken, as of ``NOW``."""
    rollback = status.rollback
    if rollback is not None:
        rollback = structs.replace(
            rollback,
            message="",
            value="",
            condition="",
            requests=0,
            requested_by="",
            at_weight=0.0,
            decided_at=NOW,
            traffic_safe_at=NOW if rollback.traffic_safe_at is not None else None,
        )
    stage = _stage(status.stage, now) if status.stage is not None else None
    return RolloutStatus(
        observed_generation=1,
        phase=status.phase,
        reason=status.reason,
        stable=_serving(status.stable, now),
        candidate=_serving(status.candidate, now),
        last_known_good=status.last_known_good,
        route=_route(status.route, now),
        stage=stage,
        phase_since=NOW,
        run=min(status.run, 1),
        run_started_at=NOW if status.run_started_at is not None else None,
        evidence=tuple(map(_evidence, status.evidence)),
        tests=tuple(structs.replace(test, message="", at=NOW) for test in status.tests),
        rollback=rollback,
        paused=structs.replace(status.paused, reason="x", requested_by="", at=NOW) if status.paused else None,
        approvals=_approvals(status, stage) if status.approvals else (),
        quarantined=tuple(sorted(status.quarantined)),
        history=_promoted(status.history),
        last_handled=dict(sorted(status.last_handled.items())),
        records=_OUTBOXES[len(status.records) >= BACKLOG] if status.records else (),
        records_made=0,
        conditions=_conditions(tuple((one.type, one.status, one.reason) for one in status.conditions)),
    )


def aged(since: datetime, now: datetime) -> datetime:
    """Return the time that is as long before ``NOW``, within the ages that are told apart."""
    age = now - since
    return _AGES.get(age) or NOW - TICK * max(YOUNGEST, min(OLDEST, round(age / TICK)))


def _serving(serving: Serving | None, now: datetime) -> Serving | None:
    if serving is None:
        return None
    unready = serving.not_ready_since
    return Serving(
        version=serving.version,
        weight=float(serving.weight),
        since=NOW,
        backend=serving.backend,
        not_ready_since=aged(unready, now) if unready is not None else None,
    )


def _route(route: RouteStatus | None, now: datetime) -> RouteStatus | None:
    if route is None or route.corrected_at is None:
        return route
    if now - route.corrected_at >= TICK * OLDEST:
        # So long ago that the next one is the first again.
        return structs.replace(route, corrections=0, corrected_at=None)
    corrections = min(route.corrections, MOST_CORRECTIONS)
    return structs.replace(route, corrections=corrections, corrected_at=aged(route.corrected_at, now))


def _stage(stage: CurrentStage, now: datetime) -> CurrentStage:
    held = stage.held_since
    ahead = held is not None and held > now
    return CurrentStage(
        index=stage.index,
        name=stage.name,
        state=stage.state,
        since=aged(now - _run_time(stage.since, stage.held_seconds, stage, now), now),
        state_since=aged(now - _run_time(stage.state_since, stage.state_held_seconds, stage, now), now),
        held_since=None if held is None else aged(held, now) if ahead else NOW,
    )


def _run_time(since: datetime, held_seconds: float, stage: CurrentStage, now: datetime) -> timedelta:
    holding = now - stage.held_since if stage.held_since is not None else timedelta(0)
    return now - since - timedelta(seconds=held_seconds) - holding


def _evidence(one: EvidenceStatus) -> EvidenceStatus:
    return _bare_evidence(one.name, one.condition, one.verdict, one.cause)


@cache
def _bare_evidence(name, condition, verdict, cause) -> EvidenceStatus:  # type: ignore[no-untyped-def]  # noqa: ANN001
    return EvidenceStatus(name=name, condition=condition, verdict=verdict, cause=cause, at=NOW)


def _approvals(status: RolloutStatus, stage: CurrentStage | None) -> tuple[StageApproval, ...]:
    current = status.stage
    if current is None or stage is None:
        return ()
    kept = {
        (one.digest, one.spec_hash): structs.replace(one, requested_by="", token="", at=stage.state_since)
        for one in status.approvals
        if one.stage == current.name and one.at >= current.state_since
    }
    return tuple(kept[key] for key in sorted(kept))


def _promoted(history: tuple[PastRun, ...]) -> tuple[PastRun, ...]:
    return _past(tuple(dict.fromkeys(run.version for run in history if run.result is RunResult.PROMOTED)))


@cache
def _past(versions: tuple[str, ...]) -> tuple[PastRun, ...]:
    return tuple(
        PastRun(run=1, version=version, result=RunResult.PROMOTED, started_at=NOW, ended_at=NOW) for version in versions
    )


@cache
def _conditions(facts: tuple[tuple[str, object, str], ...]) -> tuple[Condition, ...]:
    return tuple(
        Condition(
            type=kind,
            status=status,  # type: ignore[arg-type]
            reason=reason,
            message="",
            last_transition_time=NOW,
            observed_generation=1,
        )
        for kind, status, reason in facts
    )
