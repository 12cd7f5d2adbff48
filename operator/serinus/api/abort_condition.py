"""One line of ``abortOn``: ``latency_p95 > 200ms``, ``error_rate > 0.5%``, ``drift_score > 0.3``.

The condition holds when a version is bad. The standard metrics are *proportions of requests*: ``error_rate > 0.5%``
means "more than 0.5 % of the requests fail", ``latency_p95 > 200ms`` means "more than 5 % of them take longer than
200 ms". Any other name is a query in the administrator's configuration, whose value is compared directly.
"""

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, assert_never

PATTERN: Final = r"^\s*[a-z][a-z0-9_]{0,62}\s*(>=|>|<=|<)\s*[0-9]{1,12}(\.[0-9]{1,9})?\s*(ms|s|%)?\s*$"
DESCRIPTION: Final = "When the version is bad, such as latency_p95 > 200ms, error_rate > 0.5% or a named query > 0.3."

_FORM: Final = re.compile(
    r"^\s*(?P<metric>[a-z][a-z0-9_]{0,62})\s*(?P<operator>>=|>|<=|<)\s*"
    r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(?P<unit>ms|s|%)?\s*$"
)
_LATENCY: Final = re.compile(r"^latency_p(?P<digits>[0-9]{2,4})$")
_LOWEST_QUANTILE: Final = 0.5
"""Below the median, "slow" would be the normal case."""


class Operator(StrEnum):
    """How the measured value is compared with the threshold; the condition holds when the version is bad."""

    GREATER = ">"
    AT_LEAST = ">="
    LESS = "<"
    AT_MOST = "<="

    def holds(self, value: float, threshold: float) -> bool:
        """Return whether ``value <operator> threshold``."""
        match self:
            case Operator.GREATER:
                return value > threshold
            case Operator.AT_LEAST:
                return value >= threshold
            case Operator.LESS:
                return value < threshold
            case Operator.AT_MOST:
                return value <= threshold
            case _:
                assert_never(self)


class Unit(StrEnum):
    """The unit of a threshold, as written."""

    MILLISECONDS = "ms"
    SECONDS = "s"
    PERCENT = "%"
    NONE = ""


@dataclass(frozen=True, slots=True)
class Latency:
    """A quantile of the time until a request is answered: ``latency_p95`` is 0.95, ``latency_p999`` is 0.999."""

    quantile: float


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """The proportion of requests that fail on the server's side (5xx) or in the transport."""


@dataclass(frozen=True, slots=True)
class ClientErrorRate:
    """The proportion of requests refused as the client's mistake (4xx): a broken model schema shows up here."""


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query in the administrator's configuration, by name."""

    name: str


Metric = Latency | ErrorRate | ClientErrorRate | NamedQuery


@dataclass(frozen=True, slots=True)
class AbortCondition:
    """One parsed line of ``abortOn``.

    Attributes:
        text: the line in normal form, such as ``latency_p95 > 200ms``; identifies the condition everywhere.
        name: the metric as written.
        metric: the metric.
        operator: the comparison.
        threshold: in base units: seconds for a latency, a ratio for a proportion, as written for a named query.
        unit: the unit as written, for display.
    """

    text: str
    name: str
    metric: Metric
    operator: Operator
    threshold: float
    unit: Unit

    @property
    def threshold_text(self) -> str:
        """The right-hand side as written: ``> 200ms``."""
        return self.text.removeprefix(self.name).strip()

    @property
    def tolerated(self) -> float | None:
        """The tolerated proportion of bad requests (p0 of the sequential test); None for a named query."""
        match self.metric:
            case Latency(quantile):
                return 1.0 - quantile
            case ErrorRate() | ClientErrorRate():
                return self.threshold
            case NamedQuery():
                return None
            case _:
                assert_never(self.metric)


@lru_cache(maxsize=4096)
def parse_abort_condition(line: str) -> AbortCondition:
    """Parse one line.

    Raises:
        ValueError: the line is malformed, its unit does not suit its metric, or its threshold is out of range.
    """
    parts = _FORM.fullmatch(line)
    if parts is None:
        raise ValueError(
            f"invalid condition {line!r}: write a metric, >, >=, < or <=, and a limit, such as error_rate > 0.5%"
        )
    name, unit = parts["metric"], Unit(parts["unit"] or "")
    operator, number = Operator(parts["operator"]), float(parts["number"])
    metric = _metric(name)
    threshold = _in_base_units(metric, name, number, unit)
    if not isinstance(metric, NamedQuery) and operator not in {Operator.GREATER, Operator.AT_LEAST}:
        raise ValueError(f"{line!r} would be a fault when {name} is low: use > or >=")
    text = f"{name} {operator.value} {parts['number']}{unit.value}"
    return AbortCondition(text, name, metric, operator, threshold, unit)


def _metric(name: str) -> Metric:
    if name == "error_rate":
        return ErrorRate()
    if name == "client_error_rate":
        return ClientErrorRate()
    latency = _LATENCY.fullmatch(name)
    if latency is None:
        return NamedQuery(name)
    digits = latency["digits"]
    quantile = int(digits) / 10 ** len(digits)
    if quantile < _LOWEST_QUANTILE:
        raise ValueError(f"{name}: only quantiles from latency_p50 up are supported")
    return Latency(quantile)


def _in_base_units(metric: Metric, name: str, number: float, unit: Unit) -> float:
    match metric:
        case Latency():
            if unit not in {Unit.MILLISECONDS, Unit.SECONDS} or number <= 0:
                raise ValueError(f"{name}: give the limit in ms or s and above 0, such as 200ms")
            return number / 1000 if unit is Unit.MILLISECONDS else number
        case ErrorRate() | ClientErrorRate():
            ratio = number / 100 if unit is Unit.PERCENT else number
            if unit not in {Unit.PERCENT, Unit.NONE} or not 0 < ratio < 1:
                raise ValueError(
                    f"{name}: give the limit as a percentage or a ratio between 0 and 1, such as 0.5% or 0.005"
                )
            return ratio
        case NamedQuery():
            return {Unit.MILLISECONDS: number / 1000, Unit.PERCENT: number / 100}.get(unit, number)
        case _:
            assert_never(metric)
