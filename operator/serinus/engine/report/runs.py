"""The runs in a chain: plan and observation of each stage, and how each run ended."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple

from serinus.api.audit_record import ApprovalEvidence, AuditEvent, AuditRecordSpec, Evidence
from serinus.api.quantities import Share
from serinus.engine.report.measures import PlannedStage, UnreadablePlanError, read_plan


class RunKey(NamedTuple):
    """Identifies one run: a Rollout recreated under its old name counts from 1 again, hence the uid."""

    rollout: str
    uid: str
    run: int


class RunEnd(StrEnum):
    """How a run ended."""

    PROMOTED = "Promoted"
    ROLLED_BACK = "Rolled back"
    ROLLING_BACK = "Rolling back"
    STRANDED = "Bad, nothing to go back to"
    SUPERSEDED = "Superseded"
    CANCELLED = "Cancelled"
    UNDER_WAY = "Under way"
    NOT_RECORDED = "End not recorded"


_ENDS: Final = {
    AuditEvent.PROMOTED: RunEnd.PROMOTED,
    AuditEvent.ROLLED_BACK: RunEnd.ROLLED_BACK,
    AuditEvent.RUN_SUPERSEDED: RunEnd.SUPERSEDED,
    AuditEvent.RUN_CANCELLED: RunEnd.CANCELLED,
}
_WITH_EVIDENCE: Final = (
    AuditEvent.ROLLBACK_STARTED,
    AuditEvent.ROLLBACK_IMPOSSIBLE,
    AuditEvent.PROMOTED,
    AuditEvent.ANALYSIS_PASSED,
    AuditEvent.STAGE_TIMED_OUT,
    AuditEvent.ROLLED_BACK,
)
"""The events whose records contain a stage's evidence, the deciding ones first."""

_DECISIONS: Final = {
    AuditEvent.TEST_FAILED: "Test failed",
    AuditEvent.ROLLBACK_STARTED: "Rolled back",
    AuditEvent.ROLLBACK_IMPOSSIBLE: "Bad, nothing to go back to",
    AuditEvent.PROMOTED: "Promoted",
    AuditEvent.ANALYSIS_PASSED: "Passed",
    AuditEvent.RUN_SUPERSEDED: "Superseded",
    AuditEvent.RUN_CANCELLED: "Cancelled",
    AuditEvent.STAGE_TIMED_OUT: "Timed out",
}


@dataclass(frozen=True, slots=True)
class Shift:
    """The candidate's share of the traffic from ``at`` on."""

    at: datetime
    share: Share
    stage: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WalkedStage:
    """One stage: its plan and what was observed.

    Attributes:
        planned: None where the recorded plan has no such stage.
        entered: None where it was never reached.
        left: None where it has not ended.
        observed: the share that the gateway had accepted; empty where none is recorded.
        evidence: the measured conditions that decided it.
        decided: the record of its decision; None where there is none.
        decision: the decision in one or two words; empty where there is none yet.
        approvals: the approvals to enter or leave it.
    """

    name: str
    planned: PlannedStage | None
    entered: datetime | None
    left: datetime | None
    observed: str
    evidence: tuple[Evidence, ...]
    decided: AuditRecordSpec | None
    decision: str
    approvals: tuple[ApprovalEvidence, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run.

    Attributes:
        started: the record of its start; None where it is not kept.
        ended_at: its first end; a version that was promoted may be rolled back later.
        ends: every end, in order.
        plan_problem: why the plan cannot be shown; empty where it can.
        shifts: the candidate's share over time, until the first end.
        records: all of its records, in order.
    """

    key: RunKey
    version: str
    started: AuditRecordSpec | None
    began_at: datetime
    ended_at: datetime | None
    ends: tuple[RunEnd, ...]
    plan_problem: str
    stages: tuple[WalkedStage, ...]
    shifts: tuple[Shift, ...]
    records: tuple[AuditRecordSpec, ...]

    @property
    def result(self) -> RunEnd:
        """Its last end, or its current state."""
        return self.ends[-1]

    def length(self, until: datetime) -> timedelta:
        """Return the time to its first end, or up to ``until`` while it is under way."""
        return (self.ended_at or until) - self.began_at


def runs(records: Iterable[AuditRecordSpec]) -> tuple[Run, ...]:
    """Return all runs, oldest first."""
    grouped: dict[RunKey, list[AuditRecordSpec]] = {}
    for record in records:
        reference = record.rollout
        if reference is not None and reference.run > 0:
            grouped.setdefault(RunKey(reference.name, reference.uid, reference.run), []).append(record)
    last = next(reversed(grouped), None)
    return tuple(_run(key, members, last=key == last) for key, members in grouped.items())


def _run(key: RunKey, records: Sequence[AuditRecordSpec], *, last: bool) -> Run:
    started = next((record for record in records if record.event is AuditEvent.ROLLOUT_STARTED), None)
    ending = next((record for record in records if record.event in _ENDS), None)
    plan, problem = _plan(started)
    until_end = records if ending is None else records[: records.index(ending) + 1]
    return Run(
        key=key,
        version=(started or records[0]).version,
        started=started,
        began_at=records[0].at,
        ended_at=ending.at if ending is not None else None,
        ends=_ends(records, last=last),
        plan_problem=problem,
        stages=_stages(plan, until_end),
        shifts=tuple(_shifts(until_end)),
        records=tuple(records),
    )


def _plan(started: AuditRecordSpec | None) -> tuple[tuple[PlannedStage, ...], str]:
    if started is None:
        return (), "the record that began the run is not kept"
    text = started.details.get("plan", "")
    if not text:
        return (), "no plan was recorded"
    try:
        return read_plan(text), ""
    except UnreadablePlanError as problem:
        return (), f"the recorded plan cannot be read: {problem}"


def _ends(records: Iterable[AuditRecordSpec], *, last: bool) -> tuple[RunEnd, ...]:
    ends: list[RunEnd] = []
    pending: RunEnd | None = RunEnd.UNDER_WAY if last else RunEnd.NOT_RECORDED
    for record in records:
        if record.event in _ENDS:
            ends.append(_ENDS[record.event])
            pending = None
        elif record.event is AuditEvent.ROLLBACK_STARTED:
            pending = RunEnd.ROLLING_BACK
        elif record.event is AuditEvent.ROLLBACK_IMPOSSIBLE:
            pending = RunEnd.STRANDED
    return tuple(ends) if pending is None else (*ends, pending)


def _stages(plan: tuple[PlannedStage, ...], records: Sequence[AuditRecordSpec]) -> tuple[WalkedStage, ...]:
    planned = {stage.name: stage for stage in plan}
    recorded = dict.fromkeys(stage for record in records if (stage := _stage_of(record)))
    names = [*planned, *(name for name in recorded if name not in planned)]
    entered = {name: next((record.at for record in records if _stage_of(record) == name), None) for name in names}
    return tuple(_walked(name, planned.get(name), entered, records) for name in names)


def _stage_of(record: AuditRecordSpec) -> str:
    return record.rollout.stage if record.rollout is not None else ""


def _walked(
    name: str,
    planned: PlannedStage | None,
    entered: dict[str, datetime | None],
    records: Sequence[AuditRecordSpec],
) -> WalkedStage:
    own = [record for record in records if _stage_of(record) == name]
    begin = entered[name]
    later = [at for at in entered.values() if at is not None and begin is not None and at > begin]
    ended = [record.at for record in own if record.event in _ENDS]
    decided = _first(own, tuple(_DECISIONS))
    measured = _first([record for record in own if record.evidence], _WITH_EVIDENCE)
    decision = _DECISIONS[decided.event] if decided is not None else "Went on" if later else ""
    return WalkedStage(
        name=name,
        planned=planned,
        entered=begin,
        left=min((*later, *ended), default=None),
        observed=next((record.traffic for record in reversed(own) if record.event is AuditEvent.TRAFFIC_SHIFTED), ""),
        evidence=measured.evidence if measured is not None else (),
        decided=decided,
        decision=decision,
        approvals=_approvals(name, records),
    )


def _first(records: Sequence[AuditRecordSpec], kinds: Sequence[AuditEvent]) -> AuditRecordSpec | None:
    """Return the latest record of the first kind that occurs."""
    return next((record for kind in kinds for record in reversed(records) if record.event is kind), None)


def _approvals(stage: str, records: Iterable[AuditRecordSpec]) -> tuple[ApprovalEvidence, ...]:
    unique = {approval: None for record in records for approval in record.approvals if approval.stage == stage}
    return tuple(unique)


def _shifts(records: Iterable[AuditRecordSpec]) -> Iterable[Shift]:
    """Yield the candidate's share over time, as accepted by the gateway; 100 % once it is promoted."""
    for record in records:
        share = _share_of(record)
        if share is not None:
            yield Shift(record.at, share, _stage_of(record))


def _share_of(record: AuditRecordSpec) -> Share | None:
    """Return the candidate's share that the gateway had accepted by this record; None where it tells of none."""
    if record.event is AuditEvent.PROMOTED:
        return Share("100%")
    if record.event is AuditEvent.ROLLED_BACK:
        return Share("0%")
    if record.event not in {AuditEvent.ROLLOUT_STARTED, AuditEvent.TRAFFIC_SHIFTED}:
        return None
    try:
        return Share(record.traffic or "0%")
    except ValueError:
        return None
