"""The judgement of one condition: what the requests since the stage began say of it, and what they do not say yet.

:func:`begin`, then :func:`update` at each tick, and :func:`assess` at any time. All of it is pure, so folding the same
ticks again after a restart gives the same value to the bit.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, assert_never

from serinus.api.abort_condition import AbortCondition, Latency
from serinus.api.rollout import Promotion, Stage
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis import sequential, text
from serinus.engine.analysis.accumulate import learn_dispersion, update
from serinus.engine.analysis.measurements import Coarse, CouldNotAsk, Counted, Measured, NoData
from serinus.engine.analysis.progress import ROUNDING, Breach, Progress, begin

__all__ = ["Assessment", "Progress", "assess", "begin", "learn_dispersion", "update"]

# A late regression hides in the average of a whole stage: nothing passes while the latest requests by themselves speak
# twenty to one for twice the tolerated rate. It costs a version at the limit a delay at most.
_SUSPICION: Final = math.log(20)
# With none bad of 3/p0 requests, a rate above p0 is refuted at 95 % (the rule of three).
_RULE_OF_THREE: Final = 3.0
_ROUNDING: Final = 1e-6
_LONGEST: Final = 500


@dataclass(frozen=True, slots=True)
class Assessment:
    """What the evidence says of one condition.

    Attributes:
        condition: what was judged.
        verdict: Pass, Breach or Unknown.
        cause: why it is Unknown; else None.
        message: a full sentence for an on-call engineer.
        value: the metric with its unit; empty where nothing is known.
        requests: that the value is of: the candidate's since the stage began, or those of the breach.
        at: of the breach, else of the last answer, else of the judgement.
        coarse: the bucket bounds around a latency limit that is none itself.
        stable_too: the stable version is over the same limit.
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


class _Finding(NamedTuple):
    """A verdict, why, and the sentence that says so."""

    verdict: Verdict
    cause: Cause | None
    message: str


class _Seen(NamedTuple):
    """The requests that the observed proportion is of."""

    requests: float
    likely: float
    scope: str


def assess(progress: Progress, stage: Stage, now: datetime) -> Assessment:
    """Say what the evidence so far says; whether the stage has lasted long enough is not asked.

    Args:
        progress: of one condition of the stage.
        stage: what the stage wants to see before it passes.
        now: to tell whether the latest reading is fresh, and when missing requests will be there.
    """
    finding = _find(progress, stage, now)
    breached = progress.breached_at
    latest_at = now if progress.latest is None else progress.latest.at
    return Assessment(
        progress.condition,
        finding.verdict,
        finding.cause,
        finding.message,
        _value(progress),
        round(progress.requests if progress.breach is None else progress.breach.requests),
        latest_at if breached is None else breached,
        progress.coarse,
        progress.stable_too if progress.breach is None else progress.breach.stable_too,
    )


def _find(progress: Progress, stage: Stage, now: datetime) -> _Finding:
    if progress.breached_at is not None:
        return _Finding(Verdict.BREACH, None, _breach_sentence(progress))
    latest = progress.latest
    match latest:
        case None:
            return _unknown(Cause.NO_SERIES, f"{progress.condition.name} has not been asked for yet.")
        case NoData() | CouldNotAsk():
            return _unknown(latest.cause, _missing_sentence(progress, latest, now))
        case Counted() | Measured():
            pass
        case _:
            assert_never(latest)
    if now - latest.at > progress.rules.fresh_for:
        age, most = text.span(now - latest.at), text.span(progress.rules.fresh_for)
        message = f"The last reading of {progress.condition.name} is {age} old (it may be {most}): nothing is decided."
        return _unknown(Cause.STALE, message)
    if isinstance(latest, Measured):
        return _value_finding(progress, latest.value)
    tolerated = progress.rules.tolerated
    assert tolerated is not None  # noqa: S101 - absorb() lets counts through for proportions only
    return _proportion_finding(progress, stage, tolerated, now)


def _unknown(cause: Cause, message: str) -> _Finding:
    return _Finding(Verdict.UNKNOWN, cause, message)


def _missing_sentence(progress: Progress, latest: NoData | CouldNotAsk, now: datetime) -> str:
    known = progress.last_counted_at
    since = "since the stage began" if known is None else f"for {text.span(now - known)}"
    said = latest.message[:_LONGEST].rstrip(".")
    return f"There has been no usable reading of {progress.condition.name} {since}: {said}."


def _value_finding(progress: Progress, value: float) -> _Finding:
    condition, held = progress.condition, progress.holding.held
    reading = f"{condition.name} is {text.named_value(condition, value)}"
    if not condition.operator.holds(value, condition.threshold):
        return _Finding(Verdict.PASS, None, f"{reading}; the limit is {condition.threshold_text}.")
    time = "0s" if held is None else text.span(held)
    wanted = text.span(progress.rules.hold_for)
    message = f"{reading}, over its limit ({condition.threshold_text}) for {time}; it is a breach after {wanted}."
    return _unknown(Cause.UNDECIDED, message)


def _proportion_finding(progress: Progress, stage: Stage, tolerated: float, now: datetime) -> _Finding:
    least = stage.min_requests or math.ceil(_RULE_OF_THREE / tolerated - _ROUNDING)
    if progress.requests <= 0:
        name = progress.condition.name
        message = f"No request has reached this version since the stage began; {name} needs {least:,}."
        return _unknown(Cause.NO_TRAFFIC, message)
    seen = _seen(progress)
    said = _observed_sentence(progress, seen)
    if progress.requests < least:
        return _unknown(Cause.TOO_FEW_REQUESTS, f"{said} {_still_missing(progress, least - progress.requests, now)}")
    if not progress.rules.sequential and seen.requests < progress.rules.least_in_window:
        message = f"{said} The window needs {progress.rules.least_in_window:,}: give metrics.window a longer time."
        return _unknown(Cause.TOO_FEW_REQUESTS, message)
    if seen.likely > tolerated * ROUNDING * seen.requests:
        return _unknown(Cause.UNDECIDED, f"{said} {_undecided(progress)}")
    if progress.onset.bad >= sequential.LEAST_BAD and progress.onset.score >= _SUSPICION:
        return _unknown(Cause.UNDECIDED, f"{said} {_late_suspicion(progress)}")
    if stage.promotion is Promotion.CERTIFIED:
        return _certified_finding(progress, tolerated, said, now)
    return _Finding(Verdict.PASS, None, f"{said} {least:,} requests were needed.")


def _seen(progress: Progress) -> _Seen:
    if progress.rules.sequential:
        return _Seen(progress.requests, progress.likely, "")
    total = progress.window.total
    return _Seen(total.requests, total.likely, f"in the last {text.span(progress.rules.window)}")


def _observed_sentence(progress: Progress, seen: _Seen) -> str:
    condition = progress.condition
    if seen.requests <= 0:
        return f"No request has reached this version {seen.scope}."
    above = text.estimated_between(condition, progress.coarse)
    said = text.proportion(condition, seen.likely, seen.requests, above=above, scope=seen.scope)
    return f"{said}; {text.limit(condition)}."


def _still_missing(progress: Progress, missing: float, now: datetime) -> str:
    when = text.arrival(missing, progress.pace.per_second, now)
    return f"{math.ceil(missing - _ROUNDING):,} requests are missing: {when}."


def _undecided(progress: Progress) -> str:
    rules = progress.rules
    if rules.sequential:
        evidence, needed = text.evidence(progress.evidence.value), text.evidence(rules.needed)
        return (
            f"That is too many to pass, but chance could explain it: evidence {evidence} of the {needed} of a breach."
        )
    held = progress.holding.held
    time = "0s" if held is None else text.span(held)
    return f"That is too many to pass; it has held for {time} and is a breach after {text.span(rules.hold_for)}."


def _late_suspicion(progress: Progress) -> str:
    onset = progress.onset
    since = "the stage's beginning" if onset.since is None else text.clock(onset.since)
    recent = text.proportion(progress.condition, onset.bad, onset.requests, scope=f"since {since}")
    return f"But {recent}: that looks like a regression, and nothing passes before it is decided."


def _certified_finding(progress: Progress, tolerated: float, said: str, now: datetime) -> _Finding:
    requests, possible = progress.requests, min(progress.possible, progress.requests)
    proof = sequential.certificate(tolerated, requests, possible)
    figures = f"{text.evidence(proof)} of the {text.evidence(sequential.CERTIFICATE_NEEDED)} of a certificate"
    if proof >= sequential.CERTIFICATE_NEEDED:
        return _Finding(Verdict.PASS, None, f"{said} Evidence {figures}.")
    missing = sequential.certificate_missing(tolerated, requests, possible)
    if missing is None:
        return _unknown(Cause.UNDECIDED, f"{said} At this rate it is never certified: evidence {figures}.")
    return _unknown(
        Cause.TOO_FEW_REQUESTS, f"{said} Evidence {figures}. About {_still_missing(progress, missing, now)}"
    )


def _breach_sentence(progress: Progress) -> str:
    condition, breach, rules = progress.condition, progress.breach, progress.rules
    if breach is None or progress.breached_at is None:
        return f"{condition.text} was breached."
    stable = " The stable version is over this limit too." if breach.stable_too else ""
    held = f"for {text.span(breach.held)}, {text.span(rules.hold_for)} are a breach"
    if rules.tolerated is None:
        value = "" if breach.value is None else f" {text.named_value(condition, breach.value)}"
        return f"{condition.name} was{value}, over its limit ({condition.threshold_text}) {held}.{stable}"
    since = "the stage's beginning" if breach.since is None else text.clock(breach.since)
    above = text.certainly_above(progress.coarse)
    scope = f"from {since} to {text.clock(progress.breached_at)}"
    said = text.proportion(condition, breach.bad, breach.requests, above=above, scope=scope)
    evidence = f"evidence {text.evidence(breach.evidence)}, {text.evidence(rules.needed)} are a breach"
    return f"{said}; {text.limit(condition)} ({evidence if rules.sequential else held}).{stable}"


def _value(progress: Progress) -> str:
    condition, breach, latest = progress.condition, progress.breach, progress.latest
    if breach is not None:
        return _breach_value(condition, breach)
    if isinstance(latest, Measured):
        return text.named_value(condition, latest.value)
    if isinstance(latest, Counted) and latest.display is not None and isinstance(condition.metric, Latency):
        return text.latency(latest.display)
    seen = _seen(progress)
    if condition.tolerated is None or seen.requests <= 0:
        return ""
    return text.proportion_value(condition, seen.likely / seen.requests)


def _breach_value(condition: AbortCondition, breach: Breach) -> str:
    if condition.tolerated is None:
        return "" if breach.value is None else text.named_value(condition, breach.value)
    # The displayed quantile is of another window than the judgement and may contradict it.
    if isinstance(condition.metric, Latency) and breach.value is not None and breach.value > condition.threshold:
        return text.latency(breach.value)
    return text.proportion_value(condition, breach.bad / breach.requests)
