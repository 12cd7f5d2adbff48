"""Judges the requests that are pending: by the evidence, by the proportion in a window, or by a value."""

from datetime import datetime, timedelta
from typing import NamedTuple

from msgspec.structs import replace

from serinus.engine.analysis import sequential
from serinus.engine.analysis.comparison import Reference
from serinus.engine.analysis.evidence import Addition, Counts, Evidence, Terms
from serinus.engine.analysis.measurements import Counted, Measured
from serinus.engine.analysis.progress import ROUNDING, Breach, Progress
from serinus.engine.analysis.sequential import NO_ONSET, Onset, Tick
from serinus.engine.analysis.window import EMPTY_BATCH, HoldTimer


class Due(NamedTuple):
    """A condition whose pending requests are to be added to its evidence; the rest of its progress has them already."""

    progress: Progress
    answer: Counted
    addition: Addition


def onset_burst(terms: Terms | None) -> float:
    """Return how many errors come together at most, as far as the onset of a regression is concerned."""
    given = terms.bursts.given if terms is not None else None
    return sequential.ONSET_BURST if given is None else min(sequential.ONSET_BURST, given)


def due(progress: Progress, answer: Counted, terms: Terms) -> Progress | Due:
    """Take the pending requests out of the progress, to add them to the evidence; without any nothing is judged."""
    batch, at = progress.pending, answer.at
    if terms.margin is not None:
        if batch.requests <= 0 or progress.stable.pending.requests <= 0:
            return progress
        return _compared(progress, answer, terms, terms.margin)
    if batch.requests <= 0:
        return replace(progress, judged_at=at)
    tick = Tick(batch.requests, batch.certain, onset_burst(terms))
    onset = sequential.advance_onset(progress.onset, tick, tolerated=terms.tolerated, at=at)
    judged = replace(progress, judged_at=at, pending=EMPTY_BATCH, onset=onset)
    return Due(judged, answer, _addition(progress, terms, at))


def _addition(progress: Progress, terms: Terms, at: datetime, reference: Reference | None = None) -> Addition:
    before = progress.judged_at
    seconds = terms.bursts.shortest if before is None else (at - before).total_seconds()
    tick = Counts(progress.pending.requests, progress.pending.certain, seconds)
    return Addition(progress.evidence, tick, progress.pace.per_second, terms, reference)


def _compared(progress: Progress, answer: Counted, terms: Terms, margin: float) -> Due:
    """Compare the pending requests with those of the stable version, whose rate is expected from the ticks before."""
    batch, stable, onset, at = progress.pending, progress.stable, progress.onset, answer.at
    pending = stable.pending
    reference = Reference(pending.requests, pending.possible, stable.level.rate(terms.tolerated / 2))
    limit = stable.bad / stable.requests + margin
    if 0 < limit < 1:
        tick = Tick(batch.requests, batch.certain, onset_burst(terms))
        onset = sequential.advance_onset(onset, tick, tolerated=limit, at=at)
    passed = timedelta(0) if progress.judged_at is None else at - progress.judged_at
    judged = replace(
        progress,
        judged_at=at,
        pending=EMPTY_BATCH,
        onset=onset,
        stable=replace(stable, pending=EMPTY_BATCH, level=stable.level.plus(pending, passed)),
    )
    return Due(judged, answer, _addition(progress, terms, at, reference))


def judged(due: Due, evidence: Evidence) -> Progress:
    """Return the progress with its evidence, and with the breach if that is one."""
    progress = replace(due.progress, evidence=evidence)
    if evidence.value < progress.rules.needed or progress.certain < sequential.MIN_BAD:
        return progress
    return _breach(progress, progress.onset, due.answer.display, due.answer.at)


def judge_window(progress: Progress, answer: Counted) -> Progress:
    """Judge the proportion of the last window with the pending requests."""
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
    timer = timed(progress, holds=over if total.requests >= rules.min_in_window else None, at=at)
    judged = replace(judged, hold_timer=timer)
    in_window = Onset(at - rules.window, total.requests, total.certain)
    return _breach(judged, in_window, answer.display, at) if _held_long_enough(judged) else judged


def judge_value(progress: Progress, answer: Measured) -> Progress:
    """Judge the value of a named query."""
    rules, condition = progress.rules, progress.condition
    if progress.judged_at is not None and answer.at - progress.judged_at < rules.interval:
        return progress
    over = condition.operator.holds(answer.value, condition.threshold)
    judged = replace(progress, judged_at=answer.at, hold_timer=timed(progress, holds=over, at=answer.at))
    return _breach(judged, NO_ONSET, answer.value, answer.at) if _held_long_enough(judged) else judged


def timed(progress: Progress, *, holds: bool | None, at: datetime) -> HoldTimer:
    """Return the timer with one more reading; None where it says nothing of the condition."""
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
