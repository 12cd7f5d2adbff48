"""Measured values relative to their limits, and the recorded plan of a run."""

import re
from dataclasses import dataclass
from typing import Final

import msgspec

from serinus.api.abort_condition import AbortCondition, Latency, Operator, Unit, parse_abort_condition
from serinus.api.audit_record import Evidence
from serinus.engine.analysis import text

_VALUE: Final = re.compile(r"^(?P<number>\d[\d,]{0,20}(?:\.\d{1,20})?)(?P<unit>ms|s|%)?(?P<over> over .+)?$")


@dataclass(frozen=True, slots=True)
class Gauge:
    """A value relative to its limit.

    Attributes:
        ratio: the value as a multiple of the limit.
        limit: the limit in the value's own terms, such as ``5% over 200ms``.
        low_is_bad: whether low values breach the condition.
    """

    ratio: float
    limit: str
    low_is_bad: bool


def gauge(evidence: Evidence) -> Gauge | None:
    """Return the value relative to the limit; None where there is no value, or it is in other terms than the limit.

    The limit of a comparison is the stable version's value, which is not part of the evidence.

    A latency's value is either the time itself (``412ms``) or the share of slow requests (``37% over 200ms``), whose
    limit is the share that the quantile tolerates.
    """
    value_match = _VALUE.match(evidence.value)
    try:
        condition = parse_abort_condition(evidence.condition)
    except ValueError:
        return None
    if value_match is None or condition.compared:
        return None
    number, unit = float(value_match["number"].replace(",", "")), Unit(value_match["unit"] or "")
    value = {Unit.MILLISECONDS: number / 1000, Unit.PERCENT: number / 100}.get(unit, number)
    if value_match["over"] and isinstance(condition.metric, Latency):
        tolerated = 1 - condition.metric.quantile
        limit = f"{text.percent(tolerated)} over {text.threshold(condition)}"
        return Gauge(value / tolerated, limit, low_is_bad=False)
    if condition.threshold <= 0 or not _same_terms(condition, unit):
        return None
    low = condition.operator in {Operator.LESS, Operator.AT_MOST}
    return Gauge(value / condition.threshold, text.threshold(condition), low_is_bad=low)


def _same_terms(condition: AbortCondition, unit: Unit) -> bool:
    times = {Unit.MILLISECONDS, Unit.SECONDS}
    if isinstance(condition.metric, Latency):
        return unit in times
    shares = {Unit.PERCENT, Unit.NONE}
    return (unit in times) == (condition.unit in times) and (unit in shares) == (condition.unit in shares)


@dataclass(frozen=True, slots=True)
class PlannedStage:
    """One stage of a run's plan, as recorded.

    Attributes:
        lasts: its duration and bake time as written; empty where the plan states none.
        more: its other fields, by name.
    """

    name: str
    traffic: str
    lasts: str
    abort_on: tuple[str, ...]
    approval: str
    more: tuple[tuple[str, str], ...]


class UnreadablePlanError(ValueError):
    """The recorded plan does not match the format of a plan."""


def read_plan(text: str) -> tuple[PlannedStage, ...]:
    """Return the stages of a recorded plan: compact JSON, a list of mappings.

    Raises:
        UnreadablePlanError: the text has another format; the message names the place.
    """
    try:
        raw = msgspec.json.decode(text.encode(errors="replace"), type=list[dict[str, object]])
    except msgspec.DecodeError as problem:
        raise UnreadablePlanError(str(problem)) from problem
    return tuple(_stage(number, dict(stage)) for number, stage in enumerate(raw))


def _stage(number: int, raw: dict[str, object]) -> PlannedStage:
    if not isinstance(raw.get("name"), str):
        raise UnreadablePlanError(f"stage {number} has no name")
    conditions = raw.pop("abortOn", ())
    if not isinstance(conditions, list | tuple):
        raise UnreadablePlanError(f"stage {number}: abortOn is not a list")
    name, traffic, approval = (_text(raw.pop(key, "")) for key in ("name", "traffic", "approval"))
    watch, bake = _text(raw.pop("duration", "")), _text(raw.pop("bake", ""))
    lasts = " ".join(part for part in (watch, f"bake {bake}" if bake else "") if part)
    more = tuple((key, _text(value)) for key, value in sorted(raw.items()))
    return PlannedStage(name, traffic, lasts, tuple(_text(line) for line in conditions), approval, more)


def _text(value: object) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()
