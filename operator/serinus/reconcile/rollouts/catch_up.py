"""Reads the past of stages that this process has not followed from their beginning, as after a restart.

The stages are read in groups of the same hour, so that the age of one decides neither the step nor the time-out of
another. A group that fails goes to the back, and waits for longer each time.
"""

import asyncio
from collections import Counter
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from serinus.api.names import ObjectKey
from serinus.engine.analysis.measurements import Answer, CouldNotAsk, Question, is_down
from serinus.ports.services import MetricSource
from serinus.reconcile.rollouts.stage_analysis import Pair, StageAnalysis
from serinus.reconcile.rollouts.stage_answers import (
    Folded,
    Step,
    begun,
    fold,
    past_steps,
    with_past,
)

MAX_STEPS: Final = 720
"""A past has at most this many steps: the assessment is valid for any batches, so a long stage has longer ones."""

MAX_READ: Final = 100
"""The past of so many stages is read at once. Bounds memory after a restart."""

_GROUP: Final = timedelta(hours=1)
"""Stages that began within the same hour are read together."""

_LONGEST_WAIT: Final = 64
"""Ticks between two attempts at most."""

Answers = Mapping[Question, Sequence[Answer]]


class CatchUp:
    """Reads what the analyses miss, some at a time."""

    def __init__(self, analyses: MutableMapping[ObjectKey, StageAnalysis], sources: Mapping[str, MetricSource]) -> None:
        """Update these analyses, which others may replace meanwhile."""
        self._analyses = analyses
        self._sources = sources
        self._rounds: Counter[str] = Counter()
        self._in_flight: set[ObjectKey] = set()
        self._due: dict[ObjectKey, int] = {}

    def next_round(self, source: str) -> None:
        """Count a tick: what has failed before waits for some of them."""
        self._rounds[source] += 1
        self._due = {key: due for key, due in self._due.items() if key in self._analyses}

    async def some(self, source: str) -> Mapping[ObjectKey, bool] | None:
        """Read the past of one group; return each Rollout with whether it is urgent, None where nothing is due."""
        group = self._group(source)
        if not group:
            return None
        self._in_flight |= group.keys()
        try:
            await self._read(source, group)
        except Exception as problem:
            # A source answers failures as values; whatever else happens must not keep the others from being read.
            for key in group.keys() & self._analyses.keys():
                self._failed(source, key, type(problem).__name__)
            raise
        finally:
            self._in_flight -= group.keys()
        return {key: self._analyses[key].breached for key in group if key in self._analyses}

    def _group(self, source: str) -> dict[ObjectKey, StageAnalysis]:
        """Return the stages of one hour whose past is due, those that have failed least often first."""
        due = [
            (key, analysis)
            for key, analysis in self._analyses.items()
            if analysis.source == source
            and not analysis.caught_up
            and key not in self._in_flight
            and self._due.get(key, 0) <= self._rounds[source]
        ]
        if not due:
            return {}
        first = _kind(min(due, key=lambda item: item[1].failures)[1])
        return dict([(key, analysis) for key, analysis in due if _kind(analysis) == first][:MAX_READ])

    async def _read(self, source: str, group: Mapping[ObjectKey, StageAnalysis]) -> None:
        step, past = await self._past(group.values(), source)
        read: dict[ObjectKey, StageAnalysis] = {}
        for key, analysis in group.items():
            failed = next((one for question in analysis.questions for one in past[question] if is_down(one)), None)
            if not isinstance(failed, CouldNotAsk):
                read[key] = analysis
            elif self._same(key, analysis) is not None:
                self._failed(source, key, failed.message)
        await self._judge(read, past, step - self._sources[source].tick)

    async def _judge(self, read: Mapping[ObjectKey, StageAnalysis], past: Answers, reach: timedelta) -> None:
        """Judge the past of stages, then the answers of the ticks since; the ticks go on meanwhile."""
        folded = {key: begun(analysis) for key, analysis in read.items()}
        steps = {key: past_steps(analysis, past, reach) for key, analysis in read.items()}
        for number in range(max(map(len, steps.values()), default=0)):
            answers = {key: row for key, rows in steps.items() if (row := rows[number]) is not None}
            await _fold(folded, read, answers)
        judged = dict.fromkeys(read, 0)
        while current := {key: same for key, one in read.items() if (same := self._same(key, one)) is not None}:
            live = {key: one.live[judged[key]] for key, one in current.items() if len(one.live) > judged[key]}
            if not live:
                break
            await _fold(folded, read, live)
            for key in live:
                judged[key] += 1
        for key, analysis in current.items():
            self._analyses[key] = with_past(analysis, folded[key])

    def _same(self, key: ObjectKey, read: StageAnalysis) -> StageAnalysis | None:
        """Return the analysis as it is now; None where what was read is not its past any more."""
        current = self._analyses.get(key)
        if current is None or (current.stage, current.terms) != (read.stage, read.terms):
            return None
        return current if current.unread_until == read.unread_until else None

    def _failed(self, source: str, key: ObjectKey, problem: str) -> None:
        """Let the next attempt wait. The live answers count on."""
        analysis = self._analyses[key]
        self._due[key] = self._rounds[source] + min(2**analysis.failures, _LONGEST_WAIT)
        self._analyses[key] = replace(analysis, failures=analysis.failures + 1, problem=problem)

    async def _past(self, analyses: Collection[StageAnalysis], source: str) -> tuple[timedelta, Answers]:
        """Return the step, and the answers of the time before the live ones."""
        step = self._sources[source].tick
        began = min(analysis.began for analysis in analyses)
        # Only stages with an unread past are read, those of a group up to the same time.
        end = max(analysis.unread_until or began for analysis in analyses)
        length = max(end - began, timedelta(0))
        step *= max(1, -(-length // (step * MAX_STEPS)))
        start = end - step * max(1, -(-length // step))
        questions = {question for analysis in analyses for question in analysis.questions}
        return step, await self._sources[source].replay(questions, start, end, step)


async def _fold(
    folded: dict[ObjectKey, Folded],
    analyses: Mapping[ObjectKey, StageAnalysis],
    answers: Mapping[ObjectKey, Sequence[Pair]],
) -> None:
    """Fold one step of several stages, and let the event loop do something else."""
    after = fold([Step(analyses[key], folded[key], row) for key, row in answers.items()])
    folded.update(zip(answers, after, strict=True))
    await asyncio.sleep(0)


def _kind(analysis: StageAnalysis) -> tuple[int, datetime | None, int]:
    """What the stages that are read together have in common: how often they failed, up to when, and the hour."""
    hour = int(analysis.began.timestamp() // _GROUP.total_seconds())
    return analysis.failures, analysis.unread_until, hour
