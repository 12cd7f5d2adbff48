"""Folds the answers of ticks, and of the past, into the analyses of stages, of many at once. Pure."""

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import NamedTuple

from serinus.api.names import ObjectKey
from serinus.engine.analysis.assessment import Progress, update_all
from serinus.engine.analysis.measurements import Answer, Counted, Measured, Question, lost
from serinus.engine.analysis.share import NO_REQUESTS, RequestShare
from serinus.reconcile.rollouts.stage_analysis import Asked, Pair, StageAnalysis


@dataclass(frozen=True, slots=True)
class Folded:
    """What a stage's answers so far amount to: the progress of each condition, and the share of the requests."""

    progress: tuple[Progress, ...]
    share: RequestShare


class Step(NamedTuple):
    """The answers of one tick about a stage, a pair for each condition, and what those before them amount to."""

    analysis: StageAnalysis
    before: Folded
    answers: Sequence[Pair]


def begun(analysis: StageAnalysis) -> Folded:
    """Return what no answers amount to."""
    return Folded(analysis.initial, NO_REQUESTS)


def fold(steps: Sequence[Step]) -> list[Folded]:
    """Fold in one tick's answers for each of these stages, whose evidence is computed together."""
    due: list[tuple[Progress, Answer, Answer | None]] = []
    places: list[list[int | None]] = []
    for step in steps:
        counting: list[int | None] = []
        for one, pair in zip(step.before.progress, step.answers, strict=True):
            counts = _counts(step.analysis, pair[0])
            counting.append(len(due) if counts else None)
            if counts:
                due.append((one, lost(pair) or pair[0], pair[1]))
        places.append(counting)
    updated = update_all(due)
    return [
        Folded(
            tuple(
                one if place is None else updated[place]
                for one, place in zip(step.before.progress, counting, strict=True)
            ),
            # Answers that may be about other weights are left out.
            step.before.share.plus_answers([pair for pair in step.answers if pair[0].at > step.analysis.share_from]),
        )
        for step, counting in zip(steps, places, strict=True)
    ]


def with_answers(answered: Sequence[tuple[StageAnalysis, Sequence[Pair]]], now: datetime) -> list[StageAnalysis]:
    """Return the analyses updated with one tick's answers, a pair for each condition.

    A condition that got none, about the candidate or the stable version, is asked about the same time again.
    """
    steps = [Step(one, Folded(one.progress, one.share), answers) for one, answers in answered]
    return [_updated(step, folded, now) for step, folded in zip(steps, fold(steps), strict=True)]


def _updated(step: Step, folded: Folded, now: datetime) -> StageAnalysis:
    analysis, answers = step.analysis, step.answers
    until = tuple(since if lost(pair) is not None else now for since, pair in zip(analysis.until, answers, strict=True))
    live = analysis.live if analysis.caught_up else (*analysis.live, tuple(answers))
    return replace(analysis, progress=folded.progress, share=folded.share, until=until, live=live)


def _counts(analysis: StageAnalysis, answer: Answer) -> bool:
    """Return whether an answer is about requests of this stage only."""
    return answer.at > analysis.counts_from and not _reaches_back(answer, analysis.not_before)


def _reaches_back(answer: Answer, first: datetime | None) -> bool:
    """Return whether an answer is also about requests from before this time, of an earlier run or of the warm-up."""
    if first is None or not isinstance(answer, Counted | Measured):
        return False
    return answer.begun is not None and answer.begun < first


def take(
    books: Sequence[MutableMapping[ObjectKey, StageAnalysis]],
    answered: Sequence[tuple[ObjectKey, StageAnalysis, Sequence[Pair]]],
    now: datetime,
) -> None:
    """Update the analyses in these books with one tick's answers, where they are still those that were asked about.

    What became of an analysis meanwhile is not overwritten: its past was read, or its status stored.
    """
    for book in books:
        found = [
            (key, current, answers)
            for key, asked, answers in answered
            if (current := book.get(key)) is not None and (current.stage, current.terms) == (asked.stage, asked.terms)
        ]
        updated = with_answers([(current, answers) for _, current, answers in found], now)
        book.update(zip((key for key, _, _ in found), updated, strict=True))


def past_steps(
    analysis: StageAnalysis, past: Mapping[Question, Sequence[Answer]], reach: timedelta
) -> list[tuple[Pair, ...] | None]:
    """Return the steps of a stage's past, oldest first; None for those that are not about this stage only.

    Args:
        analysis: of the stage.
        past: what was read, oldest first, as many answers to each question.
        reach: by how much a step of the past is longer than a tick. A step that reaches back over the time from which
            answers count is left out: it would bring requests from before.
    """
    columns = [_column(asked, past) for asked in analysis.asked]
    return [step if step[0][0].at - reach > analysis.counts_from else None for step in zip(*columns, strict=True)]


def _column(asked: Asked, past: Mapping[Question, Sequence[Answer]]) -> list[Pair]:
    candidates = past[asked.candidate]
    if asked.stable is None:
        return [(candidate, None) for candidate in candidates]
    return list(zip(candidates, past[asked.stable], strict=True))


def with_past(analysis: StageAnalysis, folded: Folded) -> StageAnalysis:
    """Return the analysis with its past judged from the beginning, and the answers of the ticks since."""
    progress = analysis.progress if analysis.breached else folded.progress
    return replace(analysis, progress=progress, share=folded.share, unread_until=None, live=(), failures=0, problem="")
