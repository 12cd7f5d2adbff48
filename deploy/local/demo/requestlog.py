"""What became of each request: one line per request in a file, and what can be counted from them."""

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from demo.errors import DemoError

NO_ANSWER: Final = 0
"""The status of a request that got no answer: refused, reset, timed out, or not sent since too many were open."""

_SERVER_ERROR: Final = 500


class RequestRecord(NamedTuple):
    """One request.

    Attributes:
        started: when it was sent, in seconds since 1970.
        version: the version that answered; empty where none did.
        status: the HTTP status, or ``NO_ANSWER``.
        seconds: how long it took until the whole answer was there.
    """

    started: float
    version: str
    status: int
    seconds: float

    @property
    def failed(self) -> bool:
        """Whether the client got no answer or a server's error."""
        return self.status == NO_ANSWER or self.status >= _SERVER_ERROR


def line_of(record: RequestRecord) -> str:
    """Return the line that stands for the record."""
    return f"{record.started:.4f},{record.version},{record.status},{record.seconds:.4f}\n"


def record_of(line: str) -> RequestRecord:
    """Return the record that the line stands for.

    Raises:
        DemoError: the line has another form.
    """
    try:
        started, version, status, seconds = line.rstrip("\n").split(",")
        return RequestRecord(float(started), version, int(status), float(seconds))
    except ValueError as problem:
        raise DemoError(f"{line!r} is no line of the load generator: time,version,status,seconds") from problem


class RequestLog:
    """Follows the file of a running load generator."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._offset = 0
        self._records: list[RequestRecord] = []

    def read(self) -> Sequence[RequestRecord]:
        """Return all requests so far; those that ended last stand last.

        Raises:
            DemoError: a line has another form.
        """
        if self._path.exists():
            with self._path.open("rb") as file:
                file.seek(self._offset)
                whole, _, _ = file.read().rpartition(b"\n")
            if whole:
                self._offset += len(whole) + 1
                self._records.extend(record_of(line) for line in whole.decode("ascii").split("\n"))
        return self._records


def between(records: Iterable[RequestRecord], start: float, end: float = math.inf) -> list[RequestRecord]:
    """Return the requests that were started in this time: ``start`` included, ``end`` not."""
    return [record for record in records if start <= record.started < end]


def count_by_version(records: Iterable[RequestRecord]) -> Counter[str]:
    """Say how many requests each version answered; those without an answer count under the empty name."""
    return Counter(record.version for record in records)


def quantile(records: Iterable[RequestRecord], share: float) -> float:
    """Return the latency (seconds) that this share of the requests did not exceed; NaN where there are none."""
    values = sorted(record.seconds for record in records)
    return values[max(0, math.ceil(share * len(values)) - 1)] if values else math.nan
