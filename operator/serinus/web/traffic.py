"""The candidate's share of the traffic over its last run: decided, accepted by the gateway, and observed. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from serinus.api.rollout_status import RolloutStatus, TrafficPoint
from serinus.pages.axis import Scale, Tick, ticks
from serinus.pages.text import when

HEIGHT: Final = 60


@dataclass(frozen=True, slots=True)
class Step:
    """A share from one time to the next: horizontal places in percent of the width, ``y`` in pixels from above."""

    x1: float
    x2: float
    y: float


@dataclass(frozen=True, slots=True)
class SeenShare:
    """An observed share as a dot."""

    x: float
    y: float


@dataclass(frozen=True, slots=True)
class Row:
    """One point in words."""

    at: datetime
    desired: str
    accepted: str
    observed: str
    requests: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrafficChart:
    """The shares of one run; ``top`` is the largest, which reaches the upper edge."""

    desired: tuple[Step, ...]
    accepted: tuple[Step, ...]
    observed: tuple[SeenShare, ...]
    rows: tuple[Row, ...]
    ticks: tuple[Tick, ...]
    top: str
    summary: str
    height: int = HEIGHT


def traffic_chart(status: RolloutStatus, now: datetime) -> TrafficChart | None:
    """Return the chart of the last run, up to ``now`` while it is under way; None where there is nothing to draw."""
    points = status.traffic
    if not points:
        return None
    under_way = status.candidate is not None and status.rollback is None
    end = max(points[-1].at, now) if under_way else points[-1].at
    if end <= points[0].at:
        return None
    scale = Scale(points[0].at, end)
    top = max(max(one.desired, one.accepted or 0.0, one.observed or 0.0) for one in points)
    return TrafficChart(
        desired=_steps(points, end, scale, top, lambda one: one.desired),
        accepted=_steps(points, end, scale, top, lambda one: one.accepted),
        observed=tuple(SeenShare(scale.x(one.at), _y(one.observed, top)) for one in points if one.observed is not None),
        rows=tuple(_row(one) for one in points),
        ticks=ticks(scale),
        top=f"{top:g}%",
        summary=_summary(status.run, points),
    )


def _steps(
    points: Sequence[TrafficPoint],
    end: datetime,
    scale: Scale,
    top: float,
    share: Callable[[TrafficPoint], float | None],
) -> tuple[Step, ...]:
    until = [*(one.at for one in points[1:]), end]
    shares = ((one.at, later, share(one)) for one, later in zip(points, until, strict=True))
    return tuple(Step(scale.x(at), scale.x(later), _y(value, top)) for at, later, value in shares if value is not None)


def _y(share: float, top: float) -> float:
    return round(HEIGHT * (1 - share / top), 2) if top else float(HEIGHT)


def _row(point: TrafficPoint) -> Row:
    return Row(
        at=point.at,
        desired=_percent(point.desired),
        accepted=_percent(point.accepted),
        observed=_percent(point.observed),
        requests=point.requests,
    )


def _percent(share: float | None) -> str:
    return f"{share:g}%" if share is not None else "-"


def _summary(run: int, points: Sequence[TrafficPoint]) -> str:
    """Return the chart as a sentence, for those who do not see it: when another share was desired or accepted."""
    changes = [points[0], *(b for a, b in pairwise(points) if (a.desired, a.accepted) != (b.desired, b.accepted))]
    told = (f"{when(one.at)} desired {_percent(one.desired)}, accepted {_percent(one.accepted)}" for one in changes)
    seen = next((one for one in reversed(points) if one.observed is not None), None)
    last = f" Last observed: {_percent(seen.observed)} of {seen.requests} requests." if seen is not None else ""
    return f"Share of the candidate in run {run} (UTC): {'; '.join(told)}.{last}"
