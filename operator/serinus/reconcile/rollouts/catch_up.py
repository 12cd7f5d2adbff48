"""Reads the past of stages that this process has not followed from their beginning, as after a restart.

The stages are read in groups of the same hour, so that the age of one decides neither the step nor the time-out of
another. A group that fails goes to the back, and waits for longer each time.
"""

from collections import Counter
from collections.abc import Collection, Mapping, MutableMapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from serinus.api.names import ObjectKey
from serinus.engine.analysis.measurements import Answer, CouldNotAsk, Question
from serinus.ports.services import MetricSource
from serinus.reconcile.rollouts.stage_analysis import (
    StageAnalysis,
    is_down,
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
        for key, analysis in group.items():
            current = self._analyses.get(key)
            if current is None or (current.stage, current.terms) != (analysis.stage, analysis.terms):
                continue
            if current.unread_until != analysis.unread_until:
                continue
            failed = next((one for question in analysis.questions for one in past[question] if is_down(one)), None)
            if isinstance(failed, CouldNotAsk):
                self._failed(source, key, failed.message)
            else:
                self._analyses[key] = with_past(current, past, step - self._sources[source].tick)

    def _failed(self, source: str, key: ObjectKey, problem: str) -> None:
        """Let the next attempt wait. The live answers count on."""
        analysis = self._analyses[key]
        self._due[key] = self._rounds[source] + min(2**analysis.failures, _LONGEST_WAIT)
        self._analyses[key] = replace(analysis, failures=analysis.failures + 1, problem=problem)

    async def _past(self, analyses: Collection[StageAnalysis], source: str) -> tuple[timedelta, Answers]:
        """Return the step, and the answers of the time before the live ones."""
        step = self._sources[source].tick
        began = min(analysis.stage.since for analysis in analyses)
        # Only stages with an unread past are read, those of a group up to the same time.
        end = max(analysis.unread_until or began for analysis in analyses)
        length = max(end - began, timedelta(0))
        step *= max(1, -(-length // (step * MAX_STEPS)))
        start = end - step * max(1, -(-length // step))
        questions = {question for analysis in analyses for question in analysis.questions}
        return step, await self._sources[source].replay(questions, start, end, step)


def _kind(analysis: StageAnalysis) -> tuple[int, datetime | None, int]:
    """What the stages that are read together have in common: how often they failed, up to when, and the hour."""
    hour = int(analysis.stage.since.timestamp() // _GROUP.total_seconds())
    return analysis.failures, analysis.unread_until, hour
