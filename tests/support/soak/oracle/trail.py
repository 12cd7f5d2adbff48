"""Rules of the audit trail: every transition once, in order, and none that did not happen."""

from dataclasses import dataclass, field

from serinus.api.audit_record import AuditEvent, AuditRecordSpec
from support.soak.oracle.case import Case

ONCE = frozenset(
    {
        AuditEvent.ROLLOUT_STARTED,
        AuditEvent.PROMOTED,
        AuditEvent.ROLLED_BACK,
        AuditEvent.RUN_SUPERSEDED,
        AuditEvent.RUN_CANCELLED,
    }
)
"""At most one of each in a run."""

ENDS = frozenset(ONCE - {AuditEvent.ROLLOUT_STARTED})
WITHIN = frozenset({AuditEvent.TRAFFIC_SHIFTED, AuditEvent.ANALYSIS_PASSED, AuditEvent.TEST_PASSED})
"""Only between the beginning and the end of a run."""

_KEPT = 400


@dataclass(slots=True)
class Trail:
    """What was recorded of one model: the chain, and the runs that it tells of."""

    sequence: int = 0
    hash: str = ""
    ids: dict[str, None] = field(default_factory=dict)
    runs: dict[tuple[str, int], list[tuple[AuditEvent, str, str]]] = field(default_factory=dict)


def take(case: Case, trail: Trail, record: AuditRecordSpec, at: float) -> None:
    """Judge one record."""
    if record.sequence != trail.sequence + 1 or (trail.hash and record.previous_hash != trail.hash):
        case.find(at, "trail in order", f"record {record.sequence} follows {trail.sequence}")
    trail.sequence, trail.hash = record.sequence, record.hash
    if record.id in trail.ids:
        case.find(at, "recorded once", f"{record.event.value} is recorded twice under one id")
    trail.ids[record.id] = None
    while len(trail.ids) > _KEPT:
        del trail.ids[next(iter(trail.ids))]
    rollout = record.rollout
    if rollout is None or not rollout.uid:
        return
    key = (rollout.uid, rollout.run)
    told = trail.runs.setdefault(key, [])
    if record.event in ENDS and not told:
        _end_without_beginning(case, record, key, at)
        del trail.runs[key]
        return
    _run(case, told, record, at)
    told.append((record.event, record.traffic, record.version))
    while len(trail.runs) > _KEPT // 10:
        del trail.runs[next(iter(trail.runs))]
    _pay(case, record, key, at)


def _end_without_beginning(case: Case, record: AuditRecordSpec, key: tuple[str, int], at: float) -> None:
    """The end is of another run than the record says, most likely of the one before: that one is not missed, too."""
    name = f"{record.event.value} of {record.version} is recorded for run {key[1]}, which has not begun"
    case.find(at, "trail in order", f"{name}: {record.message}")
    case.pay(("end recorded", key[0], str(key[1] - 1), record.version, record.event.value), at)


def _run(case: Case, told: list[tuple[AuditEvent, str, str]], record: AuditRecordSpec, at: float) -> None:
    event, name = record.event, f"{record.event.value} of {record.version}"
    events = [one for one, _, version in told if version == record.version]
    if event in ONCE and event in events:
        case.find(at, "recorded once", f"{name} is recorded twice")
    if event in WITHIN and AuditEvent.ROLLOUT_STARTED not in events:
        case.find(at, "trail in order", f"{name} is recorded before the run's beginning")
    if event in WITHIN and ENDS & set(events):
        case.find(at, "trail in order", f"{name} is recorded after the run's end")
    if event is AuditEvent.TRAFFIC_SHIFTED and (event, record.traffic, record.version) in told:
        case.find(at, "recorded once", f"{name} at {record.traffic} is recorded twice")
    if event is AuditEvent.ROLLED_BACK and AuditEvent.ROLLBACK_STARTED not in events:
        case.find(at, "trail in order", f"{name} is recorded before RollbackStarted")


def _pay(case: Case, record: AuditRecordSpec, key: tuple[str, int], at: float) -> None:
    uid, run = key[0], str(key[1])
    match record.event:
        case AuditEvent.ROLLOUT_STARTED:
            case.pay(("start recorded", uid, run), at)
        case AuditEvent.TRAFFIC_SHIFTED:
            share = f"{float(record.traffic.rstrip('%')):g}"
            case.pay(("shift recorded", uid, run, share), at)
        case event if event in ENDS:
            case.pay(("end recorded", uid, run, record.version, event.value), at)
        case _:
            pass
