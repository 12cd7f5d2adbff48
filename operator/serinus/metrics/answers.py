"""From the rows of a tick to one answer for each question. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import isnan
from typing import Final, assert_never

from serinus.api.abort_condition import ClientErrorRate, ErrorRate, Latency, NamedQuery
from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Batch, Counted, NoData, Question
from serinus.metrics.bounds import Bounds, bound_of
from serinus.metrics.presets import Key, Preset
from serinus.metrics.queries import CLASSES, FAILURES, SCRAPE, TAG, UNEVEN, quantile_tag
from serinus.metrics.transport import Sample
from serinus.metrics.workers import Failure

STALE_AFTER: Final = 3
"""Scrape intervals without a new sample after which figures are no longer believed."""


@dataclass(frozen=True, slots=True)
class RequestCounts:
    """How the requests of a backend ended; counts, or rates where they are for display."""

    requests: float = 0.0
    server_errors: float = 0.0
    client_errors: float = 0.0


@dataclass(frozen=True, slots=True)
class Health:
    """What the health query said.

    Attributes:
        newest: by backend, the time of its newest sample in seconds since 1970.
        uneven: the backends of which not all series have the needed buckets.
        scrape_seconds: how long the slowest scrape took lately; None where Prometheus does not know.
    """

    newest: Mapping[Key, float]
    uneven: frozenset[Key] = frozenset()
    scrape_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Display:
    """Figures for people; empty where they could not be had."""

    ended: Mapping[Key, RequestCounts] = field(default_factory=dict)
    quantiles: Mapping[tuple[Key, str], float] = field(default_factory=dict)


def number(sample: Sample) -> float:
    """Return a sample's value; NaN for a native histogram, which is none."""
    return float(sample.value[1]) if sample.value is not None else float("nan")


def read_ended(preset: Preset, rows: Iterable[tuple[Mapping[str, str], float]]) -> dict[Key, RequestCounts]:
    """Add up requests by backend."""
    sums: dict[Key, list[float]] = {}
    for labels, count in rows:
        found = sums.setdefault(preset.key_of(labels), [0.0, 0.0, 0.0])
        found[0] += count
        if labels.get(TAG) == FAILURES or any(where.holds(labels) for where in preset.server_errors):
            found[1] += count
        elif any(where.holds(labels) for where in preset.client_errors):
            found[2] += count
    return {key: RequestCounts(*found) for key, found in sums.items()}


def read_buckets(preset: Preset, rows: Iterable[tuple[Mapping[str, str], float]]) -> dict[Key, dict[float, float]]:
    """Return by backend the requests within each bound; one bound written in two ways is one."""
    within: dict[Key, dict[float, float]] = {}
    for labels, count in rows:
        found = within.setdefault(preset.key_of(labels), {})
        bound = bound_of(labels.get("le", ""))
        found[bound] = found.get(bound, 0.0) + count
    return within


def read_health(preset: Preset, samples: Iterable[Sample]) -> Health:
    """Sort the rows of the health query."""
    newest: dict[Key, float] = {}
    uneven: set[Key] = set()
    scrape: float | None = None
    for sample in samples:
        match sample.metric.get(TAG):
            case None:
                key = preset.key_of(sample.metric)
                newest[key] = max(number(sample), newest.get(key, 0.0))
            case tag if tag == UNEVEN:
                uneven.add(preset.key_of(sample.metric))
            case tag if tag == SCRAPE:
                scrape = number(sample)
    return Health(newest, frozenset(uneven), scrape)


def read_display(preset: Preset, samples: Iterable[Sample]) -> Display:
    """Sort the rows of the display query; a quantile of nothing (NaN) is left out."""
    quantiles: dict[tuple[Key, str], float] = {}
    rates: list[tuple[Mapping[str, str], float]] = []
    for sample in samples:
        tag, value = sample.metric.get(TAG, ""), number(sample)
        if tag in {CLASSES, FAILURES}:
            rates.append((sample.metric, value))
        elif not isnan(value) and preset.histogram is not None:
            quantiles[preset.key_of(sample.metric), tag] = value / preset.histogram.per_second
    return Display(read_ended(preset, rates), quantiles)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tick:
    """All that one tick knows of a preset's backends."""

    preset: Preset
    at: datetime
    evaluated: float
    scrape_interval: timedelta
    health: Health | Failure
    ended: Mapping[Key, RequestCounts] | Failure
    within: Mapping[Key, Mapping[float, float]] | Failure
    bounds: Bounds | None
    display: Display = field(default_factory=Display)

    def answer(self, question: Question, key: Key) -> Answer:
        """Answer one question about the backend with this key."""
        if isinstance(self.health, Failure):
            return self.health.as_answer(self.at)
        problem = self._freshness_problem(question, self.health.newest.get(key))
        if problem is not None:
            return problem
        match question.metric:
            case ErrorRate() | ClientErrorRate():
                return self._proportion(question, key)
            case Latency(quantile):
                return self._slow(question, key, quantile, uneven=key in self.health.uneven)
            case NamedQuery():
                raise AssertionError("a named query is answered elsewhere")
            case _:
                assert_never(question.metric)

    def _freshness_problem(self, question: Question, newest: float | None) -> NoData | None:
        backend = question.subject.backend.name
        if newest is None:
            return self._no_series(self.preset.presence, backend)
        age, allowed = self.evaluated - newest, STALE_AFTER * self.scrape_interval.total_seconds()
        if age <= allowed:
            return None
        return NoData(
            at=self.at,
            cause=Cause.STALE,
            message=f"the newest sample of {backend} is {age:.0f}s old, more than {allowed:g}s: check the target in "
            "Prometheus, the source's scrapeInterval, and that the clocks agree",
        )

    def _no_series(self, series: str, backend: str) -> NoData:
        return NoData(
            at=self.at,
            cause=Cause.NO_SERIES,
            message=f"Prometheus has no series {series} of {backend}: check that the data plane ({self.preset.name}) "
            "is scraped and the backend is in its route",
        )

    def _not_a_number(self, backend: str) -> NoData:
        return NoData(
            at=self.at,
            cause=Cause.NAN,
            message=f"a series of {backend} is no number: look at {self.preset.requests} in Prometheus",
        )

    def _proportion(self, question: Question, key: Key) -> Answer:
        if isinstance(self.ended, Failure):
            return self.ended.as_answer(self.at)
        # A backend that is there but has no responses yet has had none: Envoy makes the series with the first.
        found = self.ended.get(key, RequestCounts())
        bad = _bad(question, found)
        if isnan(found.requests):
            return self._not_a_number(question.subject.backend.name)
        shown = self.display.ended.get(key, RequestCounts())
        ratio = _bad(question, shown) / shown.requests if shown.requests > 0 else None
        return Counted(at=self.at, batch=Batch(found.requests, bad, bad, bad), display=ratio)

    def _slow(self, question: Question, key: Key, quantile: float, *, uneven: bool) -> Answer:
        backend = question.subject.backend.name
        histogram = self.preset.histogram
        if histogram is None:
            return self._no_series("of response times", backend)
        if isinstance(self.within, Failure):
            return self.within.as_answer(self.at)
        found = self.within.get(key)
        if found is None or self.bounds is None:
            if isinstance(self.ended, Failure) or self.ended.get(key, RequestCounts()).requests:
                return self._no_series(histogram.series, backend)
            return Counted(at=self.at, batch=Batch(0.0, 0.0, 0.0, 0.0))
        bracket = self.bounds.bracket(question.limit * histogram.per_second)
        batch = None if uneven else bracket.batch(found)
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
        return Counted(at=self.at, batch=batch, display=shown, coarse=bracket.coarse(histogram.per_second))


def _bad(question: Question, ended: RequestCounts) -> float:
    return ended.server_errors if isinstance(question.metric, ErrorRate) else ended.client_errors
