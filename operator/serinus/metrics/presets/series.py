"""The counters and histograms that a preset names, and what their labels mean."""

import re
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class LabelMatcher:
    """A label and a regular expression that its whole value has to match."""

    label: str
    pattern: re.Pattern[str]

    def matches(self, labels: Mapping[str, str]) -> bool:
        """Return whether a series with these labels matches; an absent label is empty, as in PromQL."""
        return self.pattern.fullmatch(labels.get(self.label, "")) is not None


@dataclass(frozen=True, slots=True)
class Histogram:
    """A classic histogram of response times.

    Attributes:
        series: its name with ``_bucket``.
        per_second: units of the histogram in one second: 1000 for milliseconds.
        usual_bounds: the data plane's default finite bounds in that unit; informative, the real ones are queried.
        advice: where the data plane's bounds are configured.
    """

    series: str
    per_second: float
    usual_bounds: tuple[float, ...]
    advice: str

    @property
    def native(self) -> str:
        """The series that has the response times as a native histogram, where Prometheus stores them as one."""
        return self.series.removesuffix("_bucket")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lifecycle:
    """The series that tell which requests never got a complete answer.

    Attributes:
        sent: counters of the attempts to send a request, one for each way that they can go.
        repeated: a counter of the attempts that repeat an earlier one.
        ended: a counter of the requests that were answered, by the backend or by the data plane for it.
        active: a gauge of the attempts under way.
        broken: counters of attempts that the backend broke off, or that found no backend, or whose time was over.
    """

    sent: tuple[str, ...]
    repeated: str
    ended: str
    active: str
    broken: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class GrpcStatus:
    """The counters of gRPC statuses, which a response of HTTP status 200 carries in its trailers.

    Attributes:
        calls: all calls that ended; a backend speaks gRPC if it has this series.
        failures: those whose status is not OK.
        client_failures: those whose status says that the caller made a mistake or gave up.
        unavailable: those with the status that the data plane gives where it answers instead of the backend; it counts
            them among the responses too.
    """

    calls: str
    failures: str
    client_failures: tuple[str, ...]
    unavailable: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """The counters of a proportion that is neither one of failures nor one of the client's mistakes.

    Attributes:
        requests: a counter of requests.
        bad: those of them that count as bad ones match any of these.
        beside: a counter of more of them, all bad; None where ``requests`` has them all.
        fixed: matchers of these series, as PromQL, in the place of the preset's own.
    """

    requests: str
    bad: tuple[LabelMatcher, ...] = ()
    beside: str | None = None
    fixed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Speed:
    """The counters of how fast tokens are generated: ``tokens`` less ``firsts``, in ``seconds``.

    Attributes:
        tokens: the generated tokens.
        firsts: those before which nothing is measured, as the time to the first token is a metric of its own; None
            where ``seconds`` begin before it.
        seconds: the time in which they were generated, added up over all requests.
    """

    tokens: str
    firsts: str | None
    seconds: str
