"""Reads a recording from a Prometheus with the operator's own presets and range queries."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from serinus.api.abort_condition import AbortCondition
from serinus.api.modelversion import BackendRef
from serinus.api.quantities import Duration
from serinus.api.rollout import MetricsRef
from serinus.cli.simulate.recording import KIND, MOST_TICKS, Header, Recording
from serinus.engine.analysis.measurements import Answer, Question, Subject, is_down
from serinus.engine.simulation.plan import Key, key_of
from serinus.engine.simulation.replay import RecordedTick
from serinus.errors import ConfigurationError, TransientError
from serinus.metrics import PrometheusSource
from serinus.source_settings import SourceSettings

_LONGEST: Final = timedelta(minutes=5)
"""After so long the whole reading is given up."""

_TIMEOUT: Final = Duration("30s")
"""Of one query."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where the figures are.

    Attributes:
        url: of the Prometheus.
        scrape_interval: how often it scrapes.
        namespace: of the backends.
        model: the model's name.
        candidate: the version on trial, and its backend.
        stable: the version beside it; None where only the candidate is known.
    """

    url: str
    scrape_interval: timedelta
    namespace: str
    model: str
    candidate: tuple[str, BackendRef]
    stable: tuple[str, BackendRef] | None


async def read_prometheus(
    place: Place,
    metrics: MetricsRef,
    conditions: Mapping[AbortCondition, bool],
    period: tuple[datetime, datetime],
) -> Recording:
    """Return the answers to these conditions at every tick of a period.

    Args:
        place: where they are.
        metrics: the preset.
        conditions: what is asked, each with whether somebody wrote it; a guard that the preset cannot answer is left
            out.
        period: the beginning of the first stage, and the end.

    Raises:
        ConfigurationError: the period is too long, or the preset cannot answer a condition.
        TransientError: Prometheus did not answer.
    """
    settings = SourceSettings(url=place.url, scrape_interval=Duration.of(place.scrape_interval), timeout=_TIMEOUT)
    source = PrometheusSource(metrics.source, settings)
    begin, end = period
    if not timedelta(0) < end - begin <= MOST_TICKS // 2 * source.tick:
        raise ConfigurationError(
            f"--from {begin:%Y-%m-%dT%H:%M:%SZ} --to {end:%Y-%m-%dT%H:%M:%SZ}: --to must be later, and there must be "
            f"at most {MOST_TICKS // 2:,} ticks of {source.tick.total_seconds():g}s between them"
        )
    try:
        asked = _asked(place, metrics, conditions, source)
        questions = {question for pair in asked.values() for question in pair if question is not None}
        async with asyncio.timeout(_LONGEST.total_seconds()):
            found = await source.replay(questions, begin, end, source.tick)
    except TimeoutError as problem:
        raise TransientError(f"{place.url} did not answer within {_LONGEST}: choose a shorter period") from problem
    finally:
        source.close()
    header = Header(
        kind=KIND,
        model=place.model,
        version=place.candidate[0],
        began=begin,
        scrape_interval=str(settings.scrape_interval),
    )
    return Recording(header, _ticks(place, asked, found))


_Pairs = Mapping[Key, tuple[Question, Question | None]]


def _asked(
    place: Place, metrics: MetricsRef, conditions: Mapping[AbortCondition, bool], source: PrometheusSource
) -> _Pairs:
    found: dict[Key, tuple[Question, Question | None]] = {}
    for condition, written in conditions.items():
        metric, limit = key_of(condition)
        pair = tuple(Question(metrics.source, metrics.preset, subject, metric, limit) for subject in _subjects(place))
        problem = source.problem_with(pair[0])
        if problem and written:
            raise ConfigurationError(f"{condition.text}: {problem}")
        if not problem:
            found[metric, limit] = (pair[0], pair[1] if len(pair) > 1 else None)
    return found


def _subjects(place: Place) -> list[Subject]:
    both = [place.candidate, *([place.stable] if place.stable is not None else [])]
    return [Subject(place.namespace, place.model, version, backend) for version, backend in both]


def _ticks(place: Place, asked: _Pairs, found: Mapping[Question, Sequence[Answer]]) -> tuple[RecordedTick, ...]:
    for answers in found.values():
        failure = next((one for one in answers if is_down(one)), None)
        if failure is not None:
            raise TransientError(f"{place.url}: {getattr(failure, 'message', 'no answer')}")
    columns = {
        key: list(zip(found[mine], found[theirs] if theirs is not None else [None] * len(found[mine]), strict=True))
        for key, (mine, theirs) in asked.items()
    }
    length = min((len(column) for column in columns.values()), default=0)
    ticks = [{key: column[number] for key, column in columns.items()} for number in range(length)]
    return tuple(RecordedTick(next(iter(answers.values()))[0].at, answers) for answers in ticks)
