"""Formats numbers, times and proportions for messages to an on-call engineer."""

import math
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Final, assert_never

from serinus.api.abort_condition import (
    AbortCondition,
    AbortRate,
    ClientErrorRate,
    ErrorRate,
    Latency,
    NamedQuery,
    PreemptionRate,
    Timing,
    TokensPerSecond,
    UnansweredRate,
    Unit,
)
from serinus.engine.analysis.measurements import Coarse

_FAR: Final = timedelta(days=30)
_DIGITS: Final = 3
_LARGE: Final = 1e6


def number(value: float) -> str:
    """Format a count or a plain value: ``1,843``, ``0.41``."""
    if not math.isfinite(value):
        return "infinite" if value > 0 else "minus infinite"
    whole = round(value)
    return f"{whole:,}" if value == whole or abs(value) >= 10**_DIGITS else _significant(value)


@lru_cache(maxsize=4096)  # the same shares are formatted on every reconcile of a Rollout
def _significant(value: float) -> str:
    if value == 0:
        return "0"
    decimals = max(0, _DIGITS - 1 - math.floor(math.log10(abs(value))))
    text = f"{value:.{decimals}f}"
    return text.rstrip("0").rstrip(".") if decimals else text


def percent(ratio: float) -> str:
    """Format a ratio as a percentage with three significant digits: ``0.21%``."""
    return f"{_significant(100 * ratio)}%"


def latency(seconds: float) -> str:
    """Format a latency in seconds as ``412ms`` or ``1.24s``."""
    if not math.isfinite(seconds):
        return "infinite"
    return f"{_significant(1000 * seconds)}ms" if seconds < 1 else f"{_significant(seconds)}s"


def clock(at: datetime) -> str:
    """Format a time of day in UTC: ``14:07:31Z``."""
    return f"{at.hour:02}:{at.minute:02}:{at.second:02}Z"


def span(length: timedelta) -> str:
    """Format a duration in its two largest units: ``45s``, ``7m 30s``, ``2h 5m``, ``3d 4h``."""
    rest = max(0, math.ceil(length.total_seconds()))
    parts: list[str] = []
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)):
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count}{unit}")
        elif parts:
            break
    return " ".join(parts[:2]) or "0s"


def evidence(value: float) -> str:
    """Format evidence with four significant digits, as ``growth`` stores it; beyond a million it is irrelevant."""
    return "over 1,000,000" if value >= _LARGE else number(float(f"{value:.4g}"))


def limit(condition: AbortCondition, tolerated: float | None) -> str:
    """Format what a proportion's limit allows: ``at most 0.5% may``; of a comparison also where it comes from."""
    if tolerated is None:
        return ""
    allowed = f"at most {percent(tolerated)} may"
    if not condition.compared:
        return allowed
    if isinstance(condition.metric, Latency):
        return f"{allowed}, as of the stable version's requests"
    return f"{allowed}, {percent(condition.threshold)} more than of the stable version's"


def fault(condition: AbortCondition, above: str = "") -> str:
    """Return the verb phrase for bad requests, such as ``failed``; ``above`` replaces the limit of a latency."""
    match condition.metric:
        case Latency(timing=timing):
            return _late(timing, above or threshold(condition))
        case ErrorRate():
            return "failed"
        case UnansweredRate():
            return "got no complete answer"
        case ClientErrorRate():
            return "were refused as the client's mistake (4xx)"
        case PreemptionRate():
            return "were started again after a preemption"
        case AbortRate():
            return "ended before their answer was complete"
        case TokensPerSecond() | NamedQuery():
            return "were bad"
        case _:
            assert_never(condition.metric)


def _late(timing: Timing, limit: str) -> str:
    match timing:
        case Timing.RESPONSE | Timing.END_TO_END:
            return f"took longer than {limit}"
        case Timing.FIRST_TOKEN:
            return f"had no token for longer than {limit}"
        case Timing.OUTPUT_TOKEN:
            return f"took longer for each token than {limit}"
        case Timing.QUEUE:
            return f"waited longer than {limit}"
        case _:
            assert_never(timing)


def threshold(condition: AbortCondition) -> str:
    """Format the limit without its operator: ``200ms``."""
    return condition.threshold_text.lstrip("<>= ")


def named_value(condition: AbortCondition, value: float) -> str:
    """Format a named query's value in the unit of its threshold."""
    match condition.unit:
        case Unit.MILLISECONDS | Unit.SECONDS:
            return latency(value)
        case Unit.PERCENT:
            return percent(value) if math.isfinite(value) else number(value)
        case Unit.NONE | Unit.TIMES:
            return number(value)
        case _:
            assert_never(condition.unit)


def proportion_value(condition: AbortCondition, share: float) -> str:
    """Format a proportion as the value of its metric: ``0.21%``, or ``37% over 200ms``."""
    text = percent(share)
    return f"{text} over {threshold(condition)}" if isinstance(condition.metric, Latency) else text


def proportion(condition: AbortCondition, bad: float, requests: float, *, above: str = "", scope: str = "") -> str:
    """Format ``0.21% of 1,843 requests failed (4)``; with a scope, ``of the 1,843 requests in the last 1m``."""
    scoped = f"the {number(requests)} requests {scope}" if scope else f"{number(requests)} requests"
    return f"{percent(bad / requests)} of {scoped} {fault(condition, above)} ({number(bad)})"


def certainly_above(coarse: Coarse | None) -> str:
    """Name the bound above which requests are certainly slow; empty where the limit is a bound."""
    return "" if coarse is None else f"{latency(coarse.upper)}, the next bucket bound above the limit"


def estimated_between(condition: AbortCondition, coarse: Coarse | None) -> str:
    """Name the limit and the bounds between which a share was estimated; empty where the limit is a bound."""
    if coarse is None:
        return ""
    bounds = f"{latency(coarse.lower)} and {latency(coarse.upper)}"
    return f"{threshold(condition)} (estimated between the bucket bounds {bounds})"


def arrival(missing: float, per_second: float, now: datetime) -> str:
    """Format when this many more requests are expected at the present rate, as the end of a sentence."""
    if per_second * _FAR.total_seconds() < missing:
        return "no requests are coming in at present" if per_second <= 0 else "at the present rate not within 30 days"
    wait = timedelta(seconds=missing / per_second)
    due = now + wait
    day = "" if due.date() == now.date() else f"{due:%Y-%m-%d} "
    return f"at the present {number(per_second)} requests/s they will be there in {span(wait)}, at {day}{clock(due)}"
