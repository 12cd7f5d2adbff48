"""Questions to a metric source and its answers: counts, a value, no data, or a failed query.

A condition limits a proportion of requests, so answers are counts, never quantiles: ``histogram_quantile`` cannot
exceed the last finite bound and is NaN without requests.
"""

from dataclasses import dataclass, field
from datetime import datetime

from msgspec import Struct

from serinus.api.abort_condition import Metric
from serinus.api.modelversion import BackendRef
from serinus.api.verdict import Cause


class Batch(Struct, frozen=True):
    """The requests of one backend between two ticks, and how many of them were bad.

    Where a latency limit is not a bucket bound, ``certain`` counts the requests above the next higher bound,
    ``possible`` those above the next lower bound, and ``likely`` interpolates; otherwise the three are equal.
    """

    requests: float
    certain: float
    likely: float
    possible: float


@dataclass(frozen=True, slots=True)
class Coarse:
    """The bucket bounds in seconds around a limit that is not a bound; ``upper`` is infinite above the last."""

    lower: float
    upper: float


Tail = tuple[tuple[float, float], ...]
"""Bucket bounds in seconds, rising, each with the number of requests that took longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """Counts since the previous tick.

    Attributes:
        at: the evaluation time of the query.
        batch: the counts; zero requests are a valid answer.
        display: the metric over the source's display window in base units (seconds, ratio); shown, never judged.
        coarse: the bounds around a latency limit that is not a bucket bound.
        above: the requests above every bound, where the question was about the whole histogram.
        total: the number of requests of that histogram.
        open: by how much the number of requests has grown that neither ended nor are under way; not in ``batch``.
        begun: the time of the sample from which it was counted, long before the tick where scrapes have failed since;
            None where the source does not know.
    """

    at: datetime
    batch: Batch
    display: float | None = None
    coarse: Coarse | None = None
    above: Tail = ()
    total: float = 0.0
    open: float = 0.0
    begun: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """The raw value of a named query or of a speed; never NaN.

    ``begun`` is the beginning of the time that it is about; None where that is not known, as of a named query.
    """

    at: datetime
    value: float
    begun: datetime | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class NoData:
    """The source answered, but without a usable figure."""

    at: datetime
    cause: Cause
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CouldNotAsk:
    """The source did not answer, or rejected the query."""

    at: datetime
    cause: Cause
    message: str


Answer = Counted | Measured | NoData | CouldNotAsk


def is_down(answer: Answer) -> bool:
    """Return whether the source did not answer, so that the same time must be asked for again."""
    return isinstance(answer, CouldNotAsk) and answer.cause is Cause.PROVIDER_DOWN


def lost(pair: tuple[Answer, Answer | None]) -> Answer | None:
    """Return the answer that says that the source could not be asked about the candidate or the stable version."""
    candidate, stable = pair
    if is_down(candidate):
        return candidate
    return stable if stable is not None and is_down(stable) else None


# Subjects and questions are the keys of every book of a tick.
class Subject(Struct, frozen=True, cache_hash=True):
    """The backend that a question is about, with its model and version."""

    namespace: str
    model: str
    version: str
    backend: BackendRef


class Question(Struct, frozen=True, cache_hash=True):
    """One metric of one backend.

    Attributes:
        source: name of the metric source.
        preset: the data plane whose metrics are read.
        subject: the backend.
        metric: the metric.
        limit: a latency's limit in seconds (the bucket bound to count above); 0 for every other metric, and for a
            latency of which the whole histogram is asked for.
    """

    source: str
    preset: str
    subject: Subject
    metric: Metric
    limit: float = 0.0
