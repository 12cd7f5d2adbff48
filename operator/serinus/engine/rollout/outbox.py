"""The outbox: what happened to a Rollout becomes records in its status, which the registry takes when it can.

They are written together with the status that they tell of, so that neither a crash nor an outage of the registry loses
one, and nothing that moves traffic ever waits for the registry.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from functools import lru_cache
from typing import Final
from uuid import UUID, uuid5

import msgspec

from serinus.api.audit_record import (
    PROMOTED_BECAUSE,
    PROMOTED_BY,
    Actor,
    ActorKind,
    ApprovalEvidence,
    AuditEntry,
    AuditEvent,
    Authentication,
    Evidence,
    RolloutReference,
)
from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.names import UNVERIFIED
from serinus.api.parsing import encode
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import EvidenceStatus, RolloutStatus
from serinus.engine.analysis.assessment import Assessment
from serinus.engine.audit.chain import digest_of
from serinus.engine.conditions import ConditionUpdate
from serinus.engine.rollout.decision import Event, EventReason
from serinus.engine.rollout.draft import Draft, Situation
from serinus.engine.rollout.modes import RollingBack, Running
from serinus.engine.rollout.recorded_plan import recorded_plan
from serinus.engine.rollout.waiting import Waiting, WaitReason

BACKLOG: Final = 160
"""So many records may wait until nothing advances any more: what happens then must still find room."""

MOST_TEXT: Final = 250_000
"""Characters of people's words in waiting records: at most 1 MB in UTF-8, where etcd takes 1.5 MiB for an object."""

LAG: Final = timedelta(seconds=60)
"""How old the oldest waiting record may be before ``AuditLag`` says so."""

_NAMESPACE: Final = UUID("5e81b2f0-0c2e-5d0f-9a53-6f0d8a3c4b17")
_SERVICE_ACCOUNT: Final = "system:serviceaccount:"
_OPERATOR: Final = Actor(name="serinus", kind=ActorKind.OPERATOR, authentication=Authentication.OPERATOR)

RECORDED: Final[Mapping[EventReason, AuditEvent]] = {
    EventReason.ROLLOUT_STARTED: AuditEvent.ROLLOUT_STARTED,
    EventReason.STABLE_ADOPTED: AuditEvent.STABLE_ADOPTED,
    EventReason.TRAFFIC_SHIFTED: AuditEvent.TRAFFIC_SHIFTED,
    EventReason.WEIGHT_DRIFT_CORRECTED: AuditEvent.TRAFFIC_DRIFT_CORRECTED,
    EventReason.TEST_PASSED: AuditEvent.TEST_PASSED,
    EventReason.TEST_FAILED: AuditEvent.TEST_FAILED,
    EventReason.ANALYSIS_PASSED: AuditEvent.ANALYSIS_PASSED,
    EventReason.STAGE_TIMED_OUT: AuditEvent.STAGE_TIMED_OUT,
    EventReason.APPROVED: AuditEvent.APPROVED,
    EventReason.APPROVAL_REFUSED: AuditEvent.APPROVAL_REFUSED,
    EventReason.APPROVAL_EXPIRED: AuditEvent.APPROVAL_EXPIRED,
    EventReason.ROLLOUT_PAUSED: AuditEvent.PAUSED,
    EventReason.ROLLOUT_RESUMED: AuditEvent.RESUMED,
    EventReason.ROLLOUT_PROMOTED: AuditEvent.PROMOTED,
    EventReason.ROLLOUT_SUPERSEDED: AuditEvent.RUN_SUPERSEDED,
    EventReason.ROLLOUT_CANCELLED: AuditEvent.RUN_CANCELLED,
    EventReason.ROLLBACK_STARTED: AuditEvent.ROLLBACK_STARTED,
    EventReason.ROLLBACK_COMPLETED: AuditEvent.ROLLED_BACK,
    EventReason.ROLLBACK_TARGET_CHANGED: AuditEvent.ROLLBACK_STARTED,
    EventReason.NO_ROLLBACK_TARGET: AuditEvent.ROLLBACK_IMPOSSIBLE,
    EventReason.PLAN_CHANGED: AuditEvent.PLAN_CHANGED,
    EventReason.QUARANTINE_LIFTED: AuditEvent.QUARANTINE_LIFTED,
    EventReason.COMMAND_IGNORED: AuditEvent.COMMAND_IGNORED,
}
"""Which events the audit trail keeps; the others tell the same once more, or of something that did not happen."""

_JUDGED: Final = frozenset(
    {
        AuditEvent.ANALYSIS_PASSED,
        AuditEvent.PROMOTED,
        AuditEvent.ROLLBACK_STARTED,
        AuditEvent.ROLLED_BACK,
        AuditEvent.ROLLBACK_IMPOSSIBLE,
        AuditEvent.STAGE_TIMED_OUT,
    }
)
_APPROVED: Final = frozenset({AuditEvent.APPROVED, AuditEvent.TRAFFIC_SHIFTED, AuditEvent.PROMOTED})
_ENDED: Final = frozenset({AuditEvent.RUN_SUPERSEDED, AuditEvent.RUN_CANCELLED})
"""They tell of the run that ends."""

_DISPENSABLE: Final = frozenset({EventReason.WEIGHT_DRIFT_CORRECTED, EventReason.COMMAND_IGNORED})
"""What may come without end while the registry is down; the events still tell of it."""


def plan_hash(spec: RolloutSpec) -> str:
    """Return SHA-256 of a Rollout's spec in canonical JSON: what an approval is given for."""
    return _digest_of(msgspec.json.encode(encode(spec)))


@lru_cache(maxsize=512)
def _digest_of(text: bytes) -> str:
    """Return the digest of a JSON text; remembered, as it would be most of the cost of a rollback's decision."""
    return digest_of(msgspec.json.decode(text))


def backlog(status: RolloutStatus) -> Waiting | None:
    """Return why nothing may advance: too much waits for the registry."""
    if len(status.records) < BACKLOG and _text_of(status) < MOST_TEXT:
        return None
    message = f"{len(status.records)} audit records wait for the registry; nothing advances until it takes them."
    return Waiting(WaitReason.AUDIT_BACKLOG, f"{message} A breach still rolls back.")


def _text_of(status: RolloutStatus) -> int:
    return sum(len(record.reason) + len(record.message) for record in status.records)


def audit_lag(status: RolloutStatus, situation: Situation) -> ConditionUpdate | None:
    """Say that records wait for longer than they should, and why."""
    waiting = _unrecorded(status, situation)
    if not waiting or situation.now - waiting[0].at < LAG:
        return None
    problem = situation.observed.audit.problem
    message = f"Audit records wait for the registry since {waiting[0].at:%Y-%m-%d %H:%M:%SZ}"
    return ConditionUpdate(
        ConditionType.AUDIT_LAG,
        ConditionStatus.TRUE,
        "RegistryUnavailable" if problem else "RegistrySlow",
        f"{message}{f': {problem}' if problem else ''}. None is lost: they are kept in this status.",
    )


def with_records(draft: Draft, before: RolloutStatus, situation: Situation) -> Draft:
    """Put what happened into the outbox and take out what the registry has.

    What is taken out alone is no reason to write the status while a run is under way: it goes with the next write.
    """
    made = tuple(_records(draft, before, situation))
    kept = _unrecorded(draft.status, situation)
    if not made and kept == draft.status.records:
        return draft
    full = draft.with_status(records=(*kept, *made), records_made=draft.status.records_made + len(made))
    if made:
        return full
    changed = draft.status != before
    at_rest = not isinstance(draft.mode, Running | RollingBack)
    return full if changed or at_rest else draft


def _unrecorded(status: RolloutStatus, situation: Situation) -> tuple[AuditEntry, ...]:
    recorded = situation.observed.audit.recorded
    return tuple(record for record in status.records if record.id not in recorded)


def _records(draft: Draft, before: RolloutStatus, situation: Situation) -> Iterable[AuditEntry]:
    number = draft.status.records_made
    crowded = backlog(draft.status) is not None
    for event in draft.events:
        kind = RECORDED.get(event.reason)
        if kind is None or (crowded and event.reason in _DISPENSABLE):
            continue
        number += 1
        yield _record(event, kind, number, draft.status, before, situation)


def _record(  # noqa: PLR0913, PLR0917 - what a record is made of
    event: Event, kind: AuditEvent, number: int, after: RolloutStatus, before: RolloutStatus, situation: Situation
) -> AuditEntry:
    observed = situation.observed
    version, to = _subject(kind, after, before)
    facts = observed.versions.get(version)
    # The digest is that of the bytes that serve: of a completed rollback, the target's.
    serving = observed.versions.get(to) if kind is AuditEvent.ROLLED_BACK and to else facts
    return AuditEntry(
        id=str(uuid5(_NAMESPACE, f"{observed.uid}/{number}")),
        event=kind,
        at=situation.now,
        version=version,
        to=to,
        digest=serving.digest if serving is not None else "",
        spec_hash=facts.spec_hash if facts is not None else "",
        traffic=_traffic(kind, version, after),
        actor=actor_of(event.by),
        # The author in Git stands for who wrote the object last, not for who deleted it.
        on_behalf_of=observed.actors.on_behalf_of if event.by and not observed.deleted else None,
        reason=event.why[:4096],
        message=event.message[:4096],
        # The run that ends, although the same decision may begin the next one.
        rollout=_reference(before if kind in _ENDED else after, before, situation),
        approvals=_approvals(before, after) if kind in _APPROVED else (),
        evidence=_evidence(before, situation) if kind in _JUDGED else (),
        details={**_details(kind, after, situation), **dict(event.details)},
    )


def actor_of(name: str) -> Actor:
    """Return who acted, given the stamp of the API server; the operator where nobody did."""
    if not name:
        return _OPERATOR
    if name == UNVERIFIED:
        return Actor(name=name, kind=ActorKind.UNKNOWN, authentication=Authentication.NONE)
    kind = ActorKind.SERVICE_ACCOUNT if name.startswith(_SERVICE_ACCOUNT) else ActorKind.PERSON
    return Actor(name=name[:512], kind=kind, authentication=Authentication.ADMISSION)


def _subject(kind: AuditEvent, after: RolloutStatus, before: RolloutStatus) -> tuple[str, str]:
    """Return the version that a record is about, and where its traffic went."""
    if after.rollback is not None:
        return after.rollback.version, after.rollback.to
    if kind is AuditEvent.QUARANTINE_LIFTED:
        lifted = [version for version in before.quarantined if version not in after.quarantined]
        return next(iter(lifted), ""), ""
    if kind in {AuditEvent.PROMOTED, AuditEvent.STABLE_ADOPTED} and after.stable is not None:
        return after.stable.version, ""
    choices = (before.candidate, after.candidate) if kind in _ENDED else (after.candidate, before.candidate)
    return next((one.version for one in (*choices, after.stable) if one is not None), ""), ""


def _traffic(kind: AuditEvent, version: str, after: RolloutStatus) -> str:
    """Return the candidate's share of the traffic from this decision on; empty where no version is on trial.

    Where a run ends, the candidate is the one that leaves: the same decision may begin the run of another one.
    """
    if kind in _ENDED:
        stable = after.stable
        return f"{stable.weight:g}%" if stable is not None and stable.version == version else "0%"
    return f"{after.candidate.weight:g}%" if after.candidate is not None else ""


def _reference(status: RolloutStatus, before: RolloutStatus, situation: Situation) -> RolloutReference:
    stage = status.stage or before.stage
    return RolloutReference(
        name=situation.observed.name,
        uid=situation.observed.uid,
        generation=situation.observed.generation,
        run=status.run,
        stage=stage.name if stage is not None else "",
        spec_hash=plan_hash(situation.spec) if situation.spec is not None else "",
    )


def _approvals(before: RolloutStatus, after: RolloutStatus) -> tuple[ApprovalEvidence, ...]:
    # A promotion ends the run, and with it the list.
    return tuple(
        ApprovalEvidence(
            by=one.requested_by,
            at=one.at,
            stage=one.stage,
            reason=one.token,
            digest=one.digest,
            spec_hash=one.spec_hash,
        )
        for one in after.approvals or before.approvals
    )


def _evidence(before: RolloutStatus, situation: Situation) -> tuple[Evidence, ...]:
    """Return what was measured: at this moment where a stage is judged, else what the status has kept."""
    metrics = situation.spec.metrics if situation.spec is not None else None
    source, window = (metrics.source, str(metrics.window)) if metrics is not None else ("", "")
    query = f"preset {metrics.preset}" if metrics is not None else ""
    return tuple(
        Evidence(
            metric=one.name,
            condition=one.condition,
            verdict=one.verdict,
            cause=one.cause.value if one.cause is not None else "",
            value=one.value,
            threshold=one.threshold,
            requests=one.requests,
            at=one.at,
            source=source,
            query=query,
            window=window,
        )
        for one in (tuple(map(shown, situation.judged)) or before.evidence)
    )


def shown(judged: Assessment) -> EvidenceStatus:
    """Return a judgement as the status and the records show it."""
    return EvidenceStatus(
        name=judged.condition.name,
        condition=judged.condition.text,
        verdict=judged.verdict,
        cause=judged.cause,
        message=judged.message,
        value=judged.value,
        threshold=judged.condition.threshold_text,
        requests=judged.requests,
        at=judged.at,
        guard=judged.guard,
    )


def _details(kind: AuditEvent, after: RolloutStatus, situation: Situation) -> dict[str, str]:
    if kind is AuditEvent.ROLLOUT_STARTED and situation.spec is not None:
        stable = after.stable.version if after.stable is not None else ""
        return {**dict(recorded_plan(situation.spec)), "from": stable}
    if kind is AuditEvent.PROMOTED and after.requested is not None and after.requested.by:
        because = {PROMOTED_BECAUSE: after.requested.reason} if after.requested.reason else {}
        return {PROMOTED_BY: after.requested.by, **because}
    rollback = after.rollback
    if kind is AuditEvent.ROLLED_BACK and rollback is not None:
        return {
            "cause": rollback.reason.value,
            "atWeight": f"{rollback.at_weight:g}%",
            "decidedAt": _time(rollback.decided_at.isoformat()),
            "trafficSafeAt": _time(rollback.traffic_safe_at.isoformat()) if rollback.traffic_safe_at else "",
        }
    return {}


def _time(iso: str) -> str:
    return iso.replace("+00:00", "Z")
