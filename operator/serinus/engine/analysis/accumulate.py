"""Folds the answers of each tick into what is known of a condition."""

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import assert_never

from serinus.api.abort_condition import AbortCondition, NamedQuery
from serinus.api.verdict import Cause
from serinus.engine.analysis import dispersion, sequential
from serinus.engine.analysis.measurements import Answer, Batch, CouldNotAsk, Counted, Measured, NoData
from serinus.engine.analysis.progress import ROUNDING, Breach, Progress, StableBaseline
from serinus.engine.analysis.sequential import NO_ONSET, Onset, Tick
from serinus.engine.analysis.window import NOTHING, HoldTimer, add


def learn_dispersion(progress: Progress, stable_batches: Sequence[Batch]) -> Progress:
    """Learn from the ticks of the hour before the stage how much the stable version's errors come in bursts."""
    if progress.dispersion.given is not None or not progress.rules.sequential:
        return progress
    return replace(progress, dispersion=dispersion.learn_history(progress.dispersion, stable_batches))


def update(progress: Progress, candidate: Answer, stable: Answer | None) -> Progress:
    """Fold in one tick's answers; one that is not newer than the last is ignored, so replay and live may overlap."""
    if progress.latest is not None and candidate.at <= progress.latest.at:
        return progress
    beside = _hear_stable(progress, stable)
    heard = _usable(progress.condition, candidate)
    match heard:
        case Counted():
            return _judge_counts(_count(progress, heard, beside), heard)
        case Measured():
            return _judge_value(replace(progress, latest=heard, last_counted_at=heard.at, stable=beside), heard)
        case NoData() | CouldNotAsk():
            held = _hold(progress, None, heard.at)
            return replace(progress, latest=heard, holding=held, stable=beside, stable_requests=beside.requests)
        case _:
            assert_never(heard)


def _usable(condition: AbortCondition, answer: Answer) -> Answer:
    """Return the answer, or no data where its figures could not be judged."""
    match answer:
        case Counted(at=at, batch=batch):
            figures = (batch.requests, batch.certain, batch.likely, batch.possible)
            if isinstance(condition.metric, NamedQuery):
                return NoData(at=at, cause=Cause.QUERY_INVALID, message=f"{condition.name} gave counts, not a value")
            most = max(figures)
            if not math.isfinite(sum(figures)) or min(figures) < 0:
                return NoData(at=at, cause=Cause.NAN, message=f"the counts of {condition.name} are no numbers: {batch}")
            # Scraped apart by a moment, a total can miss the request that a count of bad ones has already.
            return answer if most == batch.requests else replace(answer, batch=replace(batch, requests=most))
        case Measured(at=at, value=value):
            if not isinstance(condition.metric, NamedQuery):
                return NoData(at=at, cause=Cause.QUERY_INVALID, message=f"{condition.name} gave a value, not counts")
            if math.isnan(value):
                return NoData(at=at, cause=Cause.NAN, message=f"the value of {condition.name} is not a number")
            return answer
        case NoData() | CouldNotAsk():
            return answer
        case _:
            assert_never(answer)


def _hear_stable(progress: Progress, answer: Answer | None) -> StableBaseline:
    known, tolerated = progress.stable, progress.rules.tolerated
    if answer is None or (known.latest is not None and answer.at <= known.latest.at):
        return known
    heard = _usable(progress.condition, answer)
    if not isinstance(heard, Counted) or tolerated is None or heard.batch.requests <= 0:
        return StableBaseline(heard, known.requests, known.pending, known.onset)
    batch = heard.batch
    tick = Tick(batch.requests, batch.certain, progress.dispersion.burst)
    onset = sequential.advance_onset(known.onset, tick, tolerated=tolerated, at=heard.at)
    return StableBaseline(heard, known.requests + batch.requests, add(known.pending, batch), onset)


def _count(progress: Progress, heard: Counted, beside: StableBaseline) -> Progress:
    batch, last = heard.batch, progress.last_counted_at
    return replace(
        progress,
        latest=heard,
        last_counted_at=heard.at,
        coarse=heard.coarse,
        requests=progress.requests + batch.requests,
        certain=progress.certain + batch.certain,
        likely=progress.likely + batch.likely,
        possible=progress.possible + batch.possible,
        pending=add(progress.pending, batch) if batch.requests > 0 else progress.pending,
        stable=beside,
        stable_requests=beside.requests,
        pace=progress.pace if last is None else progress.pace.plus(batch.requests, heard.at - last),
    )


def _judge_counts(progress: Progress, heard: Counted) -> Progress:
    rules, at = progress.rules, heard.at
    if rules.tolerated is None or (progress.judged_at is not None and at - progress.judged_at < rules.interval):
        return progress
    if rules.sequential:
        return _judge_evidence(progress, rules.tolerated, heard)
    window = progress.window.plus(progress.pending, at, rules.window)
    total = window.total
    over = total.certain > rules.tolerated * ROUNDING * total.requests
    holding = _hold(progress, over if total.requests >= rules.least_in_window else None, at)
    judged = replace(progress, judged_at=at, pending=NOTHING, window=window, holding=holding)
    seen = Onset(at - rules.window, total.requests, total.certain)
    return _breach(judged, seen, heard.display, at) if _held(judged) else judged


def _judge_evidence(progress: Progress, tolerated: float, heard: Counted) -> Progress:
    batch, at = progress.pending, heard.at
    learned = progress.stable
    if batch.requests <= 0 and learned.pending.requests <= 0:
        return progress
    # What the stable version shows in this very tick is learned only after it, else the bound would not hold.
    tick = Tick(batch.requests, batch.certain, progress.dispersion.burst)
    judged = replace(
        progress,
        judged_at=at,
        pending=NOTHING,
        stable=StableBaseline(learned.latest, learned.requests, NOTHING, learned.onset),
        dispersion=dispersion.learn(progress.dispersion, learned.pending, at),
        evidence=sequential.fold(progress.evidence, tick, tolerated=tolerated, planned=progress.rules.planned),
        onset=sequential.advance_onset(progress.onset, tick, tolerated=tolerated, at=at),
    )
    if judged.evidence.value < judged.rules.needed or judged.certain < sequential.LEAST_BAD:
        return judged
    return _breach(judged, judged.onset, heard.display, at)


def _judge_value(progress: Progress, heard: Measured) -> Progress:
    rules, condition = progress.rules, progress.condition
    if progress.judged_at is not None and heard.at - progress.judged_at < rules.interval:
        return progress
    over = condition.operator.holds(heard.value, condition.threshold)
    judged = replace(progress, judged_at=heard.at, holding=_hold(progress, over, heard.at))
    return _breach(judged, NO_ONSET, heard.value, heard.at) if _held(judged) else judged


def _hold(progress: Progress, holds: bool | None, at: datetime) -> HoldTimer:  # noqa: FBT001 - it is what was seen
    rules = progress.rules
    return progress.holding.plus(holds=holds, at=at, unbroken=rules.unbroken, forget=rules.window)


def _held(progress: Progress) -> bool:
    return progress.holding.held is not None and progress.holding.held >= progress.rules.hold_for


def _breach(progress: Progress, seen: Onset, value: float | None, at: datetime) -> Progress:
    if progress.breached_at is not None:
        return progress
    if seen.requests <= 0:  # so mild that its beginning cannot be dated
        seen = Onset(None, progress.requests, progress.certain)
    breach = Breach(
        since=seen.since,
        requests=seen.requests,
        bad=seen.bad,
        evidence=progress.evidence.value,
        held=progress.holding.held or timedelta(0),
        value=value,
        stable_too=progress.stable_too,
    )
    return replace(progress, breached_at=at, breach=breach)
