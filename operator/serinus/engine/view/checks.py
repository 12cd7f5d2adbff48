"""The conditions of a stage: value, limit, evidence, and how the evidence grew towards its limit."""

import math
from datetime import datetime, timedelta
from enum import StrEnum

from msgspec import Struct

from serinus.api.abort_condition import AbortCondition, Operator, parse_abort_condition
from serinus.api.rollout import Judgement, RolloutSpec
from serinus.api.rollout_status import EvidencePoint, EvidenceStatus, RolloutStatus
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.false_aborts import FALSE_ABORTS_PER_RUN, conditions_in_run


class Mark(StrEnum):
    """A sign beside a line; how it looks is the screen's matter."""

    GOOD = "good"
    BAD = "bad"
    ACTIVE = "active"
    HELD = "held"
    WARNING = "warning"
    NONE = "none"


class GrowthPoint(Struct, frozen=True):
    """One point of the evidence.

    Attributes:
        at: up to when the metrics were read (UTC).
        figure: the evidence E, or the value that is compared; None where there is none.
        level: how near it is to the breach, 0 to 1, where 1 is the breach itself; None without a figure.
        requests: of the candidate since the stage began.
        bad: how many of them were bad.
    """

    at: datetime
    figure: float | None
    level: float | None
    requests: int
    bad: int


class CheckView(Struct, frozen=True, kw_only=True):
    """One condition of the stage.

    Attributes:
        condition: the line of ``abortOn``.
        metric: its name.
        mark: good for a pass, bad for a breach, active while it is open, warning where the metrics cannot be had.
        value: with its unit; empty while it is unknown.
        limit: as written, such as ``> 200ms``.
        requests: that it rests on.
        verdict: what the evidence says.
        cause: why it is unknown, such as ``NoTraffic``; empty where it is not.
        message: the operator's own sentence.
        at: when it was judged (UTC).
        guard: whether nobody wrote it.
        needed: the evidence E that is a breach; None where the value is compared instead.
        points: how it grew, oldest first.
    """

    condition: str
    metric: str
    mark: Mark
    value: str
    limit: str
    requests: int
    verdict: Verdict
    cause: str
    message: str
    at: datetime
    guard: bool
    needed: float | None
    points: tuple[GrowthPoint, ...]

    @property
    def evidence(self) -> float | None:
        """The last evidence E; None where there is none."""
        figures = [point.figure for point in self.points if point.figure is not None]
        return figures[-1] if figures and self.needed is not None else None


_OPEN = frozenset({"Undecided", "TooFewRequests", "NoTraffic"})
"""Causes that time and requests end; the others mean that the metrics cannot be had."""

_FIRST_SCRAPE = timedelta(minutes=1)
"""So long a version that has just got its first requests may have no series: no scrape has shown it yet."""


def checks_of(spec: RolloutSpec | None, status: RolloutStatus) -> tuple[CheckView, ...]:
    """Return the conditions that were judged last, those that people wrote first."""
    ordered = sorted(status.evidence, key=lambda one: one.guard)
    breach = conditions_in_run(spec) / FALSE_ABORTS_PER_RUN if spec is not None and ordered else 0.0
    began = status.stage.state_since if status.stage is not None else None
    return tuple(_check(one, began, breach if _collects_evidence(one, spec, status) else None) for one in ordered)


def _collects_evidence(one: EvidenceStatus, spec: RolloutSpec | None, status: RolloutStatus) -> bool:
    """Return whether the condition is judged by evidence; else its value is compared."""
    parsed = _parsed(one)
    if spec is None or parsed is None or parsed.tolerated is None:
        return False
    index = status.stage.index if status.stage is not None else len(spec.stages) - 1
    judgement = spec.stages[index].judgement if index < len(spec.stages) else Judgement.SEQUENTIAL
    return judgement is Judgement.SEQUENTIAL or one.guard


def _check(one: EvidenceStatus, began: datetime | None, needed: float | None) -> CheckView:
    cause = one.cause.value if one.cause is not None else ""
    parsed = _parsed(one)
    return CheckView(
        condition=one.condition,
        metric=one.name,
        mark=_mark(one, cause, began),
        value=one.value,
        limit=parsed.threshold_text if parsed is not None else one.threshold,
        requests=one.requests,
        verdict=one.verdict,
        cause=cause,
        message=one.message,
        at=one.at,
        guard=one.guard,
        needed=needed,
        points=tuple(_point(point, parsed, needed) for point in one.points),
    )


def _mark(one: EvidenceStatus, cause: str, began: datetime | None) -> Mark:
    unscraped = cause == Cause.NO_SERIES.value and began is not None and one.at - began < _FIRST_SCRAPE
    match one.verdict:
        case Verdict.PASS:
            return Mark.GOOD
        case Verdict.BREACH:
            return Mark.BAD
        case Verdict.UNKNOWN:
            return Mark.ACTIVE if cause in _OPEN or unscraped else Mark.WARNING


def _parsed(one: EvidenceStatus) -> AbortCondition | None:
    try:
        return parse_abort_condition(one.condition)
    except ValueError:
        return None


def _point(point: EvidencePoint, condition: AbortCondition | None, needed: float | None) -> GrowthPoint:
    text = point.evidence if needed is not None else point.value
    figure = float(text) if text is not None else None
    if figure is None or not math.isfinite(figure):
        return GrowthPoint(point.at, None, None, point.requests, point.bad)
    if needed is not None:
        level = math.log(max(1.0, figure)) / math.log(needed)
    else:
        level = _share_of_limit(figure, condition) if condition is not None else 0.0
    return GrowthPoint(point.at, figure, min(1.0, max(0.0, level)), point.requests, point.bad)


def _share_of_limit(value: float, condition: AbortCondition) -> float:
    """Return how near a value is to its limit: 1 at the limit and beyond it."""
    limit = condition.tolerated if condition.tolerated is not None else condition.threshold
    if condition.operator in {Operator.LESS, Operator.AT_MOST}:
        value, limit = limit, value
    if limit <= 0:
        return 1.0 if value > 0 else 0.0
    return value / limit
