"""The request log: one line per request in a file, and the figures computed from it."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from demo.errors import DemoError

NO_ANSWER: Final = 0
"""Status of a request without a response: refused, reset, timed out, or not sent because too many were in flight."""

_SERVER_ERROR: Final = 500


class RequestRecord(NamedTuple):
    """One request.

    Attributes:
        started: when it was sent, in seconds since 1970.
        version: the version that answered; empty without a response.
        status: the HTTP status, or ``NO_ANSWER``.
        seconds: time until the complete response.
    """

    started: float
    version: str
    status: int
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether the client got no response or a server error."""
        return self.status == NO_ANSWER or self.status >= _SERVER_ERROR


def line_of(record: RequestRecord) -> str:
    """Format a record as a line."""
    return f"{record.started:.4f},{record.version},{record.status},{record.seconds:.4f}\n"


def record_of(line: str) -> RequestRecord:
    """Parse a line.

    Raises:
        DemoError: the line is malformed.
    """
    try:
        started, version, status, seconds = line.rstrip("\n").split(",")
        return RequestRecord(float(started), version, int(status), float(seconds))
    except ValueError as problem:
        raise DemoError(
            f"{line!r} is not a line of the load generator: expected time,version,status,seconds"
        ) from problem


class RequestLog:
    """Follows the file of a running load generator."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._records: list[RequestRecord] = []

    def read(self) -> Sequence[RequestRecord]:
        """Return all requests so far, ordered by their end.

        Raises:
            DemoError: a line is malformed.
        """
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                complete, _, _ = file.read().rpartition(b"\n")
            if complete:
                self._offset += len(complete) + 1
                self._records.extend(record_of(line) for line in complete.decode("ascii").split("\n"))
        return self._records


def between(records: Iterable[RequestRecord], start: float, end: float = math.inf) -> list[RequestRecord]:
    """Return the requests that were sent in this time: ``start`` included, ``end`` excluded."""
    return [record for record in records if start <= record.started < end]


def count_by_version(records: Iterable[RequestRecord]) -> Counter[str]:
    """Return the number of requests that each version answered; requests without a response have an empty version."""
    return Counter(record.version for record in records)


def quantile(records: Iterable[RequestRecord], share: float) -> float:
    """Return the latency in seconds that this share of the requests did not exceed; NaN without requests."""
    values = sorted(record.seconds for record in records)
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan
