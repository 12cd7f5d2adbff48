"""Kubernetes Events of one object, as the page shows them. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from serinus.errors import InvalidObjectError
from serinus.kube.raw import Raw, read_whole

MOST_SHOWN: Final = 50


class _Series(Raw, frozen=True, kw_only=True):
    count: int = 0
    last_observed_time: datetime | None = None


class _Event(Raw, frozen=True, kw_only=True):
    type: str = ""
    reason: str = ""
    message: str = ""
    count: int | None = None
    last_timestamp: datetime | None = None
    event_time: datetime | None = None
    series: _Series | None = None


@dataclass(frozen=True, slots=True)
class EventRow:
    """One Event; ``at`` is when it was last observed, None where it does not say; ``count`` is how often."""

    at: datetime | None
    warning: bool
    reason: str
    message: str
    count: int


def event_rows(raws: Iterable[Mapping[str, Any]]) -> tuple[EventRow, ...]:
    """Return the latest Events, newest first; one that cannot be read is left out."""
    rows = [row for raw in raws if (row := _row(raw)) is not None]
    rows.sort(key=lambda row: row.at.timestamp() if row.at is not None else 0.0, reverse=True)
    return tuple(rows[:MOST_SHOWN])


def _row(raw: Mapping[str, Any]) -> EventRow | None:
    try:
        event = read_whole(_Event, raw)
    except InvalidObjectError:
        return None
    series = event.series
    at = (series.last_observed_time if series is not None else None) or event.last_timestamp or event.event_time
    count = series.count if series is not None else event.count or 1
    return EventRow(at, event.type == "Warning", event.reason, event.message, count)
