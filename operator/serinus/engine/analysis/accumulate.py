"""Folds the answers of each tick into the progress of conditions, of many at once."""

from collections.abc import Iterable
from typing import assert_never

from msgspec.structs import replace

from serinus.engine.analysis import evidence, judging, latency_factor, sequential
from serinus.engine.analysis.judging import Due, onset_burst
from serinus.engine.analysis.measurements import Answer, CouldNotAsk, Counted, Measured, NoData
from serinus.engine.analysis.progress import Progress, StableBaseline
from serinus.engine.analysis.sequential import NO_ONSET, Tick
from serinus.engine.analysis.usable import in_question, usable
from serinus.engine.analysis.window import EMPTY_BATCH, add


def update(progress: Progress, candidate: Answer, stable: Answer | None) -> Progress:
    """Fold in one tick's answers; an answer not newer than the last is ignored, so replay and live may overlap."""
    return update_all([(progress, candidate, stable)])[0]


def update_all(ticks: Iterable[tuple[Progress, Answer, Answer | None]]) -> list[Progress]:
    """Fold in one tick's answers about candidate and stable version for each of these conditions.

    Their evidence is computed together, which is several times faster; each result is the same as alone, to the bit.
    """
    counted = [_counted(*tick) for tick in ticks]
    found = iter(evidence.fold([one.addition for one in counted if isinstance(one, Due)]))
    return [judging.judged(one, next(found)) if isinstance(one, Due) else one for one in counted]


def _counted(progress: Progress, candidate: Answer, stable: Answer | None) -> Progress | Due:
    """Return the progress with these answers, but for the evidence where that is due."""
    if progress.latest is not None and candidate.at <= progress.latest.at:
        return progress
    progress, candidate, stable = in_question(progress, candidate, stable)
    baseline = _updated_baseline(progress, stable)
    answer = usable(progress.condition, candidate)
    match answer:
        case Counted():
            return _count(progress, answer, baseline)
        case Measured():
            counted = replace(progress, latest=answer, last_counted_at=answer.at, stable=baseline)
            return judging.judge_value(counted, answer)
        case NoData() | CouldNotAsk():
            timer = judging.timed(progress, holds=None, at=answer.at)
            return replace(
                progress, latest=answer, hold_timer=timer, stable=baseline, stable_requests=baseline.requests
            )
        case _:
            assert_never(answer)


def _updated_baseline(progress: Progress, answer: Answer | None) -> StableBaseline:
    baseline, tolerated = progress.stable, progress.rules.tolerated
    if answer is None or (baseline.latest is not None and answer.at <= baseline.latest.at):
        return baseline
    latest = usable(progress.condition, answer)
    if isinstance(latest, Counted) and latest.above:
        tail = latency_factor.add(baseline.tail, latest.above)
        baseline = replace(baseline, tail=tail, tail_requests=baseline.tail_requests + latest.total)
    if not isinstance(latest, Counted) or tolerated is None or latest.batch.requests <= 0:
        return replace(baseline, latest=latest)
    batch = latest.batch
    onset, pending = NO_ONSET, EMPTY_BATCH
    if progress.condition.compared:
        pending = add(baseline.pending, batch)
    else:
        tick = Tick(batch.requests, batch.certain, onset_burst(progress.rules.terms))
        onset = sequential.advance_onset(baseline.onset, tick, tolerated=tolerated, at=latest.at)
    return replace(
        baseline,
        latest=latest,
        requests=baseline.requests + batch.requests,
        bad=baseline.bad + batch.likely,
        pending=pending,
        onset=onset,
    )


def _reaches_back(progress: Progress, answer: Counted) -> bool:
    """Return whether an answer has counts from before the stage began."""
    return progress.since is not None and answer.begun is not None and answer.begun < progress.since


def _count(progress: Progress, answer: Counted, baseline: StableBaseline) -> Progress | Due:
    """Add the requests of a tick, and judge those that are pending if a judgement is due."""
    rules, batch, last = progress.rules, answer.batch, progress.last_counted_at
    counted = replace(
        progress,
        requests=progress.requests + batch.requests,
        earlier=progress.earlier + (batch.requests if _reaches_back(progress, answer) else 0.0),
        certain=progress.certain + batch.certain,
        likely=progress.likely + batch.likely,
        possible=progress.possible + batch.possible,
        stable_requests=baseline.requests,
        coarse=answer.coarse,
        latest=answer,
        last_counted_at=answer.at,
        pending=add(progress.pending, batch) if batch.requests > 0 else progress.pending,
        stable=baseline,
        pace=progress.pace if last is None else progress.pace.plus(batch.requests, answer.at - last),
    )
    judged_at = progress.judged_at
    if rules.tolerated is None or (judged_at is not None and answer.at - judged_at < rules.interval):
        return counted
    if rules.terms is None:
        return judging.judge_window(counted, answer)
    return judging.due(counted, answer, rules.terms)
