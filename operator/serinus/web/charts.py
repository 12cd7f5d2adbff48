"""Geometry of the charts of one Rollout: positions in percent of the width, heights in pixels. Pure."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from serinus.api.abort_condition import AbortCondition, Operator, parse_abort_condition
from serinus.api.rollout_status import EvidencePoint, EvidenceStatus
from serinus.engine.analysis import text
from serinus.pages.axis import Scale, Tick, ticks
from serinus.pages.text import when

HEIGHT: Final = 96
_ROOM: Final = 1.15
"""The chart reaches this much above the largest value, so that a line at the limit is inside."""


@dataclass(frozen=True, slots=True)
class Dot:
    """One point; ``y`` in pixels from above; ``label`` its time and value in words."""

    x: float
    y: float
    at: datetime
    shown: str
    requests: int
    bad: int


@dataclass(frozen=True, slots=True)
class Segment:
    """A line between two neighbouring points."""

    x1: float
    y1: float
    x2: float
    y2: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidenceChart:
    """The figures of one condition over its stage, against its limit.

    Attributes:
        quantity: what is drawn.
        limit_y: height of the line of the limit in pixels from above; None where no number is known.
        decision_x: place of the decision to roll back in percent; None where this condition did not cause one.
        decided_at: when that was.
        summary: the chart as a sentence, for those who do not see it.
    """

    quantity: str
    dots: tuple[Dot, ...]
    segments: tuple[Segment, ...]
    limit: str
    limit_y: float | None
    top: str
    ticks: tuple[Tick, ...]
    decision_x: float | None
    decided_at: datetime | None
    summary: str
    height: int = HEIGHT


@dataclass(frozen=True, slots=True)
class _Series:
    """Values to draw, with the limit in the same unit; ``logarithmic`` where the values span many magnitudes."""

    quantity: str
    values: tuple[float, ...]
    shown: tuple[str, ...]
    limit: float | None
    limit_shown: str
    logarithmic: bool = False
    low_is_bad: bool = False

    def share(self, value: float, top: float) -> float:
        """Return the height of a value as a share of the chart, from 0 at the bottom."""
        if self.logarithmic:
            value, top = math.log1p(max(0.0, value)), math.log1p(top)
        return min(1.0, max(0.0, value / top)) if top > 0 else 0.0


def evidence_chart(judged: EvidenceStatus, needed: float | None, decided_at: datetime | None) -> EvidenceChart | None:
    """Return the chart of a condition; None where its status has no points to draw.

    Args:
        judged: the condition's last judgement, with its points.
        needed: the evidence that is a breach, in the Sequential judgement; None where the plan is not known.
        decided_at: when this condition caused a rollback; None where it did not.
    """
    points = _drawn(judged)
    if not points:
        return None
    series = _series(judged, points, needed)
    end = max(points[-1].at, decided_at) if decided_at is not None else points[-1].at
    scale = Scale(points[0].at, end)
    top = max(*series.values, series.limit or 0.0) * _ROOM
    dots = tuple(
        Dot(scale.x(point.at), _y(series, value, top), point.at, shown, point.requests, point.bad)
        for point, value, shown in zip(points, series.values, series.shown, strict=True)
    )
    return EvidenceChart(
        quantity=series.quantity,
        dots=dots,
        segments=tuple(Segment(a.x, a.y, b.x, b.y) for a, b in pairwise(dots)),
        limit=series.limit_shown,
        limit_y=_y(series, series.limit, top) if series.limit is not None else None,
        top=series.shown[max(range(len(dots)), key=lambda index: series.values[index])],
        ticks=ticks(scale),
        decision_x=scale.x(decided_at) if decided_at is not None else None,
        decided_at=decided_at,
        summary=_summary(judged, series, dots, decided_at),
    )


def _y(series: _Series, value: float, top: float) -> float:
    return round(HEIGHT * (1 - series.share(value, top)), 2)


def _drawn(judged: EvidenceStatus) -> tuple[EvidencePoint, ...]:
    """Return the points that have the figure that is drawn, by time: E, else the observed value."""
    points = sorted(judged.points, key=lambda point: point.at)
    with_evidence = tuple(point for point in points if _number(point.evidence) is not None)
    return with_evidence or tuple(point for point in points if _number(point.value) is not None)


def _series(judged: EvidenceStatus, points: Sequence[EvidencePoint], needed: float | None) -> _Series:
    condition = _condition(judged)
    evidence = tuple(value for value in (_number(point.evidence) for point in points) if value is not None)
    if evidence:
        values = evidence
        return _Series(
            quantity="Evidence E against the version, logarithmic",
            values=values,
            shown=tuple(text.evidence(value) for value in values),
            limit=needed,
            limit_shown=f"a breach from {text.evidence(needed)}" if needed is not None else "",
            logarithmic=True,
        )
    values = tuple(value for value in (_number(point.value) for point in points) if value is not None)
    limit = None if condition is None or condition.compared else _limit(condition)
    return _Series(
        quantity="Observed value",
        values=values,
        shown=tuple(_shown(condition, value) for value in values),
        limit=limit,
        limit_shown=f"limit {_shown(condition, limit)}" if limit is not None else "",
        low_is_bad=condition is not None and condition.operator in {Operator.LESS, Operator.AT_MOST},
    )


def _condition(judged: EvidenceStatus) -> AbortCondition | None:
    try:
        return parse_abort_condition(judged.condition)
    except ValueError:
        return None


def _limit(condition: AbortCondition) -> float:
    return condition.tolerated if condition.tolerated is not None else condition.threshold


def _number(figure: str | None) -> float | None:
    value = float(figure) if figure is not None else math.nan
    return value if math.isfinite(value) else None


def _shown(condition: AbortCondition | None, value: float) -> str:
    if condition is None:
        return text.number(value)
    return text.percent(value) if condition.tolerated is not None else text.named_value(condition, value)


def _summary(judged: EvidenceStatus, series: _Series, dots: Sequence[Dot], decided_at: datetime | None) -> str:
    first, last = dots[0], dots[-1]
    course = f"{first.shown} at {when(first.at)}, {last.shown} at {when(last.at)} UTC"
    parts = [f"{series.quantity} of {judged.condition}: {course}"]
    if series.limit_shown:
        parts.append(series.limit_shown)
    if series.low_is_bad:
        parts.append("low values are bad")
    if decided_at is not None:
        parts.append(f"rollback decided at {when(decided_at)} UTC")
    return "; ".join(parts) + "."
