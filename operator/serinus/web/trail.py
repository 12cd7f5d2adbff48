"""A page of a model's audit trail, newest record first. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from serinus.api.audit_record import AuditRecordSpec, Authentication
from serinus.api.parsing import decode
from serinus.engine.audit.chain import StoredRecord
from serinus.errors import InvalidObjectError

PAGE: Final = 20
"""Records of a page; each is read by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailRow:
    """One record; ``problem`` says why it cannot be read, and then the other parts are empty."""

    sequence: int
    at: datetime | None = None
    event: str = ""
    version: str = ""
    traffic: str = ""
    actor: str = ""
    vouched: bool = False
    reason: str = ""
    message: str = ""
    problem: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrailPage:
    """Records from the newest down.

    Attributes:
        last: the number of the chain's last record; 0 where there is none.
        older: the ``before`` of the next page; None on the last one.
        pruned_through: the last record that retention has removed.
    """

    rows: tuple[TrailRow, ...]
    last: int
    older: int | None
    pruned_through: int


def numbers_of(last: int, pruned_through: int, before: int | None) -> range:
    """Return the numbers of a page's records, newest first: those below ``before``, or the newest where it is None."""
    top = last if before is None else min(last, before - 1)
    return range(top, max(pruned_through, top - PAGE), -1)


def trail_page(
    records: Iterable[tuple[int, StoredRecord | None]], last: int, pruned_through: int, numbers: range
) -> TrailPage:
    """Return the page of these records; a missing one is a row that says so."""
    rows = tuple(trail_row(number, record) for number, record in records)
    lowest = numbers[-1] if numbers else 0
    return TrailPage(
        rows=rows, last=last, older=lowest if lowest - 1 > pruned_through else None, pruned_through=pruned_through
    )


def trail_row(number: int, stored: StoredRecord | None) -> TrailRow:
    """Return the row of a record as it is stored; nothing here proves the chain, which is for ``audit verify``."""
    if stored is None:
        return TrailRow(sequence=number, problem="missing: run serinus audit verify")
    try:
        record = decode(AuditRecordSpec, stored.content, "spec")
    except InvalidObjectError as problem:
        return TrailRow(sequence=number, problem=f"cannot be read: {problem}")
    return TrailRow(
        sequence=number,
        at=record.at,
        event=record.event,
        version=record.version,
        traffic=record.traffic,
        actor=record.actor.name,
        vouched=record.actor.authentication is not Authentication.NONE,
        reason=record.reason,
        message=record.message,
    )
