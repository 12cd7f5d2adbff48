"""Folds the answers of each tick into the progress of a condition."""

import math
from dataclasses import replace
from datetime import datetime, timedelta
from typing import NamedTuple, TypeVar, assert_never

from serinus.api.abort_condition import AbortCondition, Latency, NamedQuery, UnansweredRate
from serinus.api.verdict import Cause
from serinus.engine.analysis import evidence, latency_factor, sequential
from serinus.engine.analysis.comparison import Reference
from serinus.engine.analysis.evidence import Counts, Evidence, Terms
from serinus.engine.analysis.measurements import Answer, Batch, CouldNotAsk, Counted, Measured, NoData
from serinus.engine.analysis.progress import ROUNDING, Breach, Pace, Progress, StableBaseline
from serinus.engine.analysis.sequential import NO_ONSET, Onset, Tick
from serinus.engine.analysis.unanswered import settle
from serinus.engine.analysis.window import EMPTY_BATCH, HoldTimer, add


def update(progress: Progress, candidate: Answer, stable: Answer | None) -> Progress:
    """Fold in one tick's answers; an answer not newer than the last is ignored, so replay and live may overlap."""
    if progress.latest is not None and candidate.at <= progress.latest.at:
        return progress
    condition = progress.condition
    if condition.compared and isinstance(condition.metric, Latency):
        candidate, stable = _in_proportions(progress, candidate), _in_proportions(progress, stable, factor=1.0)
    elif isinstance(condition.metric, UnansweredRate):
        progress, candidate, stable = _with_unanswered(progress, candidate, stable)
    baseline = _updated_baseline(progress, stable)
    answer = _usable(condition, candidate)
    match answer:
        case Counted():
            return _count(progress, answer, baseline)
        case Measured():
            return _judge_value(replace(progress, latest=answer, last_counted_at=answer.at, stable=baseline), answer)
        case NoData() | CouldNotAsk():
            timer = _timed(progress, holds=None, at=answer.at)
            return replace(
                progress, latest=answer, hold_timer=timer, stable=baseline, stable_requests=baseline.requests
            )
        case _:
            assert_never(answer)


Given = TypeVar("Given", Answer, Answer | None)


def _in_proportions(progress: Progress, answer: Given, factor: float | None = None) -> Given:
    """Return the answer of a comparison of latencies with the requests above its bound as the bad ones.

    The bound is that of the ticks before, times the condition's factor for the candidate. Until it is known, nothing is
    compared.
    """
    condition = progress.condition
    if not isinstance(answer, Counted):
        return answer
    tolerated = progress.rules.tolerated or 0.0
    bound = latency_factor.reference_bound(progress.stable.tail, progress.stable.tail_requests, tolerated)
    if bound is None:
        return replace(answer, batch=EMPTY_BATCH)
    return latency_factor.above(answer, bound * (condition.threshold if factor is None else factor))


def _with_unanswered(
    progress: Progress, candidate: Answer, stable: Answer | None
) -> tuple[Progress, Answer, Answer | None]:
    """Return the answers with the requests that have certainly had no answer among the bad ones."""
    settled, baseline = progress.rules.fresh_for, progress.stable
    if isinstance(candidate, Counted):
        outstanding, candidate = settle(progress.outstanding, candidate, settled)
        progress = replace(progress, outstanding=outstanding)
    if isinstance(stable, Counted) and (baseline.latest is None or stable.at > baseline.latest.at):
        outstanding, stable = settle(baseline.outstanding, stable, settled)
        progress = replace(progress, stable=replace(baseline, outstanding=outstanding))
    return progress, candidate, stable


def _usable(condition: AbortCondition, answer: Answer) -> Answer:
    """Return the answer, or NoData if its figures cannot be judged."""
    match answer:
        case Counted(at=at, batch=batch):
            if isinstance(condition.metric, NamedQuery):
                return NoData(at=at, cause=Cause.QUERY_INVALID, message=f"{condition.name} gave counts, not a value")
            if 0 <= batch.certain <= batch.likely <= batch.possible <= batch.requests < math.inf:
                return answer
            figures = (batch.requests, batch.certain, batch.likely, batch.possible)
            largest = max(figures)
            if not math.isfinite(sum(figures)) or min(figures) < 0:
                return NoData(at=at, cause=Cause.NAN, message=f"invalid counts of {condition.name}: {batch}")
            # The series are scraped at slightly different times: a total may lack a request already counted as bad.
            return answer if largest == batch.requests else replace(answer, batch=replace(batch, requests=largest))
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


def _updated_baseline(progress: Progress, answer: Answer | None) -> StableBaseline:
    baseline, tolerated = progress.stable, progress.rules.tolerated
    if answer is None or (baseline.latest is not None and answer.at <= baseline.latest.at):
        return baseline
    latest = _usable(progress.condition, answer)
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
        tick = Tick(batch.requests, batch.certain, _onset_burst(progress.rules.terms))
        onset = sequential.advance_onset(baseline.onset, tick, tolerated=tolerated, at=latest.at)
    # At every tick of every canary: half the time of replace().
    return StableBaseline(
        latest,
        baseline.requests + batch.requests,
        baseline.bad + batch.likely,
        pending,
        baseline.level,
        baseline.window,
        baseline.tail,
        baseline.tail_requests,
        onset,
        baseline.outstanding,
    )


def _onset_burst(terms: Terms | None) -> float:
    given = terms.bursts.given if terms is not None else None
    return sequential.ONSET_BURST if given is None else min(sequential.ONSET_BURST, given)


class _Judged(NamedTuple):
    """What a judgement of the pending requests changes.

    Attributes:
        at: time of the judgement; None before the first.
        evidence: the e-process.
        onset: the requests since the most probable start of a regression.
        pending: the requests that are not judged yet.
        stable: the stable version's requests.
    """

    at: datetime | None
    evidence: Evidence
    onset: Onset
    pending: Batch
    stable: StableBaseline


def _count(progress: Progress, answer: Counted, baseline: StableBaseline) -> Progress:
    """Add the requests of a tick, and judge those that are pending if a judgement is due."""
    rules, batch, last = progress.rules, answer.batch, progress.last_counted_at
    pace = progress.pace if last is None else progress.pace.plus(batch.requests, answer.at - last)
    pending = add(progress.pending, batch) if batch.requests > 0 else progress.pending
    judged = _Judged(progress.judged_at, progress.evidence, progress.onset, pending, baseline)
    if rules.tolerated is None or (judged.at is not None and answer.at - judged.at < rules.interval):
        return _counted(progress, answer, pace, judged)
    if rules.terms is None:
        return _judge_window(_counted(progress, answer, pace, judged), answer)
    judged = _judge_evidence(judged, rules.terms, pace.per_second, answer.at)
    counted = _counted(progress, answer, pace, judged)
    if judged.evidence.value < rules.needed or counted.certain < sequential.MIN_BAD or judged.at != answer.at:
        return counted
    return _breach(counted, counted.onset, answer.display, answer.at)


def _counted(progress: Progress, answer: Counted, pace: Pace, judged: _Judged) -> Progress:
    batch = answer.batch
    # At every tick of every canary: replace() takes twice as long.
    return Progress(
        condition=progress.condition,
        rules=progress.rules,
        guard=progress.guard,
        evidence=judged.evidence,
        requests=progress.requests + batch.requests,
        certain=progress.certain + batch.certain,
        likely=progress.likely + batch.likely,
        possible=progress.possible + batch.possible,
        stable_requests=judged.stable.requests,
        breached_at=progress.breached_at,
        breach=progress.breach,
        coarse=answer.coarse,
        latest=answer,
        last_counted_at=answer.at,
        judged_at=judged.at,
        pending=judged.pending,
        onset=judged.onset,
        stable=judged.stable,
        outstanding=progress.outstanding,
        window=progress.window,
        hold_timer=progress.hold_timer,
        pace=pace,
    )


def _judge_window(progress: Progress, answer: Counted) -> Progress:
    rules, at = progress.rules, answer.at
    window = progress.window.plus(progress.pending, at, rules.window)
    beside = progress.stable.window.plus(progress.stable.pending, at, rules.window)
    total = window.total
    judged = replace(
        progress,
        judged_at=at,
        pending=EMPTY_BATCH,
        window=window,
        stable=replace(progress.stable, pending=EMPTY_BATCH, window=beside),
    )
    limit = judged.limit
    over = None if limit is None else total.certain > limit * ROUNDING * total.requests
    timer = _timed(progress, holds=over if total.requests >= rules.min_in_window else None, at=at)
    judged = replace(judged, hold_timer=timer)
    in_window = Onset(at - rules.window, total.requests, total.certain)
    return _breach(judged, in_window, answer.display, at) if _held_long_enough(judged) else judged


def _judge_evidence(before: _Judged, terms: Terms, per_second: float, at: datetime) -> _Judged:
    """Add the pending requests to the evidence; without any there is nothing to judge."""
    batch = before.pending
    if terms.margin is not None:
        if batch.requests <= 0 or before.stable.pending.requests <= 0:
            return before
        return _compare(before, terms, per_second, at)
    if batch.requests <= 0:
        return before._replace(at=at)
    tick = Tick(batch.requests, batch.certain, _onset_burst(terms))
    return _Judged(
        at,
        evidence.fold(before.evidence, _tick(before, terms, at), per_second, terms),
        sequential.advance_onset(before.onset, tick, tolerated=terms.tolerated, at=at),
        EMPTY_BATCH,
        before.stable,
    )


def _tick(before: _Judged, terms: Terms, at: datetime) -> Counts:
    seconds = terms.bursts.shortest if before.at is None else (at - before.at).total_seconds()
    return Counts(before.pending.requests, before.pending.certain, seconds)


def _compare(before: _Judged, terms: Terms, per_second: float, at: datetime) -> _Judged:
    """Compare the pending requests with those of the stable version, whose rate is expected from the ticks before."""
    batch, stable, onset = before.pending, before.stable, before.onset
    pending = stable.pending
    reference = Reference(pending.requests, pending.possible, stable.level.rate(terms.tolerated / 2))
    limit = stable.bad / stable.requests + (terms.margin or 0.0)
    if 0 < limit < 1:
        tick = Tick(batch.requests, batch.certain, _onset_burst(terms))
        onset = sequential.advance_onset(onset, tick, tolerated=limit, at=at)
    passed = timedelta(0) if before.at is None else at - before.at
    return _Judged(
        at,
        evidence.fold_comparison(before.evidence, _tick(before, terms, at), per_second, terms, reference),
        onset,
        EMPTY_BATCH,
        StableBaseline(
            stable.latest,
            stable.requests,
            stable.bad,
            EMPTY_BATCH,
            stable.level.plus(pending, passed),
            stable.window,
            stable.tail,
            stable.tail_requests,
            stable.onset,
            stable.outstanding,
        ),
    )


def _judge_value(progress: Progress, answer: Measured) -> Progress:
    rules, condition = progress.rules, progress.condition
    if progress.judged_at is not None and answer.at - progress.judged_at < rules.interval:
        return progress
    over = condition.operator.holds(answer.value, condition.threshold)
    judged = replace(progress, judged_at=answer.at, hold_timer=_timed(progress, holds=over, at=answer.at))
    return _breach(judged, NO_ONSET, answer.value, answer.at) if _held_long_enough(judged) else judged


def _timed(progress: Progress, *, holds: bool | None, at: datetime) -> HoldTimer:
    rules = progress.rules
    return progress.hold_timer.plus(holds=holds, at=at, max_gap=rules.max_gap, reset_after=rules.window)


def _held_long_enough(progress: Progress) -> bool:
    return progress.hold_timer.held is not None and progress.hold_timer.held >= progress.rules.hold_for


def _breach(progress: Progress, onset: Onset, value: float | None, at: datetime) -> Progress:
    if progress.breached_at is not None:
        return progress
    if onset.requests <= 0:  # a regression too mild for its onset to be dated
        onset = Onset(None, progress.requests, progress.certain)
    breach = Breach(
        since=onset.since,
        requests=onset.requests,
        bad=onset.bad,
        evidence=progress.evidence.value,
        held=progress.hold_timer.held or timedelta(0),
        value=value,
        limit=progress.limit,
        stable_too=progress.stable_too,
    )
    return replace(progress, breached_at=at, breach=breach)
