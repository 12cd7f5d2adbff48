"""The sentences of an assessment: what was observed, what is missing and why it was a breach."""

import math
from datetime import datetime
from typing import Final, NamedTuple

from serinus.api.abort_condition import AbortCondition, Latency
from serinus.engine.analysis import text
from serinus.engine.analysis.measurements import CouldNotAsk, Counted, Measured, NoData
from serinus.engine.analysis.progress import Breach, Progress

_MAX_MESSAGE: Final = 500
_ROUNDING: Final = 1e-6


class Observed(NamedTuple):
    """The requests over which the proportion is observed."""

    requests: float
    likely: float
    scope: str


def no_reading(progress: Progress, latest: NoData | CouldNotAsk, now: datetime) -> str:
    """Say since when there has been no usable reading, and why."""
    known = progress.last_counted_at
    since = "since the stage began" if known is None else f"for {text.span(now - known)}"
    problem = latest.message[:_MAX_MESSAGE].rstrip(".")
    return f"There has been no usable reading of {progress.condition.name} {since}: {problem}."


def observed(progress: Progress) -> Observed:
    """Return the requests of the whole stage, or of the window where a window is judged."""
    if progress.rules.sequential:
        return Observed(progress.requests, progress.likely, "")
    total = progress.window.total
    return Observed(total.requests, total.likely, f"in the last {text.span(progress.rules.window)}")


def proportion(progress: Progress, seen: Observed) -> str:
    """Say which proportion was observed, and what the limit allows."""
    condition = progress.condition
    if seen.requests <= 0:
        return f"No answer of this version has been counted {seen.scope}."
    above = text.estimated_between(condition, progress.coarse)
    share = text.proportion(condition, seen.likely, seen.requests, above=above, scope=seen.scope)
    return f"{share}; {text.limit(condition, progress.limit)}."


def requests_missing(progress: Progress, missing: float, now: datetime) -> str:
    """Say how many requests are missing, and when they are expected."""
    if progress.pace.seconds <= 0:
        return f"{math.ceil(missing - _ROUNDING):,} requests are missing."
    when = text.arrival(missing, progress.pace.per_second, now)
    return f"{math.ceil(missing - _ROUNDING):,} requests are missing: {when}."


def undecided(progress: Progress) -> str:
    """Say why a proportion over the limit is neither a pass nor a breach."""
    rules = progress.rules
    if progress.coarse is not None:
        limit, upper = text.threshold(progress.condition), text.latency(progress.coarse.upper)
        return (
            f"That is too many to pass, and only what takes longer than {upper} counts for a breach: more requests may "
            f"never decide it. Add {limit} as a bucket bound to the data plane's histogram."
        )
    if rules.sequential:
        evidence, needed = text.evidence(progress.evidence.value), text.evidence(rules.needed)
        return (
            f"That is too many to pass, but chance could explain it: evidence {evidence} of the {needed} of a breach."
        )
    held = progress.hold_timer.held
    time = "0s" if held is None else text.span(held)
    return f"That is too many to pass; it has held for {time} and is a breach after {text.span(rules.hold_for)}."


def late_suspicion(progress: Progress) -> str:
    """Say that the latest requests look like a regression although the whole stage is within the limit."""
    onset = progress.onset
    since = "the stage's beginning" if onset.since is None else text.clock(onset.since)
    recent = text.proportion(progress.condition, onset.bad, onset.requests, scope=f"since {since}")
    return f"But {recent}: that looks like a regression, and nothing passes before it is decided."


def breached(progress: Progress) -> str:
    """Say what the breach was: since when, of how many requests, with which evidence."""
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
    proportion = text.proportion(condition, breach.bad, breach.requests, above=above, scope=scope)
    evidence = f"evidence {text.evidence(breach.evidence)}, {text.evidence(rules.needed)} are a breach"
    return f"{proportion}; {text.limit(condition, breach.limit)} ({evidence if rules.sequential else held}).{stable}"


def value(progress: Progress) -> str:
    """Return the value of the metric with its unit, as the status shows it; empty while it is unknown."""
    condition, breach, latest = progress.condition, progress.breach, progress.latest
    if breach is not None:
        return _breach_value(condition, breach)
    if isinstance(latest, Measured):
        return text.named_value(condition, latest.value)
    if isinstance(latest, Counted) and latest.display is not None and isinstance(condition.metric, Latency):
        return text.latency(latest.display)
    seen = observed(progress)
    if condition.tolerated is None or seen.requests <= 0:
        return ""
    return text.proportion_value(condition, seen.likely / seen.requests)


def _breach_value(condition: AbortCondition, breach: Breach) -> str:
    if condition.tolerated is None:
        return "" if breach.value is None else text.named_value(condition, breach.value)
    # The displayed quantile covers another window than the verdict and may contradict it.
    if isinstance(condition.metric, Latency) and breach.value is not None and breach.value > _least(condition):
        return text.latency(breach.value)
    return text.proportion_value(condition, breach.bad / breach.requests)


def _least(condition: AbortCondition) -> float:
    """Return the latency above which a displayed quantile does not contradict a breach; unknown for a comparison."""
    return math.inf if condition.compared else condition.threshold
