"""The kinds of faults, and the points at which they happen."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Fault(StrEnum):
    """One kind of fault; a class of the result."""

    NONE = "undisturbed"
    KILL_BEFORE = "killed before a write"
    KILL_AFTER = "killed after a write"
    CONFLICT = "API 409"
    GONE = "API 410"
    INVALID = "API 422"
    BUSY = "API 429 with Retry-After"
    ERROR = "API 500"
    UNAVAILABLE = "API 503"
    UNAVAILABLE_AFTER = "API 503 after the write"
    RESET = "API connection reset"
    RESET_AFTER = "API connection reset after the write"
    HALF_OPEN = "API half-open connection"
    HALF_OPEN_AFTER = "API half-open connection after the write"
    SLOW = "API slow body"
    GARBAGE = "API garbage body"
    CUT_OFF = "API body cut off"
    STALE_LIST = "stale list"
    EVENT_DELAYED = "watch event delayed"
    EVENT_DUPLICATED = "watch event duplicated"
    EVENT_DROPPED = "watch event dropped"
    WATCH_STALLED = "watch stalled"
    WATCH_GONE = "watch ended by 410"
    METRICS_INVALID = "Prometheus 422"
    METRICS_BUSY = "Prometheus 429"
    METRICS_ERROR = "Prometheus 500"
    METRICS_UNAVAILABLE = "Prometheus 503"
    METRICS_RESET = "Prometheus connection reset"
    METRICS_HALF_OPEN = "Prometheus half-open connection"
    METRICS_SLOW = "Prometheus slow body"
    METRICS_GARBAGE = "Prometheus garbage body"
    METRICS_CUT_OFF = "Prometheus body cut off"
    METRICS_EMPTY = "Prometheus without series"
    CLOCK_FORWARD = "clock set forward"
    CLOCK_BACK = "clock set back"


KILLS: Final = (Fault.KILL_BEFORE, Fault.KILL_AFTER)
REFUSALS: Final = {
    Fault.CONFLICT: (409, "Conflict"),
    Fault.GONE: (410, "Expired"),
    Fault.INVALID: (422, "Invalid"),
    Fault.BUSY: (429, "TooManyRequests"),
    Fault.ERROR: (500, "InternalError"),
    Fault.UNAVAILABLE: (503, "ServiceUnavailable"),
    Fault.UNAVAILABLE_AFTER: (503, "ServiceUnavailable"),
}
"""What the API server says, by fault: the status and the reason."""

READ_FAULTS: Final = (
    *(Fault.GONE, Fault.BUSY, Fault.ERROR, Fault.UNAVAILABLE, Fault.RESET, Fault.HALF_OPEN),
    *(Fault.SLOW, Fault.GARBAGE, Fault.CUT_OFF),
)
WRITE_FAULTS: Final = (
    *READ_FAULTS,
    *(Fault.CONFLICT, Fault.INVALID, Fault.UNAVAILABLE_AFTER, Fault.RESET_AFTER, Fault.HALF_OPEN_AFTER),
)
EVENT_FAULTS: Final = (
    *(Fault.EVENT_DELAYED, Fault.EVENT_DUPLICATED, Fault.EVENT_DROPPED),
    *(Fault.WATCH_STALLED, Fault.WATCH_GONE),
)
METRICS_REFUSALS: Final = {
    Fault.METRICS_INVALID: 422,
    Fault.METRICS_BUSY: 429,
    Fault.METRICS_ERROR: 500,
    Fault.METRICS_UNAVAILABLE: 503,
}
METRICS_FAULTS: Final = (
    *METRICS_REFUSALS,
    *(Fault.METRICS_RESET, Fault.METRICS_HALF_OPEN, Fault.METRICS_SLOW, Fault.METRICS_GARBAGE),
    *(Fault.METRICS_CUT_OFF, Fault.METRICS_EMPTY),
)
CLOCK_FAULTS: Final = (Fault.CLOCK_FORWARD, Fault.CLOCK_BACK)

LASTS: Final = {
    **dict.fromkeys((Fault.HALF_OPEN, Fault.HALF_OPEN_AFTER), 10.0),
    **dict.fromkeys((Fault.EVENT_DROPPED, Fault.STALE_LIST, Fault.WATCH_STALLED), 5.0),
    **dict.fromkeys((Fault.EVENT_DELAYED, Fault.METRICS_HALF_OPEN, Fault.METRICS_SLOW), 3.0),
    **dict.fromkeys((Fault.CLOCK_FORWARD, Fault.CLOCK_BACK), 4.0),
}
"""Seconds until the calls of a point succeed again, where it is not at once: the client's time-out for a half-open
connection, the interval of the resync for what the watch does not tell, the time until the clock is put right."""

ANY_WRITE: Final = "write"
METRICS: Final = "query"


@dataclass(frozen=True, slots=True, order=True)
class Point:
    """One fault at one call of one story.

    Attributes:
        story: its name.
        fault: what happens.
        call: at which kind of call: ``METHOD resource``, ``write`` for anything that changes something, ``query``.
        number: at which of these calls, from 1; of events, at which event of that watch.
        size: of a step of the clock, in seconds.
    """

    story: str
    fault: Fault = Fault.NONE
    call: str = ""
    number: int = 0
    size: float = 0.0

    def __str__(self) -> str:
        size = f"/{self.size:g}s" if self.size else ""
        return f"{self.story}/{self.fault.value}/{self.call}/{self.number}{size}"
