"""The port ``MetricSource`` over one Prometheus."""

import asyncio
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from serinus.api.abort_condition import NamedQuery
from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, CouldNotAsk, NoData, Question
from serinus.errors import ConfigurationError
from serinus.metrics.answers import number
from serinus.metrics.named import NamedTemplate, parse_named
from serinus.metrics.presets import PRESETS, Key
from serinus.metrics.reader import PresetReader, Span
from serinus.metrics.replay import Steps, replay_named, replay_preset
from serinus.metrics.scrape_delay import ScrapeDelay
from serinus.metrics.transport import Transport
from serinus.metrics.workers import Failure, Workers
from serinus.settings import SourceSettings

_LEAST_TICK: Final = timedelta(seconds=1)


class PrometheusSource:
    """One Prometheus, named by the administrator; implements :class:`serinus.ports.services.MetricSource`.

    It remembers nothing that an answer depends on but the bucket bounds and how long scrapes take, so a restart changes
    no figure. ``close`` it when done: it has threads and connections.
    """

    def __init__(self, name: str, settings: SourceSettings) -> None:
        """Prepare; nothing is sent.

        Raises:
            ConfigurationError: the settings cannot work; the sentence names the field.
        """
        timeout = settings.timeout.seconds
        if timeout <= 0 or settings.scrape_interval.seconds <= 0:
            raise ConfigurationError(f"sources.{name}: timeout and scrapeInterval must be longer than 0s")
        self._name, self._interval = name, settings.scrape_interval.value
        self._templates = {key: parse_named(name, key, query) for key, query in settings.queries.items()}
        token = Path(settings.bearer_token_file) if settings.bearer_token_file else None
        try:
            transport = Transport(settings.url, timeout, token)
        except ConfigurationError as problem:
            raise ConfigurationError(f"sources.{name}: {problem}") from problem
        self._workers = Workers(transport, timeout, name)
        self._readers = {key: PresetReader(preset, self._workers, self._interval) for key, preset in PRESETS.items()}
        self._settle = ScrapeDelay(self._interval)

    def close(self) -> None:
        """Let running queries end, at most about twice the time-out, and give threads and connections back."""
        self._workers.close()

    @property
    def scrape_interval(self) -> timedelta:
        """How often the targets are scraped."""
        return self._interval

    @property
    def tick(self) -> timedelta:
        """How often to ask: a third of the scrape interval, at least 1 s."""
        return max(_LEAST_TICK, self._interval / 3)

    def problem_with(self, question: Question) -> str:
        """Say why this can never be answered; empty where it can."""
        if isinstance(question.metric, NamedQuery):
            if question.metric.name in self._templates:
                return ""
            known = ", ".join(sorted(self._templates)) or "none"
            return (
                f"source {self._name} has no query {question.metric.name} (it has: {known}): correct abortOn, "
                f"or let the administrator add sources.{self._name}.queries.{question.metric.name}"
            )
        preset = PRESETS.get(question.preset)
        if preset is None:
            return f"there is no preset {question.preset}: set metrics.preset to one of {', '.join(sorted(PRESETS))}"
        return preset.problem_with(question.subject.backend, question.metric)

    async def ask(self, questions: Collection[Question], at: datetime, since: datetime) -> Mapping[Question, Answer]:
        """Answer every question for the time between two ticks, in a few queries whatever their number.

        Prometheus is asked about a moment slightly before ``at`` (see :mod:`serinus.metrics.scrape_delay`); the next
        ask with ``since`` equal to this ``at`` goes on exactly there. Whether a named query's series is fresh,
        only the query itself can say.

        Never raises: a source that is down answers CouldNotAsk to all.
        """
        span = Span(at, *self._settle.span(at, since))
        answers: dict[Question, Answer] = self._refused(questions, at)
        open_questions = [question for question in questions if question not in answers]
        batches = await asyncio.gather(
            *(self._readers[preset].read(keys, span) for preset, keys in _by_preset(open_questions).items()),
            *(self._ask_named(query, asked, span) for query, asked in self._by_query(open_questions).items()),
        )
        for batch in batches:
            answers.update(batch)
        self._settle.learn([reader.scrape_seconds for reader in self._readers.values()])
        return answers

    async def replay(
        self, questions: Collection[Question], start: datetime, end: datetime, step: timedelta
    ) -> Mapping[Question, Sequence[Answer]]:
        """Answer as ``ask`` would have at every whole step after ``start`` up to ``end``, in order.

        Go on with an ``ask`` since the last answer's ``at``. What differs from ``ask``: there is no display; whether a
        sample was stale is not looked up, so a step without new samples is one without requests, and a step without
        any series of responses is NoSeries even where the backend had only not been called yet; unequal bucket bounds
        show only where a needed one is missing altogether. None of that changes a count. A failure ends the replay:
        all later steps are answered by it. Memory grows with questions times steps: replay many rollouts in groups.

        Raises:
            ValueError: the step is shorter than a millisecond.
        """
        if step < timedelta(milliseconds=1):
            raise ValueError(f"a replay needs a step of at least 1ms, not {step}")
        steps = Steps.between(start, end, step, self._settle.begin(start))
        if steps.at:
            self._settle.note(steps.at[-1], steps.time(len(steps.at) - 1))
        fixed = self._refused(questions, end)
        answers: dict[Question, Sequence[Answer]] = {
            question: [_again(fixed[question], at) for at in steps.at] if question in fixed else []
            for question in questions
        }
        open_questions = [question for question in questions if question not in fixed] if steps.at else []
        for preset, keys in _by_preset(open_questions).items():
            answers.update(await replay_preset(self._readers[preset], self._workers, keys, steps, self._interval))
        for query, asked in self._by_query(open_questions).items():
            answers.update(await replay_named(self._workers, query, asked, steps))
        return answers

    async def _ask_named(
        self, query: str, asked: Mapping[Question, NamedTemplate], span: Span
    ) -> Mapping[Question, Answer]:
        found = await self._workers.instant(query, span.end)
        if isinstance(found, Failure):
            return dict.fromkeys(asked, found.as_answer(span.at))
        rows = [(sample.metric, number(sample)) for sample in found.samples]
        return {question: template.answer(question.subject, span.at, rows) for question, template in asked.items()}

    def _by_query(self, questions: Collection[Question]) -> Mapping[str, Mapping[Question, NamedTemplate]]:
        found: dict[str, dict[Question, NamedTemplate]] = defaultdict(dict)
        for question in questions:
            if isinstance(question.metric, NamedQuery):
                template = self._templates[question.metric.name]
                found[template.promql(question.subject)][question] = template
        return found

    def _refused(self, questions: Collection[Question], at: datetime) -> dict[Question, Answer]:
        """Answer what needs no asking: what can never be answered, and what cannot be told apart."""
        answers: dict[Question, Answer] = {}
        versions: dict[tuple[str, ...], set[str]] = defaultdict(set)
        series: dict[Question, tuple[str, ...]] = {}
        for question in questions:
            problem = self.problem_with(question)
            if problem:
                answers[question] = CouldNotAsk(at=at, cause=Cause.QUERY_INVALID, message=problem)
                continue
            series[question] = self._series(question)
            versions[series[question]].add(question.subject.version)
        for question, read in series.items():
            if len(versions[read]) > 1:
                answers[question] = _not_told_apart(question, versions[read], at)
        return answers

    def _series(self, question: Question) -> tuple[str, ...]:
        subject = question.subject
        about = (subject.namespace, subject.model)
        if isinstance(question.metric, NamedQuery):
            return (*about, question.metric.name, self._templates[question.metric.name].series_of(subject))
        return (*about, question.preset, *PRESETS[question.preset].key(subject.namespace, subject.backend))


def _by_preset(questions: Collection[Question]) -> Mapping[str, Mapping[Question, Key]]:
    found: dict[str, dict[Question, Key]] = defaultdict(dict)
    for question in questions:
        if not isinstance(question.metric, NamedQuery):
            subject = question.subject
            found[question.preset][question] = PRESETS[question.preset].key(subject.namespace, subject.backend)
    return found


def _not_told_apart(question: Question, versions: Collection[str], at: datetime) -> NoData:
    both = " and ".join(sorted(versions))
    return NoData(
        at=at,
        cause=Cause.AMBIGUOUS,
        message=f"versions {both} of {question.subject.model} have the same series: give each its own backend, "
        "or a query that tells them apart",
    )


def _again(answer: Answer, at: datetime) -> Answer:
    match answer:
        case NoData():
            return NoData(at=at, cause=answer.cause, message=answer.message)
        case CouldNotAsk():
            return CouldNotAsk(at=at, cause=answer.cause, message=answer.message)
        case _:
            raise AssertionError("only a refusal is repeated")
