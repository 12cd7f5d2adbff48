"""Implements the port ``MetricSource`` over one Prometheus."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from serinus.api.abort_condition import NamedQuery, TokensPerSecond, Value
from serinus.api.preset_metrics import family
from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, CouldNotAsk, NoData, Question, Subject
from serinus.errors import ConfigurationError
from serinus.metrics.access import Access
from serinus.metrics.health import number
from serinus.metrics.named import missing_query, parse_named
from serinus.metrics.presets import PRESETS, Key, preset_problem
from serinus.metrics.reader import PresetReader, Span, display_window
from serinus.metrics.replay import Steps, replay_named, replay_preset
from serinus.metrics.scrape_delay import ScrapeDelay
from serinus.metrics.speed import SpeedTemplate, Template
from serinus.metrics.transport import Transport
from serinus.metrics.workers import Failure, OnQuery, Workers
from serinus.source_settings import SourceSettings, TlsSettings

_LEAST_TICK: Final = timedelta(seconds=1)


class PrometheusSource:
    """One Prometheus, named by the administrator; implements :class:`serinus.ports.services.MetricSource`.

    Its only state is the cached bucket bounds, the scrape delay and the last outage, so a restart changes no count.
    ``close`` it when done: it owns threads and connections.
    """

    def __init__(
        self, name: str, settings: SourceSettings, *, on_query: OnQuery = lambda _outcome, _seconds: None
    ) -> None:
        """Prepare; nothing is sent. ``on_query``: see Workers.

        Raises:
            ConfigurationError: the settings cannot work; the message names the field.
        """
        timeout = settings.timeout.seconds
        if timeout <= 0 or settings.scrape_interval.seconds <= 0:
            raise ConfigurationError(f"sources.{name}: timeout and scrapeInterval must be longer than 0s")
        self._name, self._interval = name, settings.scrape_interval.value
        self._templates = {key: parse_named(name, key, query) for key, query in settings.queries.items()}
        try:
            transport = Transport(settings.url, timeout, _access(settings))
        except ConfigurationError as problem:
            raise ConfigurationError(f"sources.{name}: {problem}") from problem
        self._workers = Workers(transport, timeout, name, on_query)
        self._readers: dict[tuple[str, str], PresetReader] = {}
        self._speeds = {
            key: SpeedTemplate(preset, preset.speed, display_window(self._interval))
            for key, preset in PRESETS.items()
            if preset.speed is not None
        }
        self._scrape_delay = ScrapeDelay(self._interval)
        self._asked: _Asked | None = None

    def close(self) -> None:
        """Wait for running queries, at most about twice the time-out, and release threads and connections."""
        self._workers.close()

    @property
    def scrape_interval(self) -> timedelta:
        """How often the targets are scraped."""
        return self._interval

    @property
    def tick(self) -> timedelta:
        """Interval between two calls of ``ask``: a third of the scrape interval, at least 1 s."""
        return max(_LEAST_TICK, self._interval / 3)

    def problem_with(self, question: Question) -> str:
        """Return why this question can never be answered; empty where it can."""
        if isinstance(question.metric, NamedQuery):
            return missing_query(self._name, question.metric, self._templates)
        return preset_problem(question.preset, question.subject.backend, question.metric)

    async def ask(self, questions: Collection[Question], at: datetime, since: datetime) -> Mapping[Question, Answer]:
        """Answer every question for the time between two ticks, in a constant number of queries.

        Queries are evaluated slightly before ``at`` (see :mod:`serinus.metrics.scrape_delay`); the next call with
        ``since`` equal to this ``at`` continues exactly there. The series of named queries are not checked for
        freshness; the query has to do that itself.

        Never raises: a source that is down answers every question with CouldNotAsk.
        """
        span = Span(at, *self._scrape_delay.span(at, since))
        asked = self._sorted(questions, at)
        answers: dict[Question, Answer] = {
            question: replace(answer, at=at) for question, answer in asked.unanswerable.items()
        }
        batches = await asyncio.gather(
            *(self._reader(reading, keys).read(keys, span) for reading, keys in asked.by_reading.items()),
            *(self._ask_named(query, templates, span) for query, templates in asked.by_query.items()),
        )
        for batch in batches:
            answers.update(batch)
        self._scrape_delay.update([reader.scrape_seconds for reader in self._readers.values()])
        return answers

    def _sorted(self, questions: Collection[Question], at: datetime) -> "_Asked":
        """Sort questions by how they are answered, in their order: mostly they are those of the tick before."""
        together = frozenset(questions)
        if self._asked is None or self._asked.questions != together:
            unanswerable = self._unanswerable(questions, at)
            answerable = [question for question in questions if question not in unanswerable]
            self._asked = _Asked(together, unanswerable, _by_reading(answerable), self._by_query(answerable))
        return self._asked

    def _reader(self, reading: "_Reading", keys: Mapping[Question, Key]) -> PresetReader:
        """Return the reader of the series that these questions are about; it is kept, as it knows the last ticks."""
        reader = self._readers.get(reading)
        if reader is None:
            preset = PRESETS[reading.preset].reading(next(iter(keys)).metric)
            reader = self._readers[reading] = PresetReader(preset, self._workers, self._interval)
        return reader

    async def replay(
        self, questions: Collection[Question], start: datetime, end: datetime, step: timedelta
    ) -> Mapping[Question, Sequence[Answer]]:
        """Answer as ``ask`` would have at every whole step after ``start`` up to ``end``, in order.

        Continue with an ``ask`` since the last answer's ``at``. Differences from ``ask``, none of which changes a
        count: there is no display; staleness is not checked, so a step without new samples is one without requests,
        and a step without response series is NoSeries even where the backend has simply not been called yet; unequal
        bucket bounds are detected only where no series has a needed one. A failure ends the replay and answers all
        later steps. Memory grows with questions times steps: replay many rollouts in groups.

        Raises:
            ValueError: the step is shorter than a millisecond.
        """
        if step < timedelta(milliseconds=1):
            raise ValueError(f"a replay needs a step of at least 1ms, not {step}")
        steps = Steps.between(start, end, step, self._scrape_delay.start(start))
        if steps.at:
            self._scrape_delay.record(steps.at[-1], steps.time(len(steps.at) - 1))
        fixed = self._unanswerable(questions, end)
        answers: dict[Question, Sequence[Answer]] = {
            question: [replace(fixed[question], at=at) for at in steps.at] if question in fixed else []
            for question in questions
        }
        open_questions = [question for question in questions if question not in fixed] if steps.at else []
        for reading, keys in _by_reading(open_questions).items():
            answers.update(await self._replay_reading(reading, keys, steps))
        for query, templates in self._by_query(open_questions).items():
            answers.update(await replay_named(self._workers, query, templates, steps))
        return answers

    async def _replay_reading(
        self, reading: "_Reading", keys: Mapping[Question, Key], steps: Steps
    ) -> Mapping[Question, Sequence[Answer]]:
        return await replay_preset(self._reader(reading, keys), self._workers, keys, steps, self._interval)

    async def _ask_named(
        self, query: str, templates: Mapping[Question, Template], span: Span
    ) -> Mapping[Question, Answer]:
        result = await self._workers.instant(query, span.end)
        if isinstance(result, Failure):
            return dict.fromkeys(templates, result.as_answer(span.at))
        rows = [(sample.metric, number(sample)) for sample in result.samples]
        return {question: template.answer(question.subject, span.at, rows) for question, template in templates.items()}

    def _by_query(self, questions: Collection[Question]) -> Mapping[str, Mapping[Question, Template]]:
        by_query: dict[str, dict[Question, Template]] = defaultdict(dict)
        for question in questions:
            template = self._template(question)
            if template is not None:
                by_query[template.promql(question.subject)][question] = template
        return by_query

    def _template(self, question: Question) -> Template | None:
        """Return how a value is asked for; None where requests are counted."""
        match question.metric:
            case NamedQuery(name):
                return self._templates[name]
            case TokensPerSecond():
                return self._speeds[question.preset]
            case _:
                return None

    def _unanswerable(self, questions: Collection[Question], at: datetime) -> dict[Question, CouldNotAsk | NoData]:
        """Return the answers that need no query: invalid questions, and versions that share their series."""
        answers: dict[Question, CouldNotAsk | NoData] = {}
        versions: dict[tuple[str, ...], set[str]] = defaultdict(set)
        series: dict[Question, tuple[str, ...]] = {}
        for question in questions:
            problem = self.problem_with(question)
            if problem:
                answers[question] = CouldNotAsk(at=at, cause=Cause.QUERY_INVALID, message=problem)
                continue
            series[question] = self._series(question)
            versions[series[question]].add(question.subject.version)
        for question, identity in series.items():
            if len(versions[identity]) > 1:
                answers[question] = _indistinguishable(question, versions[identity], at)
        return answers

    def _series(self, question: Question) -> tuple[str, ...]:
        subject = question.subject
        model = (subject.namespace, subject.model)
        template = self._template(question)
        if template is not None:
            name = question.metric.name if isinstance(question.metric, NamedQuery) else question.preset
            return (*model, name, template.series_of(subject))
        return (*model, question.preset, *_key(question.preset, subject))


class _Reading(NamedTuple):
    """Which series are read of a preset: those of responses, or those of a metric of their own, by its family."""

    preset: str
    family: str


class _Asked(NamedTuple):
    """Questions, those that need no query with their answers, and the others by what is queried for them."""

    questions: frozenset[Question]
    unanswerable: Mapping[Question, CouldNotAsk | NoData]
    by_reading: Mapping[_Reading, Mapping[Question, Key]]
    by_query: Mapping[str, Mapping[Question, Template]]


def _by_reading(questions: Collection[Question]) -> Mapping[_Reading, Mapping[Question, Key]]:
    by_reading: dict[_Reading, dict[Question, Key]] = defaultdict(dict)
    for question in questions:
        if not isinstance(question.metric, Value):
            by_reading[_reading(question)][question] = _key(question.preset, question.subject)
    return by_reading


def _reading(question: Question) -> _Reading:
    preset = PRESETS[question.preset]
    return _Reading(question.preset, "" if preset.reading(question.metric) is preset else family(question.metric))


@lru_cache(maxsize=2**14)
def _key(preset: str, subject: Subject) -> Key:
    """Return the key of a version's backend; remembered, as each tick asks about the same ones."""
    return PRESETS[preset].key(subject.namespace, subject.backend)


def _indistinguishable(question: Question, versions: Collection[str], at: datetime) -> NoData:
    both = " and ".join(sorted(versions))
    return NoData(
        at=at,
        cause=Cause.AMBIGUOUS,
        message=f"versions {both} of {question.subject.model} have the same series: give each its own backend, "
        "or a query that tells them apart",
    )


def _access(settings: SourceSettings) -> Access:
    basic, tls = settings.basic_auth, settings.tls or TlsSettings()
    return Access(
        token=_path(settings.bearer_token_file),
        user=basic.username if basic else None,
        password=Path(basic.password_file) if basic else None,
        authorities=_path(tls.ca_file),
        certificate=_path(tls.cert_file),
        key=_path(tls.key_file),
    )


def _path(name: str | None) -> Path | None:
    return Path(name) if name else None
