"""Reads one preset's series: at most six queries a tick, sent together; a seventh for both kinds of histograms."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from serinus.api.abort_condition import Latency, Rate
from serinus.engine.analysis.measurements import Answer, Question
from serinus.metrics.answers import Tick
from serinus.metrics.bounds import REFRESH_MS, RETRY_MS, Bounds, Spellings
from serinus.metrics.breadth import Breadth
from serinus.metrics.health import Display, Health, number, read_display, read_health
from serinus.metrics.increment_reader import IncrementReader, Wanted
from serinus.metrics.increments import RequestCounts
from serinus.metrics.lifecycle import lifecycle_backends
from serinus.metrics.native import NativeCounts, Neighbours, native_query, read_native
from serinus.metrics.outages import Outages
from serinus.metrics.plausible import Increments, Model, RecentTraffic
from serinus.metrics.presets import Key, Preset
from serinus.metrics.queries import (
    NATIVE,
    TAG,
    Reach,
    bounds_query,
    display_query,
    health_query,
    relabelled_query,
)
from serinus.metrics.spacing import Spacing
from serinus.metrics.workers import Failure, Workers

_MIN_WINDOW_SECONDS: Final = 60
_WINDOW_SCRAPES: Final = 4
_MAX_DEBT: Final = 12
"""Range queries at most for which displays are still skipped."""

_REMEMBER_LABELS_MS: Final = 60_000
"""By how much longer than the lookback of the counts a change of labels is remembered."""

_DISPLAY_SHARE: Final = 20
"""For each second that a display query takes, none is sent for so many: Prometheus has more important ones."""

_DISPLAY_TIMEOUT: Final = 1.0
"""Seconds; a slow display query never delays a verdict by more."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time between two ticks.

    Attributes:
        at: the tick's time as the caller knows it.
        start: evaluation time of the previous tick, in milliseconds since 1970.
        end: evaluation time of all queries of this tick, likewise.
    """

    at: datetime
    start: int
    end: int


def models_of(keys: Mapping[Question, Key]) -> dict[Key, Model]:
    """Return which model each of these backends belongs to."""
    return {key: (question.subject.namespace, question.subject.model) for question, key in keys.items()}


def display_window(interval: timedelta) -> int:
    """Return over how many seconds a figure is averaged that is not counted tick by tick."""
    return max(_MIN_WINDOW_SECONDS, round(_WINDOW_SCRAPES * interval.total_seconds()))


def one_scrape(interval: timedelta) -> int:
    """Return milliseconds that contain one scrape, and not the one before it."""
    return interval * 3 // timedelta(milliseconds=2)


def _unmeasured(
    timed: frozenset[Key], requests: Increments[RequestCounts] | Failure, *histograms: Increments[Any] | Failure
) -> bool:
    """Return whether a backend of a latency condition has requests, and no histogram that is read."""
    if isinstance(requests, Failure) or any(isinstance(one, Failure) for one in histograms):
        return False
    known = (one.counts.keys() for one in histograms if isinstance(one, Increments))
    return any(requests.counts.get(key, RequestCounts()).requests > 0 for key in timed.difference(*known))


class PresetReader:
    """Reads one preset's series; caches the bucket bounds and tracks outages."""

    def __init__(self, preset: Preset, workers: Workers, scrape_interval: timedelta) -> None:
        """Prepare; nothing is sent."""
        self._preset, self._workers, self._scrape_interval = preset, workers, scrape_interval
        self._window = display_window(scrape_interval)
        self._bounds: Bounds | None = None
        self._only_native: frozenset[Key] = frozenset()
        self._bounds_read_at, self._unmeasured = 0, False
        self._native_relabelled: frozenset[Key] = frozenset()
        self._increments = IncrementReader(preset, workers)
        self._breadth = Breadth(preset)
        self._outages = Outages(scrape_interval)
        self._paid_range_queries, self._display_due = 0, 0
        self._grpc_models: frozenset[Model] = frozenset()
        self._recent, self._spacing = RecentTraffic(), Spacing()
        self.neighbours = Neighbours()
        self.scrape_seconds: float | None = None

    @property
    def preset(self) -> Preset:
        """The preset that it reads."""
        return self._preset

    async def read(self, keys: Mapping[Question, Key], span: Span) -> Mapping[Question, Answer]:
        """Answer all questions; ``keys`` maps each to the backend that it is about.

        Query budget: a tick that refreshes bucket bounds skips the display query; only the first refresh blocks the
        others. Each range query is paid for by skipped displays in later ticks.
        """
        backends = frozenset(keys.values())
        limits = self.limits(keys)
        timed = frozenset(key for question, key in keys.items() if isinstance(question.metric, Latency))
        first = bool(limits) and self._bounds is None and not timed <= self._only_native
        again = bool(limits) and not first and self._bounds_are_due(limits, span.end)
        no_bounds = await self.refresh_bounds(backends, span.end) if first else None
        bounds, needed = self._bounds, self.needed_bounds(limits)
        rated = any(isinstance(question.metric, Rate) for question in keys)
        wanted = self._wanted(keys, backends, needed, span, rated=rated)
        read, native, health, display, _ = await asyncio.gather(
            self._increments.read(wanted),
            self._native(timed & self._only_native, span),
            self._health(backends, timed & self._only_native, wanted, timed=bool(needed)),
            self._display(keys, backends, span, wanted=self._display_is_paid_for() and not first and not again),
            self.refresh_bounds(backends, span.end) if again else asyncio.sleep(0),
        )
        begun = self._spacing.newest()
        self._breadth.record(health, span.end)
        if isinstance(health, Health):
            self.scrape_seconds = health.scrape_seconds
            self._spacing.record(health.newest)
            self._grpc_models = frozenset(model for key, model in models_of(keys).items() if key in health.grpc)
            self._native_relabelled = (self._native_relabelled - backends) | health.relabelled
            self._outages.record(round(max(health.newest.values(), default=0.0) * 1000))
        self._unmeasured = _unmeasured(timed, read.requests, read.buckets, native)
        doubts = self._recent.doubts(models_of(keys), wanted.span / 1000, read.requests, read.buckets, native)
        tick = Tick(
            preset=self._preset,
            at=span.at,
            evaluated=span.end / 1000,
            scrape_interval=self._scrape_interval,
            health=health,
            spacing=self._spacing,
            neighbours=self.neighbours,
            begun=begun,
            begun_at_least=(span.start - self._outages.lookback(span.start)) / 1000,
            requests=read.requests,
            buckets=read.buckets if no_bounds is None else no_bounds,
            native=native,
            only_native=self._only_native,
            uneven=read.uneven,
            unread=read.unread,
            doubts=doubts,
            bounds=bounds,
            lifecycle=read.lifecycle,
            display=display,
        )
        return {question: tick.answer(question, key) for question, key in keys.items()}

    def _display_is_paid_for(self) -> bool:
        """Return whether a skipped display has paid for each range query so far; if not, this tick pays for one."""
        debt = min(self._workers.range_queries - self._paid_range_queries, _MAX_DEBT)
        self._paid_range_queries = self._workers.range_queries - max(debt - 1, 0)
        return debt == 0

    def _display_is_too_soon(self, at: int) -> bool:
        # A clock that was set back must not keep them away.
        return at < self._display_due < at + 1000 * _DISPLAY_SHARE * _DISPLAY_TIMEOUT

    def _wanted(
        self, keys: Mapping[Question, Key], backends: frozenset[Key], bounds: Spellings, span: Span, *, rated: bool
    ) -> Wanted:
        lookback = self._outages.lookback(span.start)
        return Wanted(
            preset=self._breadth.preset_for(backends),
            backends=backends,
            rated=rated,
            bounds=bounds,
            ended=lifecycle_backends(keys),
            calls=self.grpc_backends(keys),
            start=span.start,
            end=span.end,
            lookback=lookback,
            scrape=one_scrape(self._scrape_interval),
            changes=lookback + _REMEMBER_LABELS_MS,
        )

    @property
    def bounds(self) -> Bounds | None:
        """The bucket bounds as last read; None before the first refresh."""
        return self._bounds

    def limits(self, keys: Mapping[Question, Key]) -> frozenset[float]:
        """Return the latency limits of the questions, in the histogram's unit; 0 stands for every bound."""
        histogram = self._preset.histogram
        if histogram is None:
            return frozenset()
        return frozenset(
            question.limit * histogram.per_second for question in keys if isinstance(question.metric, Latency)
        )

    def needed_bounds(self, limits: frozenset[float]) -> Spellings:
        """Return the bounds needed for these limits; empty where the bounds are unknown."""
        if self._bounds is None or not limits:
            return {}
        every = self._bounds.finite if 0.0 in limits else ()
        return self._bounds.needed([self._bounds.bracket(limit) for limit in (*every, *(limits - {0.0}))])

    async def refresh_bounds(self, backends: frozenset[Key], at: int) -> Failure | None:
        """Query the bucket bounds; a failure keeps the cached ones."""
        if self._preset.histogram is None:
            return None
        result = await self._workers.instant(bounds_query(self._preset, self._preset.histogram, backends), at)
        if isinstance(result, Failure):
            return result
        rows = [(sample.metric.get("le", ""), number(sample)) for sample in result.samples if TAG not in sample.metric]
        self._bounds = Bounds.of(rows, at) or self._bounds
        native = {self._preset.key_of(sample.metric) for sample in result.samples if sample.metric.get(TAG) == NATIVE}
        self._only_native = (self._only_native - backends) | native
        self._bounds_read_at = at
        return None

    def _bounds_are_due(self, limits: frozenset[float], at: int) -> bool:
        age = at - self._bounds_read_at
        due = age >= REFRESH_MS or age < 0 or (self._unmeasured and age >= RETRY_MS)
        return due or (self._bounds is not None and self._bounds.is_due(limits, at))

    def grpc_backends(self, keys: Mapping[Question, Key]) -> frozenset[Key]:
        """Return the backends of the models that spoke gRPC at the last tick, the stable version's or another's."""
        return frozenset(key for key, model in models_of(keys).items() if model in self._grpc_models)

    @property
    def only_native(self) -> frozenset[Key]:
        """The backends without classic buckets that have a native histogram, as last read."""
        return self._only_native

    async def _native(self, backends: frozenset[Key], span: Span) -> Increments[NativeCounts] | Failure:
        if self._preset.histogram is None or not backends:
            return Increments()
        lookback, scrape = self._outages.lookback(span.start), one_scrape(self._scrape_interval)
        reach = Reach(span.end - span.start, lookback, self._native_relabelled, scrape)
        query = native_query(self._preset, self._preset.histogram, backends, reach)
        result = await self._workers.instant(query, span.end)
        if isinstance(result, Failure):
            return result
        return read_native(self._preset, ((sample.metric, sample.content) for sample in result.samples))

    async def relabelled(self, backends: frozenset[Key], start: int, end: int) -> frozenset[Key] | Failure:
        """Query which backends had a target with several sets of labels between two times."""
        result = await self._workers.instant(relabelled_query(self._preset, backends, end - start), end)
        if isinstance(result, Failure):
            return result
        return frozenset(self._preset.key_of(sample.metric) for sample in result.samples)

    async def _health(
        self, backends: frozenset[Key], native: frozenset[Key], wanted: Wanted, *, timed: bool
    ) -> Health | Failure:
        query = health_query(wanted.preset, backends, native, wanted.changes, timed=timed)
        counting = self._breadth.query(backends, wanted.end)
        result = await self._workers.instant(" or ".join(filter(None, (query, counting))), wanted.end)
        return result if isinstance(result, Failure) else read_health(self._preset, result.samples).of(backends)

    async def _display(
        self, keys: Mapping[Question, Key], backends: frozenset[Key], span: Span, *, wanted: bool
    ) -> Display:
        if not wanted or self._display_is_too_soon(span.end):
            return Display()
        quantiles = {question.metric.quantile for question in keys if isinstance(question.metric, Latency)}
        preset = self._breadth.preset_for(backends)
        query = display_query(preset, backends, quantiles, self._window, self._only_native & backends)
        began = time.monotonic()
        result = await self._workers.instant(query, span.end, _DISPLAY_TIMEOUT)
        self._display_due = span.end + round(1000 * _DISPLAY_SHARE * (time.monotonic() - began))
        return Display() if isinstance(result, Failure) else read_display(self._preset, result.samples)
