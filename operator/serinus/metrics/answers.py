"""Turns the rows of one tick into an answer for each question. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from math import inf, isnan
from typing import Final, assert_never

from serinus.api.abort_condition import (
    AbortRate,
    ClientErrorRate,
    ErrorRate,
    Latency,
    NamedQuery,
    PreemptionRate,
    TokensPerSecond,
    UnansweredRate,
)
from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Batch, Counted, NoData, Question
from serinus.metrics.bounds import Bounds
from serinus.metrics.health import Display, Health
from serinus.metrics.increments import RequestCounts
from serinus.metrics.lifecycle import LifecycleCounts
from serinus.metrics.native import NativeCounts, Neighbours, Problem, usable
from serinus.metrics.plausible import Increments
from serinus.metrics.presets import Histogram, Key, Preset
from serinus.metrics.queries import quantile_tag
from serinus.metrics.spacing import Spacing
from serinus.metrics.workers import Failure

STALE_AFTER: Final = 3
"""Scrape intervals without a new sample after which a series counts as stale."""

WRONG_FROM: Final = 2.0
"""Scrape intervals between two samples from which on the interval itself is wrong: one scrape may have failed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """Everything read in one tick about a preset's backends.

    Attributes:
        preset: the data plane.
        at: the tick's time as the caller knows it.
        evaluated: when Prometheus evaluated the queries, in seconds since 1970.
        scrape_interval: how often the targets are scraped.
        health: freshness of the series, or why it is unknown.
        requests: increments of requests by backend.
        buckets: increments of each cumulative bucket by backend.
        native: increments of the native histogram of each backend that has no buckets.
        uneven: the backends of which some series lack a needed bucket.
        unread: the backends of which some counters could not be read, and why.
        only_native: the backends without buckets that have a native histogram.
        lifecycle: which requests ended, by backend.
        doubts: by backend, why its counts cannot be what happened; those that can are left out.
        bounds: the histogram's bounds; None where they are unknown.
        display: figures shown to users.
        spacing: how far apart the samples really are.
        neighbours: the bounds of native histograms around each limit.
        begun: by backend, the time of the sample from which its increments count, in seconds since 1970.
        begun_at_least: the same where it is unknown: increments never count from before that.
    """

    preset: Preset
    at: datetime
    evaluated: float
    scrape_interval: timedelta
    health: Health | Failure
    requests: Increments[RequestCounts] | Failure
    buckets: Increments[Mapping[float, float]] | Failure
    doubts: Mapping[Key, str]
    bounds: Bounds | None
    native: Increments[NativeCounts] | Failure = field(default_factory=Increments)
    only_native: frozenset[Key] = frozenset()
    uneven: frozenset[Key] = frozenset()
    unread: Mapping[Key, Failure] = field(default_factory=dict)
    lifecycle: Mapping[Key, LifecycleCounts] | Failure = field(default_factory=dict)
    display: Display = field(default_factory=Display)
    spacing: Spacing = field(default_factory=Spacing)
    neighbours: Neighbours = field(default_factory=Neighbours)
    begun: Mapping[Key, float] = field(default_factory=dict)
    begun_at_least: float = 0.0

    def answer(self, question: Question, key: Key) -> Answer:
        """Answer one question about the backend with this key.

        Raises:
            AssertionError: the question is about a value, which a template answers.
        """
        if isinstance(self.health, Failure):
            return self.health.as_answer(self.at)
        if key in self.unread:
            return self.unread[key].as_answer(self.at)
        problem = self._freshness_problem(question, key, self.health) or self._doubtful(question, key)
        if problem is not None:
            return problem
        match question.metric:
            case ErrorRate() | ClientErrorRate() | PreemptionRate() | AbortRate():
                return self._proportion(question, key)
            case Latency(quantile):
                return self._slow(question, key, quantile, uneven=key in self.uneven)
            case UnansweredRate():
                return self._unanswered(question, key)
            case TokensPerSecond() | NamedQuery():
                raise AssertionError("a value is answered by its template")
            case _:
                assert_never(question.metric)

    def _begun(self, key: Key) -> datetime:
        return _time(self.begun.get(key, self.begun_at_least))

    def _freshness_problem(self, question: Question, key: Key, health: Health) -> NoData | None:
        backend, newest = question.subject.backend.name, health.newest.get(key)
        if newest is None:
            return self._no_series(self.preset.presence, backend)
        age, allowed = self.evaluated - newest, STALE_AFTER * self.scrape_interval.total_seconds()
        if age <= allowed:
            return None
        spacing, interval = self.spacing.seconds(key), self.scrape_interval.total_seconds()
        if spacing is not None and spacing > WRONG_FROM * interval:
            return NoData(
                at=self.at,
                cause=Cause.SCRAPE_INTERVAL_WRONG,
                message=f"the samples of {backend} are {spacing:.0f}s apart, but the source's scrapeInterval is "
                f"{interval:g}s: set it to what Prometheus uses",
            )
        return NoData(
            at=self.at,
            cause=Cause.STALE,
            message=f"the newest sample of {backend} is {age:.0f}s old, more than {allowed:g}s: check the target in "
            "Prometheus, the source's scrapeInterval, and that the clocks agree",
        )

    def _doubtful(self, question: Question, key: Key) -> NoData | None:
        doubt = self.doubts.get(key)
        if doubt is None:
            return None
        return NoData(
            at=self.at,
            cause=Cause.AMBIGUOUS,
            message=f"{question.subject.backend.name} {doubt}. Nothing of this moment is counted",
        )

    def _no_series(self, series: str, backend: str) -> NoData:
        return NoData(
            at=self.at,
            cause=Cause.NO_SERIES,
            message=f"Prometheus has no series {series} of {backend}: check that the data plane ({self.preset.name}) "
            "is scraped and the backend is in its route",
        )

    def _none_completed(self, series: str, backend: str, responses: float) -> NoData:
        return NoData(
            at=self.at,
            cause=Cause.NO_SERIES,
            message=f"{backend} began {responses:,.0f} responses and Prometheus has no series {series} of it: none was "
            "completed without an error, or the response times are not scraped",
        )

    def _not_a_number(self, backend: str) -> NoData:
        return NoData(
            at=self.at,
            cause=Cause.NAN,
            message=f"a series of {backend} is not a number: check {self.preset.requests} in Prometheus",
        )

    def _proportion(self, question: Question, key: Key) -> Answer:
        if isinstance(self.requests, Failure):
            return self.requests.as_answer(self.at)
        # Envoy creates the response series with the first response, so a backend without it has had no requests.
        counts = self.requests.counts.get(key, RequestCounts())
        bad = _bad(question, counts)
        if isnan(counts.requests):
            return self._not_a_number(question.subject.backend.name)
        rates = self.display.rates.get(key, RequestCounts())
        ratio = _bad(question, rates) / rates.requests if rates.requests > 0 else None
        return Counted(at=self.at, batch=Batch(counts.requests, bad, bad, bad), display=ratio, begun=self._begun(key))

    def _unanswered(self, question: Question, key: Key) -> Answer:
        if isinstance(self.lifecycle, Failure):
            return self.lifecycle.as_answer(self.at)
        counts, backend = self.lifecycle.get(key), question.subject.backend.name
        if counts is None:
            # Its Envoys were restarted or are new, or their statistics are filtered.
            series = self.preset.lifecycle.ended if self.preset.lifecycle is not None else ""
            return NoData(
                at=self.at,
                cause=Cause.NO_SERIES,
                message=f"Prometheus has had no series {series} and its like of {backend} since the last tick: if that "
                "stays so, let all statistics of the backend be scraped",
            )
        if isnan(counts.ended + counts.open + counts.broken):
            return self._not_a_number(backend)
        broken = counts.broken
        return Counted(
            at=self.at, batch=Batch(counts.ended, broken, broken, broken), open=counts.open, begun=self._begun(key)
        )

    def _slow(self, question: Question, key: Key, quantile: float, *, uneven: bool) -> Answer:
        backend = question.subject.backend.name
        histogram = self.preset.histogram
        if histogram is None:
            return self._no_series("of response times", backend)
        if key in self.only_native:
            return self._slow_native(question, key, quantile, histogram)
        if isinstance(self.buckets, Failure):
            return self.buckets.as_answer(self.at)
        cumulative = self.buckets.counts.get(key)
        if cumulative is None or self.bounds is None:
            if isinstance(self.requests, Failure):
                return self._no_series(histogram.series, backend)
            responses = self.requests.counts.get(key, RequestCounts()).requests
            if responses:
                return self._none_completed(histogram.series, backend, responses)
            return Counted(at=self.at, batch=Batch(0.0, 0.0, 0.0, 0.0), begun=self._begun(key))
        if question.limit <= 0:
            return self._whole(question, key, cumulative, histogram.per_second, uneven=uneven)
        bracket = self.bounds.bracket(question.limit * histogram.per_second)
        batch = None if uneven else bracket.batch(cumulative)
        if batch is None:
            return NoData(
                at=self.at,
                cause=Cause.AMBIGUOUS,
                message=f"not all instances that serve {backend} have the same bucket bounds around "
                f"{question.limit:g}s: set the same bounds everywhere ({histogram.advice})",
            )
        if isnan(batch.requests + batch.certain + batch.possible):
            return self._not_a_number(backend)
        shown = self.display.quantiles.get((key, quantile_tag(quantile)))
        return Counted(
            at=self.at, batch=batch, display=shown, coarse=bracket.coarse(histogram.per_second), begun=self._begun(key)
        )

    def _slow_native(self, question: Question, key: Key, quantile: float, histogram: Histogram) -> Answer:
        if isinstance(self.native, Failure):
            return self.native.as_answer(self.at)
        backend, found = question.subject.backend.name, self.native.counts.get(key)
        if found is None and not isinstance(self.requests, Failure):
            found = None if self.requests.counts.get(key, RequestCounts()).requests else NativeCounts()
        counts = usable(backend, histogram, found, compared=question.limit <= 0)
        if isinstance(counts, Problem):
            return NoData(at=self.at, cause=counts.cause, message=counts.message)
        if isnan(counts.requests):
            return self._not_a_number(backend)
        if question.limit <= 0:
            tail = counts.tail(histogram.per_second)
            return Counted(
                at=self.at,
                batch=Batch(counts.requests, 0.0, 0.0, 0.0),
                above=tail,
                total=counts.requests,
                begun=self._begun(key),
            )
        limit = question.limit * histogram.per_second
        return Counted(
            at=self.at,
            batch=counts.batch(limit),
            display=self.display.quantiles.get((key, quantile_tag(quantile))),
            coarse=self.neighbours.coarse(key, counts, limit, histogram.per_second),
            begun=self._begun(key),
        )

    def _whole(
        self, question: Question, key: Key, cumulative: Mapping[float, float], per_second: float, *, uneven: bool
    ) -> Answer:
        """Answer with the requests above every bound, for a comparison with the stable version."""
        finite = self.bounds.finite if self.bounds is not None else ()
        if uneven or not {*finite, inf} <= cumulative.keys():
            return NoData(
                at=self.at,
                cause=Cause.AMBIGUOUS,
                message=f"not all instances that serve {question.subject.backend.name} have the same bucket bounds",
            )
        requests = cumulative[inf]
        if isnan(requests + sum(cumulative[bound] for bound in finite)):
            return self._not_a_number(question.subject.backend.name)
        tail = tuple((bound / per_second, requests - cumulative[bound]) for bound in finite)
        return Counted(
            at=self.at, batch=Batch(requests, 0.0, 0.0, 0.0), above=tail, total=requests, begun=self._begun(key)
        )


@lru_cache(maxsize=2**12)
def _time(seconds: float) -> datetime:
    """Return a time; remembered, as all backends of a target have the times of its scrapes."""
    return datetime.fromtimestamp(seconds, UTC)


def _bad(question: Question, counts: RequestCounts) -> float:
    return counts.client_errors if isinstance(question.metric, ClientErrorRate) else counts.server_errors
