"""Replays past ticks, such as those of a stage before a restart, in range queries of bounded size."""

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TypeVar

from serinus.engine.analysis.measurements import Answer, Question
from serinus.metrics.answers import Health, Tick
from serinus.metrics.increments import Row, read_buckets, read_requests
from serinus.metrics.named import NamedTemplate
from serinus.metrics.native import NativeRow, native_query, read_native
from serinus.metrics.plausible import Increments, RecentTraffic
from serinus.metrics.presets import Key
from serinus.metrics.queries import BEGUN, PART, Reach, begun_query, buckets_query, requests_query
from serinus.metrics.reader import PresetReader, models_of, one_scrape
from serinus.metrics.transport import HistogramValue, Matrix
from serinus.metrics.workers import Failure, Workers

Value = TypeVar("Value")

MAX_STEPS = 10_000
"""Prometheus rejects a range query of more than 11,000 steps."""

_MAX_SAMPLES = 200_000
"""Samples in one response, about 6 MB: far below the transport's limit, and cheap to parse."""

_ROWS_PER_HISTOGRAM = 150
"""A native histogram has some dozens of buckets, each with four values where a sample has two."""

_ROWS_PER_BACKEND = 6
"""Typical rows of a backend in one response: five response classes, or three buckets for each of two limits."""

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


async def _rows_by_step(workers: Workers, query: str, steps: Steps, chunk: range) -> Sequence[Sequence[Row]] | Failure:
    """Return the rows of the query at each step of the chunk."""
    result = await workers.range(query, steps.time(chunk.start), steps.time(chunk.stop - 1), steps.step)
    return result if isinstance(result, Failure) else _by_step(result, steps, chunk)


def _by_step(matrix: Matrix, steps: Steps, chunk: range) -> Sequence[Sequence[Row]]:
    values = ((series.metric, seconds, float(value)) for series in matrix.series for seconds, value in series.values)
    return _sorted_in(values, steps, chunk)


def _sorted_in(
    values: Iterable[tuple[Mapping[str, str], float, Value]], steps: Steps, chunk: range
) -> Sequence[Sequence[tuple[Mapping[str, str], Value]]]:
    """Return what the series had at each step of the chunk, given each value with its labels and time in seconds."""
    rows: list[list[tuple[Mapping[str, str], Value]]] = [[] for _ in chunk]
    begin = steps.time(chunk.start)
    for labels, seconds, value in values:
        index = (round(seconds * 1000) - begin) // steps.step
        if 0 <= index < len(rows):
            rows[index].append((labels, value))
    return rows


def _contents(matrix: Matrix) -> Iterator[tuple[Mapping[str, str], float, HistogramValue | str]]:
    for series in matrix.series:
        for seconds, number in series.values:
            yield series.metric, seconds, number
        for seconds, histogram in series.histograms:
            yield series.metric, seconds, histogram


@dataclass(frozen=True, slots=True)
class _Queries:
    """The range queries of a replay; empty where they are not needed."""

    requests: str
    buckets: str = ""
    native: str = ""


@dataclass(frozen=True, slots=True)
class _Chunk:
    """The rows of each query at each step of a chunk."""

    requests: Sequence[Sequence[Row]]
    buckets: Sequence[Sequence[Row]]
    native: Sequence[Sequence[NativeRow]]

    @classmethod
    async def read(cls, workers: Workers, queries: _Queries, steps: Steps, chunk: range) -> "_Chunk | Failure":
        """Send the queries of one chunk, one after the other."""
        nothing: Sequence[Sequence[Row]] = [()] * len(chunk)
        requests = await _rows_by_step(workers, queries.requests, steps, chunk)
        if isinstance(requests, Failure):
            return requests
        buckets = await _rows_by_step(workers, queries.buckets, steps, chunk) if queries.buckets else nothing
        if isinstance(buckets, Failure) or not queries.native:
            return buckets if isinstance(buckets, Failure) else cls(requests, buckets, [()] * len(chunk))
        native = await workers.range(queries.native, steps.time(chunk.start), steps.time(chunk.stop - 1), steps.step)
        if isinstance(native, Failure):
            return native
        return cls(requests, buckets, _sorted_in(_contents(native), steps, chunk))


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
    queries = _queries(reader, backends, limits, reach)
    answers: dict[Question, list[Answer]] = {question: [] for question in keys}
    recent, models = RecentTraffic(), models_of(keys)
    begun: dict[Key, float] = {}
    series = len(backends) * _ROWS_PER_BACKEND + len(backends & reader.only_native) * _ROWS_PER_HISTOGRAM
    for chunk in steps.chunks(series):
        # After one failure the later chunks would most likely fail as well, each after a time-out.
        read = failure or await _Chunk.read(workers, queries, steps, chunk)
        failure = read if isinstance(read, Failure) else None
        for index in chunk:
            at, evaluated = index - chunk.start, steps.time(index) / 1000
            rows = read.requests[at] if isinstance(read, _Chunk) else ()
            begun |= {preset.key_of(labels): seconds for labels, seconds in rows if labels.get(PART) == BEGUN}
            requests = read_requests(preset, [row for row in rows if row[0].get(PART) != BEGUN])
            buckets = read_buckets(preset, read.buckets[at]) if isinstance(read, _Chunk) else Increments()
            native = read_native(preset, read.native[at]) if isinstance(read, _Chunk) else Increments()
            tick = Tick(
                preset=preset,
                at=steps.at[index],
                evaluated=evaluated,
                scrape_interval=scrape_interval,
                health=failure or Health(dict.fromkeys([*requests.counts, *buckets.counts, *native.counts], evaluated)),
                requests=requests,
                buckets=no_bounds if no_bounds is not None and reader.bounds is None else buckets,
                native=native,
                only_native=reader.only_native,
                neighbours=reader.neighbours,
                begun=begun,
                begun_at_least=evaluated - (steps.step + _LOOKBACK_MS) / 1000,
                doubts=recent.doubts(models, steps.step / 1000, requests, buckets, native),
                bounds=reader.bounds,
            )
            for question, key in keys.items():
                answers[question].append(tick.answer(question, key))
            await asyncio.sleep(0)  # a long replay must not block the event loop that guards the other rollouts
    return answers


def _queries(reader: PresetReader, backends: frozenset[Key], limits: frozenset[float], reach: Reach) -> _Queries:
    """Return the requests query and, where there are latency limits, those of the histograms that there are."""
    preset, histogram = reader.preset, reader.preset.histogram
    requests = f"{requests_query(preset, backends, reach)} or {begun_query(preset, backends, reach.span)}"
    if histogram is None or not limits:
        return _Queries(requests)
    bounds, native = reader.needed_bounds(limits), backends & reader.only_native
    return _Queries(
        requests,
        buckets_query(preset, histogram, backends, bounds, reach) if bounds else "",
        native_query(preset, histogram, native, reach) if native else "",
    )


def _row(rows: Sequence[Sequence[Row]] | Failure, index: int) -> Sequence[Row] | Failure:
    return rows if isinstance(rows, Failure) else rows[index]


async def replay_named(
    workers: Workers, query: str, templates: Mapping[Question, NamedTemplate], steps: Steps
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


def _named_answer(question: Question, template: NamedTemplate, at: datetime, rows: Sequence[Row] | Failure) -> Answer:
    return rows.as_answer(at) if isinstance(rows, Failure) else template.answer(question.subject, at, rows)
