"""The port ``MetricSource`` over the simulated requests: a Prometheus that may be down, slow, partial or empty."""

import asyncio
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from serinus.api.abort_condition import Latency
from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Batch, CouldNotAsk, Counted, NoData, Question
from support.soak.facts import Trouble
from support.soak.faults import Weather
from support.soak.traffic import SCRAPE, Traffic
from support.virtual_loop import START

LOOKBACK: Final = 300.0
"""Seconds for which Prometheus takes the last sample of a series for the present one."""

TIMEOUT: Final = 5.0
"""Seconds after which a query is given up."""


class SoakSource:
    """Prometheus as the operator asks it; its own clock is never set."""

    def __init__(self, traffic: Traffic, weather: Weather, rng: np.random.Generator) -> None:
        self._traffic, self._weather, self._rng = traffic, weather, rng

    @property
    def scrape_interval(self) -> timedelta:
        return timedelta(seconds=SCRAPE)

    @property
    def tick(self) -> timedelta:
        return timedelta(seconds=SCRAPE / 3)

    def problem_with(self, question: Question) -> str:  # noqa: ARG002 - the port's
        return ""

    async def ask(self, questions: Collection[Question], at: datetime, since: datetime) -> Mapping[Question, Answer]:
        if await self._unanswered():
            return {question: _no_answer(at) for question in questions}
        return {question: self._answer(question, at, since) for question in sorted(questions, key=repr)}

    async def replay(
        self, questions: Collection[Question], start: datetime, end: datetime, step: timedelta
    ) -> Mapping[Question, Sequence[Answer]]:
        times = [start + step * place for place in range(1, (end - start) // step + 1)]
        if await self._unanswered():
            return {question: [_no_answer(at) for at in times] for question in questions}
        return {
            question: [self._answer(question, at, at - step) for at in times]
            for question in sorted(questions, key=repr)
        }

    async def _unanswered(self) -> bool:
        """Wait as long as the query takes, and return whether it came to nothing."""
        if self._weather.is_on(Trouble.METRICS_DOWN):
            await asyncio.sleep(TIMEOUT if self._rng.random() < 1 / 2 else 0.01)
            return True
        if self._weather.is_on(Trouble.METRICS_SLOW):
            wait = float(self._rng.uniform(0, 1.5 * TIMEOUT))
            await asyncio.sleep(min(wait, TIMEOUT))
            return wait > TIMEOUT
        await asyncio.sleep(0.01)
        return False

    def _answer(self, question: Question, at: datetime, since: datetime) -> Answer:
        if self._weather.is_on(Trouble.METRICS_PARTIAL) and self._rng.random() < 1 / 2:
            return _no_answer(at)
        subject = question.subject
        asked = (at - START).total_seconds()
        if asked >= self._weather.began(Trouble.NO_DATA):
            return NoData(at=at, cause=Cause.NO_SERIES, message="no series")
        last, after = self._traffic.visible(subject.model, subject.version, asked)
        if asked - last > LOOKBACK:
            return NoData(at=at, cause=Cause.STALE, message="the last sample is older than five minutes")
        begun, before = self._traffic.visible(subject.model, subject.version, (since - START).total_seconds())
        requests, errors, slow = (float(count) for count in np.maximum(after - before, 0))
        bad = slow if isinstance(question.metric, Latency) else errors
        shown = bad / requests if requests else None
        start = START + timedelta(seconds=max(begun, 0.0))
        return Counted(at=at, batch=Batch(requests, bad, bad, bad), display=shown, begun=start)


def _no_answer(at: datetime) -> CouldNotAsk:
    return CouldNotAsk(at=at, cause=Cause.PROVIDER_DOWN, message="no answer in 5s")
