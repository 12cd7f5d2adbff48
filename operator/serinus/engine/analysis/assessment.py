"""Assesses one condition of a stage from its progress: verdict, cause and message.

Call :func:`begin`, then :func:`update` at each tick, and :func:`assess` at any time. All three are pure, so folding the
same ticks again after a restart gives the same value to the bit.
"""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple, assert_never

from serinus.api.abort_condition import AbortCondition
from serinus.api.rollout import Promotion, Stage
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis import sentences, sequential, text
from serinus.engine.analysis.accumulate import update, update_all
from serinus.engine.analysis.false_aborts import WARMUP_GUARDS
from serinus.engine.analysis.measurements import Coarse, CouldNotAsk, Counted, Measured, NoData
from serinus.engine.analysis.progress import ROUNDING, Progress, begin

__all__ = ["Assessment", "Progress", "assess", "begin", "update", "update_all"]

# The average of a whole stage hides a late regression: nothing passes while the requests since the onset favour twice
# the tolerated rate by twenty to one. A version at the limit is delayed at most.
_SUSPICION: Final = math.log(20)
_SUSPICIOUS: Final = 20.0
"""Evidence from which on a guard holds its stage: twenty to one against chance."""

# If none of 3/p0 requests is bad, a rate above p0 is rejected at 95 % (the rule of three).
_RULE_OF_THREE: Final = 3.0
_ROUNDING: Final = 1e-6
_LONGEST: Final = 1e9
"""Seconds; what would take longer is not awaited."""


@dataclass(frozen=True, slots=True)
class Assessment:
    """The assessment of one condition.

    Attributes:
        condition: the assessed condition.
        verdict: Pass, Breach or Unknown.
        cause: why the verdict is Unknown; else None.
        message: a full sentence for an on-call engineer.
        value: the metric with its unit; empty while it is unknown.
        requests: number of requests behind the value: the candidate's since the stage began, or those of the breach.
        at: time of the breach, else of the last answer, else of the assessment.
        coarse: the bucket bounds around a latency limit that is not a bound itself.
        stable_too: whether the stable version exceeds the same limit.
        guard: whether nobody wrote the condition.
    """

    condition: AbortCondition
    verdict: Verdict
    cause: Cause | None
    message: str
    value: str
    requests: int
    at: datetime
    coarse: Coarse | None
    stable_too: bool
    guard: bool = False

    @property
    def holds(self) -> bool:
        """Whether the stage must not pass: a guard holds it only where it looks like a breach."""
        return self.verdict is not Verdict.PASS and (not self.guard or self.cause in {None, Cause.UNDECIDED})


class _Result(NamedTuple):
    """A verdict with its cause and message."""

    verdict: Verdict
    cause: Cause | None
    message: str


def verdict_of(progress: Progress, stage: Stage, now: datetime) -> tuple[Verdict, Cause | None]:
    """Return the verdict of the evidence so far, and why it is Unknown; arguments as for :func:`assess`."""
    result = _judge(progress, stage, now)
    return result.verdict, result.cause


def assess(progress: Progress, stage: Stage, now: datetime) -> Assessment:
    """Assess the evidence so far, regardless of whether the stage has lasted long enough.

    Args:
        progress: of one condition of the stage.
        stage: what it takes to pass.
        now: decides whether the latest reading is fresh, and when missing requests are expected.
    """
    result = _judge(progress, stage, now)
    breached = progress.breached_at
    latest_at = now if progress.latest is None else progress.latest.at
    return Assessment(
        progress.condition,
        result.verdict,
        result.cause,
        result.message,
        sentences.value(progress),
        round(progress.requests if progress.breach is None else progress.breach.requests),
        latest_at if breached is None else breached,
        progress.coarse,
        progress.stable_too if progress.breach is None else progress.breach.stable_too,
        progress.guard,
    )


def _judge(progress: Progress, stage: Stage, now: datetime) -> _Result:
    result = _result(progress, stage, now)
    return _guarding(progress, result) if progress.guard else result


def _result(progress: Progress, stage: Stage, now: datetime) -> _Result:
    if progress.breached_at is not None:
        return _Result(Verdict.BREACH, None, sentences.breached(progress))
    latest = progress.latest
    match latest:
        case None:
            return _unknown(Cause.NO_SERIES, f"{progress.condition.name} has not been asked for yet.")
        case NoData() | CouldNotAsk():
            return _unknown(latest.cause, sentences.no_reading(progress, latest, now))
        case Counted() | Measured():
            pass
        case _:
            assert_never(latest)
    if now - latest.at > progress.rules.fresh_for:
        age, limit = text.span(now - latest.at), text.span(progress.rules.fresh_for)
        message = f"The last reading of {progress.condition.name} is {age} old (it may be {limit}): nothing is decided."
        return _unknown(Cause.STALE, message)
    if isinstance(latest, Measured):
        return _assess_value(progress, latest.value)
    if progress.rules.tolerated is None:
        return _unknown(Cause.QUERY_INVALID, f"{progress.condition.name} gave counts, not a value.")
    return _assess_proportion(progress, stage, progress.rules.tolerated, now)


def _guarding(progress: Progress, result: _Result) -> _Result:
    """Return the result of a condition that nobody wrote: it passes unless it looks like a breach."""
    if result.verdict is Verdict.BREACH:
        what = "every warm-up" if progress.condition in WARMUP_GUARDS else "every stage (spec.guards)"
        return result._replace(message=f"{result.message} This is a guard of {what}.")
    if result.cause is Cause.TOO_FEW_REQUESTS or (
        result.cause is Cause.UNDECIDED and progress.evidence.value < _SUSPICIOUS and not _turned_bad(progress)
    ):
        return _Result(Verdict.PASS, None, sentences.proportion(progress, sentences.observed(progress)))
    return result


def _turned_bad(progress: Progress) -> bool:
    """Return whether the requests since the onset favour twice the tolerated rate, as after a late regression."""
    return progress.onset.bad >= sequential.MIN_BAD and progress.onset.score >= _SUSPICION


def _unknown(cause: Cause, message: str) -> _Result:
    return _Result(Verdict.UNKNOWN, cause, message)


def _assess_value(progress: Progress, value: float) -> _Result:
    condition, held = progress.condition, progress.hold_timer.held
    reading = f"{condition.name} is {text.named_value(condition, value)}"
    if not condition.operator.holds(value, condition.threshold):
        return _Result(Verdict.PASS, None, f"{reading}; the limit is {condition.threshold_text}.")
    time = "0s" if held is None else text.span(held)
    hold_for = text.span(progress.rules.hold_for)
    message = f"{reading}, over its limit ({condition.threshold_text}) for {time}; it is a breach after {hold_for}."
    return _unknown(Cause.UNDECIDED, message)


def _assess_proportion(progress: Progress, stage: Stage, tolerated: float, now: datetime) -> _Result:
    needed = _needed(stage, tolerated)
    if progress.requests <= 0:
        name = progress.condition.name
        message = f"No answer of this version has been counted since the stage began; {name} needs {needed:,}."
        return _unknown(Cause.NO_TRAFFIC, message)
    limit = progress.limit
    if limit is None:
        message = (
            f"No answer of the stable version, with which {progress.condition.name} is compared, has been counted."
        )
        return _unknown(Cause.NO_TRAFFIC, message)
    observed = sentences.observed(progress)
    summary = sentences.proportion(progress, observed)
    if progress.own_requests < needed:
        missing = sentences.requests_missing(progress, needed - progress.own_requests, now)
        return _unknown(Cause.TOO_FEW_REQUESTS, f"{summary} {missing}")
    if not progress.rules.sequential and observed.requests < progress.rules.min_in_window:
        message = f"{summary} The window needs {progress.rules.min_in_window:,}: give metrics.window a longer time."
        return _unknown(Cause.TOO_FEW_REQUESTS, message)
    if observed.likely > limit * ROUNDING * observed.requests:
        return _unknown(Cause.UNDECIDED, f"{summary} {sentences.undecided(progress)}")
    if _turned_bad(progress):
        return _unknown(Cause.UNDECIDED, f"{summary} {sentences.late_suspicion(progress)}")
    if stage.promotion is Promotion.CERTIFIED:
        return _assess_certificate(progress, tolerated, summary, now)
    return _Result(Verdict.PASS, None, f"{summary} {needed:,} requests were needed.")


def _needed(stage: Stage, tolerated: float) -> int:
    return stage.min_requests or math.ceil(_RULE_OF_THREE / tolerated - _ROUNDING)


def missing_requests_in(progress: Progress, stage: Stage) -> timedelta:
    """Return in which time the requests that the stage needs will be there; ``timedelta.max`` where none come in.

    Zero before the first period, whose end tells at which rate they come.
    """
    if progress.rules.tolerated is None:
        return timedelta(0)
    missing = _needed(stage, progress.rules.tolerated) - progress.own_requests
    pace = progress.pace.per_second
    if missing <= 0 or (progress.pace.seconds <= 0 < progress.requests):
        return timedelta(0)
    return timedelta(seconds=missing / pace) if pace * _LONGEST > missing else timedelta.max


def _assess_certificate(progress: Progress, tolerated: float, summary: str, now: datetime) -> _Result:
    requests, possible = progress.requests, min(progress.possible, progress.requests)
    proof = sequential.certificate(tolerated, requests, possible)
    figures = f"{text.evidence(proof)} of the {text.evidence(sequential.CERTIFICATE_NEEDED)} of a certificate"
    if proof >= sequential.CERTIFICATE_NEEDED:
        return _Result(Verdict.PASS, None, f"{summary} Evidence {figures}.")
    missing = sequential.certificate_missing(tolerated, requests, possible)
    if missing is None:
        return _unknown(Cause.UNDECIDED, f"{summary} At this rate it is never certified: evidence {figures}.")
    return _unknown(
        Cause.TOO_FEW_REQUESTS,
        f"{summary} Evidence {figures}. About {sentences.requests_missing(progress, missing, now)}",
    )
