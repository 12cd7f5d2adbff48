"""What the outside answered when it was asked about a version: a value, no data, or the asking itself failed.

A condition is about a proportion of requests, so an answer is counts, never a quantile (design, section 5).
"""

from dataclasses import dataclass
from datetime import datetime

from serinus.api.abort_condition import Metric
from serinus.api.modelversion import BackendRef
from serinus.api.verdict import Cause


@dataclass(frozen=True, slots=True)
class Batch:
    """The requests of one backend between two ticks, and how many of them were bad.

    Where a latency limit is no bucket bound, ``certain`` counts those above the next bound up, ``possible`` those above
    the next bound down and ``likely`` interpolates between them; elsewhere the three are equal.
    """

    requests: float
    certain: float
    likely: float
    possible: float


@dataclass(frozen=True, slots=True)
class Coarse:
    """The bucket bounds (seconds) on both sides of a limit that is none itself; ``upper`` is infinite past the last."""

    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Counts since the previous tick.

    Attributes:
        at: the evaluation time of the query.
        batch: the counts; zero requests is an answer.
        display: the metric's value over the source's display window in base units (seconds, ratio), for people only.
        coarse: the bounds around a latency limit that is no bucket bound.
    """

    at: datetime
    batch: Batch
    display: float | None = None
    coarse: Coarse | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The value of a named query, as the query yields it; never NaN."""

    at: datetime
    value: float


@dataclass(frozen=True, slots=True, kw_only=True)
class NoData:
    """The source answered, but not with a usable figure."""

    at: datetime
    cause: Cause
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CouldNotAsk:
    """The source did not answer, or refused the query."""

    at: datetime
    cause: Cause
    message: str


Answer = Counted | Measured | NoData | CouldNotAsk


@dataclass(frozen=True, slots=True)
class Subject:
    """The backend that is asked about, and whose it is."""

    namespace: str
    model: str
    version: str
    backend: BackendRef


@dataclass(frozen=True, slots=True)
class Question:
    """One metric of one backend.

    Attributes:
        source: the administrator's name of the metric source.
        preset: the data plane whose metrics are read.
        subject: the backend.
        metric: what is measured.
        limit: a latency's limit in seconds (the bucket bound to count above); 0 for every other metric.
    """

    source: str
    preset: str
    subject: Subject
    metric: Metric
    limit: float = 0.0
