"""The port ``MetricSource`` over a script: requests flow evenly, a version's quality is a function of time."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from serinus.api.verdict import Cause
from serinus.engine.analysis.measurements import Answer, Batch, CouldNotAsk, Counted, Question
from serinus.reconcile.rollouts.analysis_tracker import AnalysisTracker

Quality = Callable[[Question, datetime], float]
"""The share of bad requests in the tick that ends then."""


@dataclass(frozen=True, slots=True)
class Asked:
    """One call of ``ask`` or ``replay``."""

    questions: frozenset[Question]
    end: datetime
    start: datetime


class FakeSource:
    """Answers what its script says, and remembers what it was asked.

    Attributes:
        rate: requests a second to all versions of a model together.
        share: the part of them that a question's backend gets, 0 to 1.
        bad: by version, the share of bad requests, or a function of the question and the time.
        down: whether a question gets no answer; ``everything`` and ``nothing`` are the usual ones.
        problem: what ``problem_with`` says.
        latency: seconds that a question takes.
    """

    def __init__(self, *, rate: float = 50.0, scrape: timedelta = timedelta(seconds=15)) -> None:
        self.rate = rate
        self.share: Callable[[Question], float] = lambda _: 1.0
        self.bad: dict[str, float | Quality] = {}
        self.down: Callable[[Question], bool] = nothing
        self.problem: Callable[[Question], str] = lambda _: ""
        self.latency = 0.0
        self.asks: list[Asked] = []
        self.replays: list[Asked] = []
        self._scrape = scrape

    @property
    def scrape_interval(self) -> timedelta:
        return self._scrape

    @property
    def tick(self) -> timedelta:
        return max(timedelta(seconds=1), self._scrape / 3)

    def problem_with(self, question: Question) -> str:
        return self.problem(question)

    async def ask(self, questions: Collection[Question], at: datetime, since: datetime) -> Mapping[Question, Answer]:
        self.asks.append(Asked(frozenset(questions), at, since))
        await asyncio.sleep(self.latency)
        return {question: self._answer(question, at, since) for question in questions}

    async def replay(
        self, questions: Collection[Question], start: datetime, end: datetime, step: timedelta
    ) -> Mapping[Question, Sequence[Answer]]:
        self.replays.append(Asked(frozenset(questions), end, start))
        await asyncio.sleep(0)
        times = [start + step * place for place in range(1, (end - start) // step + 1)]
        return {question: [self._answer(question, at, at - step) for at in times] for question in questions}

    def _answer(self, question: Question, at: datetime, since: datetime) -> Answer:
        if self.down(question):
            return CouldNotAsk(at=at, cause=Cause.PROVIDER_DOWN, message="no answer in 5s")
        quality = self.bad.get(question.subject.version, 0.0)
        proportion = quality if isinstance(quality, float) else quality(question, at)
        requests = round(self.rate * self.share(question) * (at - since).total_seconds())
        bad = float(round(requests * proportion))
        return Counted(at=at, batch=Batch(float(requests), bad, bad, bad), display=proportion)


def everything(_question: Question) -> bool:
    return True


def nothing(_question: Question) -> bool:
    return False


async def tick_and_catch_up(tracker: AnalysisTracker, at: datetime) -> None:
    """Tick as the controller does, and wait until every past that is due has been read."""
    await tracker.tick("default", at)
    while await tracker.catch_up("default") is not None:
        pass
