"""One preset's tick: at most four queries, sent together."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from serinus.api.abort_condition import ClientErrorRate, ErrorRate, Latency
from serinus.engine.analysis.measurements import Answer, Question
from serinus.metrics.answers import (
    Display,
    Health,
    RequestCounts,
    Tick,
    number,
    read_buckets,
    read_display,
    read_ended,
    read_health,
)
from serinus.metrics.bounds import Bounds, Spelt
from serinus.metrics.outages import Outages
from serinus.metrics.presets import Key, Preset
from serinus.metrics.queries import Reach, bounds_query, buckets_query, display_query, health_query, requests_query
from serinus.metrics.workers import Failure, Workers

_LEAST_WINDOW: Final = 60
_WINDOW_SCRAPES: Final = 4
_MOST_OWED: Final = 12
_DISPLAY_PATIENCE: Final = 1.0
"""Seconds: figures for people never hold up a verdict for longer."""


@dataclass(frozen=True, slots=True)
class Span:
    """The time between two ticks.

    Attributes:
        at: the tick's time as the caller knows it.
        start: where it begins for Prometheus, in milliseconds since 1970.
        end: where it ends for Prometheus; all queries of the tick are evaluated there.
    """

    at: datetime
    start: int
    end: int


class PresetReader:
    """Reads one preset's series; remembers only the bucket bounds."""

    def __init__(self, preset: Preset, workers: Workers, scrape_interval: timedelta) -> None:
        """Ask nothing yet."""
        self._preset, self._workers, self._scrape_interval = preset, workers, scrape_interval
        self._window = max(_LEAST_WINDOW, round(_WINDOW_SCRAPES * scrape_interval.total_seconds()))
        self._bounds: Bounds | None = None
        self._gaps = Outages(scrape_interval)
        self._made_up = 0
        self.scrape_seconds: float | None = None

    @property
    def preset(self) -> Preset:
        """What it reads."""
        return self._preset

    async def read(self, keys: Mapping[Question, Key], span: Span) -> Mapping[Question, Answer]:
        """Answer all questions; ``keys`` says which series each is about.

        In a tick that learns the bucket bounds there is no display: that query makes room for the other. Only the first
        time must the others wait for them. A range query is made room for likewise, in the ticks after it.
        """
        backends = frozenset(keys.values())
        limits = self.limits(keys)
        first = bool(limits) and self._bounds is None
        again = self._bounds is not None and bool(limits) and self._bounds.is_due(limits, span.end)
        learnt = await self.learn(backends, span.end) if first else None
        bounds, spelt = self._bounds, self.spelt(limits)
        rated = any(isinstance(question.metric, ErrorRate | ClientErrorRate) for question in keys)
        ended, within, health, display, _ = await asyncio.gather(
            self._ended(backends, span, wanted=rated),
            self._within(backends, spelt, span),
            self._health(backends, spelt, span),
            self._display(keys, backends, span, wanted=self._affordable() and not first and not again),
            self.learn(backends, span.end) if again else asyncio.sleep(0),
        )
        if isinstance(health, Health):
            self.scrape_seconds = health.scrape_seconds
            self._gaps.note(round(max(health.newest.values(), default=0.0) * 1000))
        tick = Tick(
            preset=self._preset,
            at=span.at,
            evaluated=span.end / 1000,
            scrape_interval=self._scrape_interval,
            health=health,
            ended=ended,
            within=within if learnt is None else learnt,
            bounds=bounds,
            display=display,
        )
        return {question: tick.answer(question, key) for question, key in keys.items()}

    def _affordable(self) -> bool:
        """Say whether all range queries so far have been made up for by a display left out; leave one out if not."""
        owed = min(self._workers.ranged - self._made_up, _MOST_OWED)
        self._made_up = self._workers.ranged - max(owed - 1, 0)
        return owed == 0

    def _reach(self, span: Span) -> Reach:
        return Reach(span.end - span.start, self._gaps.lookback(span.start))

    @property
    def bounds(self) -> Bounds | None:
        """The bucket bounds as last learnt."""
        return self._bounds

    def limits(self, keys: Mapping[Question, Key]) -> frozenset[float]:
        """Return the latency limits asked, in the histogram's unit."""
        histogram = self._preset.histogram
        if histogram is None:
            return frozenset()
        return frozenset(
            question.limit * histogram.per_second for question in keys if isinstance(question.metric, Latency)
        )

    def spelt(self, limits: frozenset[float]) -> Spelt:
        """Return the bounds that these limits need; none where no bounds are known."""
        if self._bounds is None or not limits:
            return {}
        return self._bounds.spelt([self._bounds.bracket(limit) for limit in limits])

    async def learn(self, backends: frozenset[Key], at: int) -> Failure | None:
        """Learn the bucket bounds; where that fails the ones known stay."""
        if self._preset.histogram is None:
            return None
        found = await self._workers.instant(bounds_query(self._preset, self._preset.histogram, backends), at)
        if isinstance(found, Failure):
            return found
        rows = ((sample.metric.get("le", ""), number(sample)) for sample in found.samples)
        self._bounds = Bounds.of(rows, at) or self._bounds
        return None

    async def _ended(
        self, backends: frozenset[Key], span: Span, *, wanted: bool
    ) -> Mapping[Key, RequestCounts] | Failure:
        if not wanted:
            return {}
        found = await self._workers.instant(requests_query(self._preset, backends, self._reach(span)), span.end)
        if isinstance(found, Failure):
            return found
        return read_ended(self._preset, ((sample.metric, number(sample)) for sample in found.samples))

    async def _within(
        self, backends: frozenset[Key], spelt: Spelt, span: Span
    ) -> Mapping[Key, Mapping[float, float]] | Failure:
        if self._preset.histogram is None or not spelt:
            return {}
        query = buckets_query(self._preset, self._preset.histogram, backends, spelt, self._reach(span))
        found = await self._workers.instant(query, span.end)
        if isinstance(found, Failure):
            return found
        return read_buckets(self._preset, ((sample.metric, number(sample)) for sample in found.samples))

    async def _health(self, backends: frozenset[Key], spelt: Spelt, span: Span) -> Health | Failure:
        found = await self._workers.instant(health_query(self._preset, backends, spelt), span.end)
        return found if isinstance(found, Failure) else read_health(self._preset, found.samples)

    async def _display(
        self, keys: Mapping[Question, Key], backends: frozenset[Key], span: Span, *, wanted: bool
    ) -> Display:
        if not wanted:
            return Display()
        quantiles = {question.metric.quantile for question in keys if isinstance(question.metric, Latency)}
        query = display_query(self._preset, backends, quantiles, self._window)
        found = await self._workers.instant(query, span.end, _DISPLAY_PATIENCE)
        return Display() if isinstance(found, Failure) else read_display(self._preset, found.samples)
