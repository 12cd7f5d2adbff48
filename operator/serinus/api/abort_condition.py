"""One line of ``abortOn``: ``latency_p95 > 200ms``, ``error_rate > stable + 0.5%``, ``drift_score > 0.3``.

The condition holds when a version is bad. The standard metrics are *proportions of requests*: ``error_rate > 0.5%``
means "more than 0.5 % of the requests fail", ``latency_p95 > 200ms`` means "more than 5 % of them take longer than
200 ms". They can also be compared with the stable version: ``error_rate > stable + 0.5%``, ``latency_p95 > 1.2x
stable``. The value of ``tokens_per_second < 20`` is compared directly. Any other name is a query in the administrator's
configuration, whose value is compared directly too.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from types import MappingProxyType
from typing import Final, assert_never

from serinus.api.metric_names import metric_meant, name_in
from serinus.api.schema import in_python

_NUMBER: Final = r"[0-9]{1,12}(\.[0-9]{1,9})?"
PATTERN: Final = (
    rf"^\s*[a-z][a-z0-9_]{{0,62}}\s*(>=|>|<=|<)\s*"
    rf"({_NUMBER}\s*(ms|s|%)?|stable\s*[+]\s*{_NUMBER}\s*%?|{_NUMBER}\s*x\s*stable)\s*$"
)
DESCRIPTION: Final = (
    "When the version is bad, such as latency_p95 > 200ms, error_rate > 0.5% or a named query > 0.3; or compared with "
    "the stable version, such as error_rate > stable + 0.5% or latency_p95 > 1.2x stable."
)
FORM_ADVICE: Final = "write a metric, >, >=, < or <=, and a limit, such as error_rate > 0.5%"
COMPARED: Final = r"(x\s*stable\s*$|stable\s*[+])"
"""Found in every line that compares with the stable version, and in no other one."""

_FORM: Final = re.compile(
    in_python(
        r"^\s*(?P<metric>[a-z][a-z0-9_]{0,62})\s*(?P<operator>>=|>|<=|<)\s*(?P<margin>stable\s*[+]\s*)?"
        r"(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(?P<unit>ms|s|%|x)?(?P<factor>\s*stable)?\s*$"
    )
)
_BARE_FRACTION: Final = re.compile(in_python(r"[<>=]\s*(\.[0-9]+\s*(?:ms|s|%)?)"))
_LATENCY: Final = re.compile(r"(?P<timing>latency|ttft|tpot|e2e_latency|queue_time)_p(?P<digits>[0-9]+)")
_MOST_DIGITS: Final = 4
LONGEST_LINE: Final = 128
"""A line has no more characters: the time that its form takes to match grows with the square of its blanks."""


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
    TIMES = "x"
    NONE = ""


class Timing(StrEnum):
    """Which time of a request is measured, as the metrics of it are called.

    ``latency``: until the data plane has the answer. Of a large language model's server: ``ttft`` until the first
    token, ``tpot`` for each further token, ``e2e_latency`` until the last token, ``queue_time`` until it is scheduled.
    """

    RESPONSE = "latency"
    FIRST_TOKEN = "ttft"  # noqa: S105 - no password
    OUTPUT_TOKEN = "tpot"  # noqa: S105 - no password
    END_TO_END = "e2e_latency"
    QUEUE = "queue_time"


@dataclass(frozen=True, slots=True)
class Latency:
    """A quantile of a time that requests take: ``latency_p95`` has 0.95, ``ttft_p999`` has 0.999."""

    quantile: float
    timing: Timing = Timing.RESPONSE


@dataclass(frozen=True, slots=True)
class ErrorRate:
    """The proportion of requests that fail on the server's side (5xx) or in the transport."""


@dataclass(frozen=True, slots=True)
class ClientErrorRate:
    """The proportion of requests refused as the client's mistake (4xx): a broken model schema shows up here."""


@dataclass(frozen=True, slots=True)
class UnansweredRate:
    """The proportion of requests without a complete answer: clients gave up, or it broke off, or nothing was there."""


@dataclass(frozen=True, slots=True)
class PreemptionRate:
    """The proportion of a model server's starts of a request that repeat one: it was preempted for want of memory."""


@dataclass(frozen=True, slots=True)
class AbortRate:
    """The proportion of requests that ended before their answer was complete, mostly as the client gave up."""


@dataclass(frozen=True, slots=True)
class TokensPerSecond:
    """How many tokens a second a running answer gets, on average over the tokens of the last minute."""


@dataclass(frozen=True, slots=True)
class NamedQuery:
    """A query in the administrator's configuration, by name."""

    name: str


Rate = ErrorRate | ClientErrorRate | UnansweredRate | PreemptionRate | AbortRate
"""What is a proportion of requests as it is written."""

Value = TokensPerSecond | NamedQuery
"""What has a value instead of counts of requests."""

Metric = Latency | Rate | Value

_RATES: Final[Mapping[str, Rate]] = MappingProxyType(
    {
        "error_rate": ErrorRate(),
        "client_error_rate": ClientErrorRate(),
        "unanswered_rate": UnansweredRate(),
        "preemption_rate": PreemptionRate(),
        "abort_rate": AbortRate(),
    }
)
TOKENS_PER_SECOND: Final = "tokens_per_second"


@dataclass(frozen=True, slots=True)
class AbortCondition:
    """One parsed line of ``abortOn``.

    Attributes:
        text: the line in normal form, such as ``latency_p95 > 200ms``; identifies the condition everywhere.
        name: the metric as written.
        metric: the metric.
        operator: the comparison.
        threshold: in base units: seconds for a latency, a ratio for a proportion, as written for a named query; of a
            comparison, the ratio by which a proportion, or the factor by which a latency, may exceed the stable one.
        unit: the unit as written, for display.
        compared: whether the version is compared with the stable one.
    """

    text: str
    name: str
    metric: Metric
    operator: Operator
    threshold: float
    unit: Unit
    compared: bool = False

    @property
    def threshold_text(self) -> str:
        """The right-hand side as written: ``> 200ms``."""
        return self.text.removeprefix(self.name).strip()

    @property
    def meaning(self) -> tuple[Metric, Operator, bool, Decimal]:
        """What identifies the condition, however it is spelled: ``> 200ms`` is ``> 0.2s``, ``> 1%`` is ``> 0.010``."""
        return self.metric, self.operator, self.compared, _limit_in(self.threshold_text, self.unit)

    @property
    def tolerated(self) -> float | None:
        """The tolerated proportion of bad requests (p0 of the sequential test); None for a value.

        Of a comparison, that by which the stable version's proportion may be exceeded; of a latency, the quantile's.
        """
        match self.metric:
            case Latency(quantile):
                return 1.0 - quantile
            case ErrorRate() | ClientErrorRate() | UnansweredRate() | PreemptionRate() | AbortRate():
                return self.threshold
            case TokensPerSecond() | NamedQuery():
                return None
            case _:
                assert_never(self.metric)


@lru_cache(maxsize=4096)
def _limit_in(threshold: str, unit: Unit) -> Decimal:
    number = threshold.lstrip("<>= ").removeprefix("stable + ").removesuffix(" stable")
    return Decimal(number.removesuffix(unit.value)).scaleb(_EXPONENTS[unit])


@lru_cache(maxsize=4096)
def parse_abort_condition(line: str) -> AbortCondition:
    """Parse one line.

    Raises:
        ValueError: the line is malformed, its unit does not suit its metric, or its threshold is out of range.
    """
    if len(line) > LONGEST_LINE:
        raise ValueError(f"invalid condition {line[:LONGEST_LINE]!r}…: use at most {LONGEST_LINE} characters")
    meant = metric_meant(name_in(line))
    if meant:
        raise ValueError(f"{name_in(line)}: {meant}")
    parts = _FORM.fullmatch(line)
    if parts is None:
        raise ValueError(f"invalid condition {line!r}: {_how_to_write(line)}")
    name, unit, compared = parts["metric"], Unit(parts["unit"] or ""), bool(parts["margin"] or parts["factor"])
    operator = Operator(parts["operator"])
    metric = _metric(name)
    high = operator in {Operator.GREATER, Operator.AT_LEAST}
    if isinstance(metric, TokensPerSecond) and high:
        raise ValueError(f"{line!r} would be a fault when {name} is high: use < or <=")
    if not isinstance(metric, TokensPerSecond | NamedQuery) and not high:
        raise ValueError(f"{line!r} would be a fault when {name} is low: use > or >=")
    if compared:
        return _comparison(name, metric, operator, parts)
    if unit is Unit.TIMES:
        raise ValueError(f"invalid condition {line!r}: {_how_to_write(line)}")
    limit = _in_base_units(metric, name, Decimal(parts["number"]), unit)
    text = f"{name} {operator.value} {parts['number']}{unit.value}"
    return AbortCondition(text, name, metric, operator, float(limit), unit)


def _comparison(name: str, metric: Metric, operator: Operator, parts: re.Match[str]) -> AbortCondition:
    """Return a condition that compares with the stable version."""
    number, unit = Decimal(parts["number"]), Unit(parts["unit"] or "")
    match metric:
        case Latency():
            if parts["margin"] or unit is not Unit.TIMES or number < 1:
                raise ValueError(f"{name}: compare with a factor of 1 or more, such as 1.2x stable")
            text = f"{name} {operator.value} {parts['number']}x stable"
        case ErrorRate() | ClientErrorRate() | UnansweredRate() | PreemptionRate() | AbortRate():
            if parts["factor"]:
                raise ValueError(f"{name}: compare with a margin, such as stable + 0.5%")
            _in_base_units(metric, name, number, unit)
            text = f"{name} {operator.value} stable + {parts['number']}{unit.value}"
        case TokensPerSecond() | NamedQuery():
            raise ValueError(f"{name}: only latencies and rates of requests are compared with the stable version")
        case _:
            assert_never(metric)
    return AbortCondition(text, name, metric, operator, float(number.scaleb(_EXPONENTS[unit])), unit, compared=True)


def _how_to_write(line: str) -> str:
    fraction = _BARE_FRACTION.search(line)
    if fraction is not None:
        return f"write 0{fraction[1].rstrip()}"
    return FORM_ADVICE


def _metric(name: str) -> Metric:
    if name in _RATES:
        return _RATES[name]
    if name == TOKENS_PER_SECOND:
        return TokensPerSecond()
    latency = _LATENCY.fullmatch(name)
    if latency is None:
        return NamedQuery(name)
    digits = latency["digits"]
    quantile = int(digits) / 10 ** len(digits)
    # One digit may be meant as 5 % or as 50 %. Below the median "slow" would be the normal case.
    if not (1 < len(digits) <= _MOST_DIGITS and quantile >= 0.5):  # noqa: PLR2004 - the median
        timing = latency["timing"]
        raise ValueError(f"{name}: quantiles from {timing}_p50 to {timing}_p9999 can be judged, such as {timing}_p95")
    return Latency(quantile, Timing(latency["timing"]))


def is_standard(name: str) -> bool:
    """Return whether a name means a standard metric, judgeable or not, and so can be no named query's."""
    return name in _RATES or name == TOKENS_PER_SECOND or _LATENCY.fullmatch(name) is not None


def _in_base_units(metric: Metric, name: str, number: Decimal, unit: Unit) -> Decimal:
    match metric:
        case Latency():
            if unit not in {Unit.MILLISECONDS, Unit.SECONDS} or number <= 0:
                raise ValueError(f"{name}: give the limit in ms or s and above 0, such as 200ms")
        case ErrorRate() | ClientErrorRate() | UnansweredRate() | PreemptionRate() | AbortRate():
            most = 100 if unit is Unit.PERCENT else 1
            if unit not in {Unit.PERCENT, Unit.NONE} or not 0 < number < most:
                raise ValueError(
                    f"{name}: give the limit as a percentage or a ratio between 0 and 1, such as {_percentage(number)}"
                )
        case TokensPerSecond():
            if unit is not Unit.NONE or number <= 0:
                raise ValueError(f"{name}: give the limit as a number above 0, such as 20")
        case NamedQuery():
            pass
        case _:
            assert_never(metric)
    return number.scaleb(_EXPONENTS[unit])


_EXPONENTS: Final = {Unit.MILLISECONDS: -3, Unit.PERCENT: -2, Unit.SECONDS: 0, Unit.TIMES: 0, Unit.NONE: 0}


def _percentage(number: Decimal) -> str:
    """Return what somebody may have meant who wrote a percentage without its sign."""
    return f"{number}%" if 1 <= number < 100 else "0.5% or 0.005"  # noqa: PLR2004 - percent
