"""Queries for a person to paste into Prometheus: what a condition measures, over one stage.

The operator itself counts increments from tick to tick (`queries`), which nobody could read. These give the same
proportion as far as Prometheus' own ``increase`` does, which extrapolates and counts restarts differently.
"""

from datetime import datetime, timedelta
from typing import Final, assert_never

from serinus.api.abort_condition import (
    AbortCondition,
    AbortRate,
    ClientErrorRate,
    ErrorRate,
    Latency,
    NamedQuery,
    PreemptionRate,
    TokensPerSecond,
    UnansweredRate,
)
from serinus.api.modelversion import BackendRef
from serinus.metrics.presets import Histogram, Key, LabelMatcher, Preset
from serinus.metrics.promql import literal, matches, millis, quoted, seconds_text

_SHORTEST: Final = timedelta(seconds=60)


def stage_query(
    preset: Preset, condition: AbortCondition, namespace: str, backend: BackendRef, period: tuple[datetime, datetime]
) -> str:
    """Return the PromQL of the proportion or the speed that a condition limits, in a period; empty for a named query.

    It has its own time (the modifier ``@``), so that it says the same whenever it is asked.
    """
    if preset.problem_with(backend, condition.metric):
        return ""
    preset, keys = preset.reading(condition.metric), frozenset({preset.key(namespace, backend)})
    begin, end = period
    span = max(_SHORTEST, end - begin) // timedelta(seconds=1)
    when = f"[{span}s] @ {seconds_text(millis(end))}"
    match condition.metric:
        case ErrorRate() | PreemptionRate() | AbortRate():
            return _share(preset, keys, when)
        case TokensPerSecond():
            return _speed(preset, keys, when)
        case ClientErrorRate():
            return _share(preset, keys, when, of_clients=True)
        case Latency():
            return _slower(preset, preset.histogram, keys, condition, when) if preset.histogram is not None else ""
        case UnansweredRate():
            return _unanswered(preset, keys, when)
        case NamedQuery():
            return ""
        case _:
            assert_never(condition.metric)


def _grown(selector: str, when: str) -> str:
    return f"sum(increase({selector}{when}))"


def _share(preset: Preset, keys: frozenset[Key], when: str, *, of_clients: bool = False) -> str:
    """Return the share of the requests that failed, or of those that were the client's mistake."""
    bad, counted = (preset.client_errors, preset.server_errors) if of_clients else (preset.server_errors, ())
    # A class of responses has no series before its first one.
    parts = [
        f"({_grown(preset.selector(preset.requests, keys, _only(one, (*counted, *bad[:index]))), when)} or vector(0))"
        for index, one in enumerate(bad)
    ]
    total = _grown(preset.selector(preset.requests, keys), when)
    if preset.transport_failures is not None:
        failed = f"({_grown(preset.selector(preset.transport_failures, keys), when)} or vector(0))"
        parts += [] if of_clients else [failed]
        total = f"({total} + {failed})"
    return f"({' + '.join(parts)}) / {total}" if len(parts) > 1 else f"{parts[0]} / {total}"


def _only(one: LabelMatcher, others: tuple[LabelMatcher, ...]) -> str:
    """Return the matcher of responses that match this one and, by another label, none of the others."""
    without = [f"{other.label}!~{quoted(other.pattern.pattern)}" for other in others if other.label != one.label]
    return ",".join((f"{one.label}=~{quoted(one.pattern.pattern)}", *without))


def _slower(preset: Preset, histogram: Histogram, keys: frozenset[Key], condition: AbortCondition, when: str) -> str:
    """Return the share of the requests above the limit; of a comparison, the quantile itself in seconds."""
    if condition.compared:
        quantile = condition.metric.quantile if isinstance(condition.metric, Latency) else 0.0
        rates = f"sum by (le) (increase({preset.selector(histogram.series, keys)}{when}))"
        return f"histogram_quantile({quantile:g}, {rates}) / {histogram.per_second:g}"
    bound = f"{condition.threshold * histogram.per_second:g}"
    # Prometheus 3 writes 200.0 where earlier releases write 200.
    within = preset.selector(histogram.series, keys, f"le=~{quoted(literal(bound) + '([.]0)?')}")
    total = preset.selector(histogram.series, keys, matches("le", ["+Inf"]))
    return f"1 - {_grown(within, when)} / {_grown(total, when)}"


def _speed(preset: Preset, keys: frozenset[Key], when: str) -> str:
    """Return the tokens of a running answer a second."""
    speed = preset.speed
    if speed is None:
        return ""
    tokens = _grown(preset.selector(speed.tokens, keys), when)
    if speed.firsts is not None:
        tokens = f"({tokens} - {_grown(preset.selector(speed.firsts, keys), when)})"
    return f"{tokens} / {_grown(preset.selector(speed.seconds, keys), when)}"


def _unanswered(preset: Preset, keys: frozenset[Key], when: str) -> str:
    lifecycle = preset.lifecycle
    if lifecycle is None:
        return ""
    sent, *answered_without = lifecycle.sent
    parts = [_grown(preset.selector(one, keys), when) for one in (sent, *answered_without)]
    started = " + ".join([parts[0], *(f"({one} or vector(0))" for one in parts[1:])])
    repeated = _grown(preset.selector(lifecycle.repeated, keys), when)
    ended = _grown(preset.selector(lifecycle.ended, keys), when)
    return f"({started} - ({repeated} or vector(0)) - {ended}) / {parts[0]}"
