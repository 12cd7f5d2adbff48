"""Replays past ticks, such as those of a stage before a restart, in range queries of bounded size."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import isfinite
from typing import Final, NamedTuple

from serinus.engine.analysis.measurements import Answer, Question
from serinus.metrics.answers import Tick
from serinus.metrics.grpc_calls import grpc_query, with_grpc
from serinus.metrics.health import Health
from serinus.metrics.increments import BucketRows, RequestCounts, RequestRows
from serinus.metrics.label_sets import Row
from serinus.metrics.lifecycle import LifecycleCounts, LifecycleRows, lifecycle_backends, lifecycle_query
from serinus.metrics.native import NativeCounts, NativeRow, native_query, read_native
from serinus.metrics.plausible import Increments, RecentTraffic
from serinus.metrics.presets import Key, Preset
from serinus.metrics.queries import BEGUN, PART, Reach, begun_query, buckets_query, requests_query
from serinus.metrics.reader import PresetReader, models_of, one_scrape
from serinus.metrics.speed import Template
from serinus.metrics.transport import HistogramValue, Matrix
from serinus.metrics.workers import Failure, Workers

MAX_STEPS = 10_000
"""Prometheus rejects a range query of more than 11,000 steps."""

_MAX_SAMPLES = 200_000
"""Samples in one response, about 6 MB: far below the transport's limit, and cheap to parse."""

_ROWS_PER_HISTOGRAM = 150
"""A native histogram has some dozens of buckets, each with four values where a sample has two."""

_ROWS_PER_BACKEND = 6
"""Typical rows of a backend in one response: five response classes, or three buckets for each of two limits."""

_REQUESTS: Final = "requests"
_BUCKETS: Final = "buckets"
_NATIVE: Final = "native"
_LIFECYCLE: Final = "lifecycle"
_GRPC: Final = "grpc"

_LOOKBACK_MS = 3_600_000
"""Like :mod:`serinus.metrics.outages`, but past outages are unknown here: covers those of up to an hour."""


@dataclass(frozen=True, slots=True)
class Steps:
    """The times of a replay.

    Attributes:
        at: the steps' times as the caller knows them.
        first: evaluation time of the first step, in milliseconds since 1970.
        step: milliseconds from one step to the next.
    """

    at: tuple[datetime, ...]
    first: int
    step: int

    @classmethod
    def between(cls, start: datetime, end: datetime, step: timedelta, begin: int) -> "Steps":
        """Return every whole step after ``start``, which is evaluated at ``begin``, up to ``end``."""
        length = step // timedelta(milliseconds=1)
        whole = timedelta(milliseconds=length)
        count = max(0, (end - start) // whole)
        return cls(tuple(start + whole * index for index in range(1, count + 1)), begin + length, length)

    def chunks(self, series: int) -> Iterator[range]:
        """Return the steps in chunks whose responses stay small for this many series."""
        size = max(1, min(MAX_STEPS, _MAX_SAMPLES // max(1, series)))
        for begin in range(0, len(self.at), size):
            yield range(begin, min(begin + size, len(self.at)))

    def time(self, index: int) -> int:
        """Return the evaluation time of a step, in milliseconds since 1970."""
        return self.first + index * self.step


async def _rows_by_step(
    workers: Workers, query: str, steps: Steps, chunk: range
) -> Sequence[Sequence[NativeRow]] | Failure:
    """Return the rows of the query at each step of the chunk."""
    result = await workers.range(query, steps.time(chunk.start), steps.time(chunk.stop - 1), steps.step)
    return result if isinstance(result, Failure) else _by_step(result, steps, chunk)


def _by_step(matrix: Matrix, steps: Steps, chunk: range) -> Sequence[Sequence[NativeRow]]:
    rows: list[list[NativeRow]] = [[] for _ in chunk]
    begin = steps.time(chunk.start)
    for labels, seconds, value in _values(matrix):
        milliseconds = seconds * 1000
        if not isfinite(milliseconds):
            # No step has such a time.
            continue
        index = (round(milliseconds) - begin) // steps.step
        if 0 <= index < len(rows):
            rows[index].append((labels, value))
    return rows


def _values(matrix: Matrix) -> Iterator[tuple[Mapping[str, str], float, HistogramValue | str]]:
    for series in matrix.series:
        for seconds, number in series.values:
            yield series.metric, seconds, number
        for seconds, histogram in series.histograms:
            yield series.metric, seconds, histogram


def _numbers(rows: Sequence[NativeRow]) -> list[Row]:
    return [(labels, float(value)) for labels, value in rows if isinstance(value, str)]


async def replay_preset(
    reader: PresetReader, workers: Workers, keys: Mapping[Question, Key], steps: Steps, scrape_interval: timedelta
) -> Mapping[Question, Sequence[Answer]]:
    """Answer the questions of one preset at every step."""
    backends, limits, preset = frozenset(keys.values()), reader.limits(keys), reader.preset
    last = steps.time(len(steps.at) - 1)
    no_bounds = await reader.refresh_bounds(backends, last) if limits else None
    relabelled = await reader.relabelled(backends, steps.first - _LOOKBACK_MS, last)
    failure = relabelled if isinstance(relabelled, Failure) else None
    changed = frozenset() if isinstance(relabelled, Failure) else relabelled
    reach = Reach(steps.step, _LOOKBACK_MS, changed, one_scrape(scrape_interval))
    queries = _queries(reader, keys, limits, reach)
    answers: dict[Question, list[Answer]] = {question: [] for question in keys}
    recent, models, step_rows = RecentTraffic(), models_of(keys), _StepRows(preset)
    begun: dict[Key, float] = {}
    series = len(backends) * _ROWS_PER_BACKEND + len(backends & reader.only_native) * _ROWS_PER_HISTOGRAM
    for chunk in steps.chunks(series):
        tables: dict[str, Sequence[Sequence[NativeRow]]] = {}
        for name, query in queries.items():
            # After one failure the later chunks would most likely fail as well, each after a time-out.
            result = failure or await _rows_by_step(workers, query, steps, chunk)
            if isinstance(result, Failure):
                failure = result
            else:
                tables[name] = result
        for index in chunk:
            rows = {name: table[index - chunk.start] for name, table in tables.items()} if failure is None else {}
            read = step_rows.read(rows)
            begun |= read.begun
            evaluated = steps.time(index) / 1000
            tick = Tick(
                preset=preset,
                at=steps.at[index],
                evaluated=evaluated,
                scrape_interval=scrape_interval,
                health=failure or Health(dict.fromkeys(read.backends, evaluated)),
                requests=read.requests,
                buckets=no_bounds if no_bounds is not None and reader.bounds is None else read.buckets,
                native=read.native,
                only_native=reader.only_native,
                neighbours=reader.neighbours,
                begun=begun,
                begun_at_least=evaluated - (steps.step + _LOOKBACK_MS) / 1000,
                lifecycle=read.lifecycle,
                doubts=recent.doubts(models, steps.step / 1000, read.requests, read.buckets, read.native),
                bounds=reader.bounds,
            )
            for question, key in keys.items():
                answers[question].append(tick.answer(question, key))
            await asyncio.sleep(0)  # a long replay must not block the event loop that guards the other rollouts
    return answers


def _queries(
    reader: PresetReader, keys: Mapping[Question, Key], limits: frozenset[float], reach: Reach
) -> Mapping[str, str]:
    """Return the queries by what they are about: those of a live tick that the questions need."""
    preset, backends, calls = reader.preset, frozenset(keys.values()), reader.grpc_backends(keys)
    requests = f"{requests_query(preset, backends, reach)} or {begun_query(preset, backends, reach.span)}"
    queries, native = {_REQUESTS: requests}, backends & reader.only_native
    bounds, ended = reader.needed_bounds(limits), lifecycle_backends(keys)
    if preset.histogram is not None and bounds:
        queries[_BUCKETS] = buckets_query(preset, preset.histogram, backends, bounds, reach)
    if preset.histogram is not None and limits and native:
        queries[_NATIVE] = native_query(preset, preset.histogram, native, reach)
    if preset.lifecycle is not None and ended:
        queries[_LIFECYCLE] = lifecycle_query(preset, preset.lifecycle, ended, reach)
    if preset.grpc is not None and calls:
        queries[_GRPC] = grpc_query(preset, preset.grpc, calls, reach)
    return queries


class _Read(NamedTuple):
    """What the rows of one step say."""

    requests: Increments[RequestCounts]
    buckets: Increments[Mapping[float, float]]
    native: Increments[NativeCounts]
    lifecycle: Mapping[Key, LifecycleCounts]
    begun: Mapping[Key, float]

    @property
    def backends(self) -> tuple[Key, ...]:
        """The backends of which something was counted; one that has never answered has a lifecycle only."""
        return (*self.requests.counts, *self.buckets.counts, *self.native.counts, *self.lifecycle)


class _StepRows:
    """Reads the rows of one preset, step after step."""

    def __init__(self, preset: Preset) -> None:
        self._preset = preset
        self._requests, self._buckets, self._lifecycle = RequestRows(preset), BucketRows(preset), LifecycleRows(preset)

    def read(self, rows: Mapping[str, Sequence[NativeRow]]) -> _Read:
        """Return what the rows of one step say, by what their query is about."""
        preset, numbers = self._preset, _numbers(rows.get(_REQUESTS, ()))
        begun: dict[Key, float] = {}
        for labels, seconds in numbers:
            if labels.get(PART) == BEGUN:
                key = preset.key_of(labels)
                begun[key] = max(seconds, begun.get(key, 0.0))
        requests = self._requests.increments([row for row in numbers if row[0].get(PART) != BEGUN])
        return _Read(
            with_grpc(preset, requests, _numbers(rows.get(_GRPC, ()))),
            self._buckets.increments(_numbers(rows.get(_BUCKETS, ()))),
            read_native(preset, rows.get(_NATIVE, ())),
            self._lifecycle.counts(_numbers(rows.get(_LIFECYCLE, ()))),
            begun,
        )


def _row(rows: Sequence[Sequence[NativeRow]] | Failure, index: int) -> Sequence[Row] | Failure:
    return rows if isinstance(rows, Failure) else _numbers(rows[index])


async def replay_named(
    workers: Workers, query: str, templates: Mapping[Question, Template], steps: Steps
) -> Mapping[Question, Sequence[Answer]]:
    """Answer the questions that share one named query at every step."""
    answers: dict[Question, list[Answer]] = {question: [] for question in templates}
    failure: Failure | None = None
    for chunk in steps.chunks(len(templates)):
        result = failure or await _rows_by_step(workers, query, steps, chunk)
        failure = result if isinstance(result, Failure) else None
        for index in chunk:
            rows = _row(result, index - chunk.start)
            for question, template in templates.items():
                answers[question].append(_named_answer(question, template, steps.at[index], rows))
    return answers


def _named_answer(question: Question, template: Template, at: datetime, rows: Sequence[Row] | Failure) -> Answer:
    return rows.as_answer(at) if isinstance(rows, Failure) else template.answer(question.subject, at, rows)
