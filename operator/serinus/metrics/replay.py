"""The past, step by step: what the ticks since a stage began would have seen, in range queries of bounded size."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from serinus.engine.analysis.measurements import Answer, Question
from serinus.metrics.answers import Health, Tick, read_buckets, read_ended
from serinus.metrics.named import NamedTemplate
from serinus.metrics.presets import Key
from serinus.metrics.queries import Reach, buckets_query, requests_query
from serinus.metrics.reader import PresetReader
from serinus.metrics.transport import Matrix
from serinus.metrics.workers import Failure, Workers

MOST_POINTS = 10_000
"""Prometheus refuses a range query of more than 11,000 steps."""

_MOST_SAMPLES = 200_000
"""Samples in one answer, some 6 MB: far under the transport's bound, and what parsing it needs stays small."""

_ROWS_EACH = 6
"""Rows that a backend has in one answer, seldom more: five response classes, or three buckets of each of two limits."""

_LOOKBACK_MS = 3_600_000
"""As in :mod:`serinus.metrics.outages`, but nobody knows here which outages there were: those of up to an hour."""

Row = tuple[Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Steps:
    """The times of a replay, in milliseconds since 1970 as Prometheus sees them.

    Attributes:
        at: the callers' times of the steps.
        first: the first step for Prometheus.
        step: from one to the next.
    """

    at: tuple[datetime, ...]
    first: int
    step: int

    @classmethod
    def between(cls, start: datetime, end: datetime, step: timedelta, begin: int) -> "Steps":
        """Return every whole step after ``start``, which is ``begin`` for Prometheus, up to ``end``."""
        length = step // timedelta(milliseconds=1)
        whole = timedelta(milliseconds=length)
        count = max(0, (end - start) // whole)
        return cls(tuple(start + whole * place for place in range(1, count + 1)), begin + length, length)

    def chunks(self, series: int) -> Iterator[range]:
        """Return the steps in pieces whose answers stay small for this many series."""
        most = max(1, min(MOST_POINTS, _MOST_SAMPLES // max(1, series)))
        for begin in range(0, len(self.at), most):
            yield range(begin, min(begin + most, len(self.at)))

    def time(self, place: int) -> int:
        """Return a step's time for Prometheus."""
        return self.first + place * self.step


async def table(workers: Workers, query: str, steps: Steps, chunk: range) -> Sequence[Sequence[Row]] | Failure:
    """Return the rows of the query at each step of the chunk."""
    found = await workers.range(query, steps.time(chunk.start), steps.time(chunk.stop - 1), steps.step)
    return found if isinstance(found, Failure) else _by_step(found, steps, chunk)


def _by_step(found: Matrix, steps: Steps, chunk: range) -> Sequence[Sequence[Row]]:
    rows: list[list[Row]] = [[] for _ in chunk]
    begin = steps.time(chunk.start)
    for series in found.series:
        for seconds, value in series.values:
            place = (round(seconds * 1000) - begin) // steps.step
            if 0 <= place < len(rows):
                rows[place].append((series.metric, float(value)))
    return rows


async def replay_preset(
    reader: PresetReader, workers: Workers, keys: Mapping[Question, Key], steps: Steps, scrape_interval: timedelta
) -> Mapping[Question, Sequence[Answer]]:
    """Answer the questions of one preset at every step."""
    backends, limits, preset = frozenset(keys.values()), reader.limits(keys), reader.preset
    learnt = await reader.learn(backends, steps.time(len(steps.at) - 1)) if limits else None
    queries = _queries(reader, backends, limits, Reach(steps.step, _LOOKBACK_MS))
    answers: dict[Question, list[Answer]] = {question: [] for question in keys}
    broken: Failure | None = None
    for chunk in steps.chunks(len(backends) * _ROWS_EACH):
        tables: list[Sequence[Sequence[Row]]] = []
        for query in queries:
            # What failed once would most likely fail for each chunk in turn, a time-out each.
            found = broken or await table(workers, query, steps, chunk)
            if isinstance(found, Failure):
                broken = found
            else:
                tables.append(found)
        for place in chunk:
            ended = read_ended(preset, tables[0][place - chunk.start]) if broken is None else {}
            within = read_buckets(preset, tables[1][place - chunk.start]) if broken is None and queries[1:] else {}
            evaluated = steps.time(place) / 1000
            tick = Tick(
                preset=preset,
                at=steps.at[place],
                evaluated=evaluated,
                scrape_interval=scrape_interval,
                health=broken or Health(dict.fromkeys([*ended, *within], evaluated)),
                ended=ended,
                within=learnt if learnt is not None and reader.bounds is None else within,
                bounds=reader.bounds,
            )
            for question, key in keys.items():
                answers[question].append(tick.answer(question, key))
            await asyncio.sleep(0)  # a long replay must not hold up the loop that guards the other rollouts
    return answers


def _queries(reader: PresetReader, backends: frozenset[Key], limits: frozenset[float], reach: Reach) -> Sequence[str]:
    """Return the query for requests and, where a latency is asked and bounds are known, the one for buckets."""
    queries = [requests_query(reader.preset, backends, reach)]
    spelt, histogram = reader.spelt(limits), reader.preset.histogram
    if histogram is not None and spelt:
        queries.append(buckets_query(reader.preset, histogram, backends, spelt, reach))
    return queries


def _row(rows: Sequence[Sequence[Row]] | Failure, place: int) -> Sequence[Row] | Failure:
    return rows if isinstance(rows, Failure) else rows[place]


async def replay_named(
    workers: Workers, query: str, asked: Mapping[Question, NamedTemplate], steps: Steps
) -> Mapping[Question, Sequence[Answer]]:
    """Answer the questions that share one named query at every step."""
    answers: dict[Question, list[Answer]] = {question: [] for question in asked}
    broken: Failure | None = None
    for chunk in steps.chunks(len(asked)):
        found = broken or await table(workers, query, steps, chunk)
        broken = found if isinstance(found, Failure) else None
        for place in chunk:
            rows = _row(found, place - chunk.start)
            for question, template in asked.items():
                answers[question].append(_named_answer(question, template, steps.at[place], rows))
    return answers


def _named_answer(question: Question, template: NamedTemplate, at: datetime, rows: Sequence[Row] | Failure) -> Answer:
    return rows.as_answer(at) if isinstance(rows, Failure) else template.answer(question.subject, at, rows)
