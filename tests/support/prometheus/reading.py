"""Reads a stage's time tick by tick as the operator does, and as a replay; times are seconds of a history."""

from datetime import timedelta
from itertools import pairwise

from serinus.engine.analysis.measurements import Answer, Question
from serinus.metrics import PrometheusSource
from support.prometheus.questions import after


async def by_ticks(
    metrics: PrometheusSource, asked: Question, times: tuple[int, int], *, tick: int, beside: Question | None = None
) -> list[Answer]:
    """Return the answer of each tick between two times; ``beside`` is another question, asked with it."""
    questions = [asked] if beside is None else [asked, beside]
    ticks = pairwise(range(times[0], times[1] + 1, tick))
    return [(await metrics.ask(questions, after(at), after(since)))[asked] for since, at in ticks]


async def by_replay(metrics: PrometheusSource, asked: Question, times: tuple[int, int], *, tick: int) -> list[Answer]:
    """Return the answer of each step of a replay between two times."""
    return list((await metrics.replay([asked], after(times[0]), after(times[1]), timedelta(seconds=tick)))[asked])
