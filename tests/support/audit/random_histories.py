"""Hypothesis strategies for histories of a model: any events in any order, however unlikely."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from hypothesis import strategies as st

from serinus.api.audit_record import AuditEntry, AuditEvent, AuditRecordSpec, RolloutReference
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.engine.audit.head import seal
from support.registry.place import ALICE, BY, START, digest_for

MODEL = ObjectKey("ml", "fraud-detector")
VERSIONS = ("1.0.0", "1.1.0", "2.0.0", "2.0.1", "3.0.0-rc.1")

MOVES = (AuditEvent.PROMOTED, AuditEvent.ROLLED_BACK, AuditEvent.ROLLOUT_STARTED, AuditEvent.QUARANTINE_LIFTED)


def audit_entries(*, without_target: bool = True) -> st.SearchStrategy[AuditEntry]:
    """Return a strategy for entries of every event; ``without_target`` includes rollbacks that had no target."""
    return st.builds(
        _entry,
        st.uuids().map(str),
        st.one_of(st.sampled_from(MOVES), st.sampled_from(AuditEvent)),
        st.sampled_from(VERSIONS),
        st.sampled_from((*VERSIONS, "") if without_target else VERSIONS),
        st.sampled_from(("0%", "5%", "100%")),
        st.one_of(st.none(), st.just(RolloutReference(name="ml/fraud-detector", run=1, stage="canary"))),
        st.integers(0, 10_000).map(lambda passed: START + timedelta(milliseconds=passed)),
        st.one_of(
            st.just({}),
            st.builds(
                lambda number: {"through": str(number), "hash": digest_for(number), "archive": "s3://archive"},
                st.integers(0, 12),
            ),
        ),
    )


def _entry(  # noqa: PLR0913, PLR0917 - its fields, as hypothesis draws them
    record_id: str,
    event: AuditEvent,
    version: str,
    to: str,
    traffic: str,
    rollout: RolloutReference | None,
    at: datetime,
    details: dict[str, str],
) -> AuditEntry:
    back = event is AuditEvent.ROLLED_BACK
    return AuditEntry(
        id=record_id,
        event=event,
        at=at,
        version=version,
        to=to if back else "",
        digest=digest_for(to if back and to else version),
        traffic=traffic,
        actor=ALICE,
        rollout=rollout,
        details=details,
    )


def chain_of(entries: Iterable[AuditEntry]) -> tuple[list[AuditRecordSpec], Head]:
    """Return the records of a history and the head after the last one."""
    records, head = [], Head()
    for number, entry in enumerate(entries):
        record, head = seal(head, entry, MODEL, by=BY, now=START + timedelta(seconds=number))
        records.append(record)
    return records, head
