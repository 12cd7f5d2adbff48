"""The candidate's accepted share of the traffic over its last run, from the newest audit records. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from serinus.api.quantities import Share
from serinus.pages.axis import Scale, Tick, ticks
from serinus.pages.text import when
from serinus.web.trail import TrailRow

HEIGHT: Final = 60
_FEWEST: Final = 2


@dataclass(frozen=True, slots=True)
class Step:
    """A share from one time to the next: horizontal places in percent of the width, ``y`` in pixels from above."""

    x1: float
    x2: float
    y: float
    at: datetime
    share: str


@dataclass(frozen=True, slots=True)
class TrafficChart:
    """The shares of one run; ``top`` is the largest, which reaches the upper edge."""

    steps: tuple[Step, ...]
    ticks: tuple[Tick, ...]
    top: str
    summary: str
    height: int = HEIGHT


def traffic_chart(rows: Sequence[TrailRow], rollout: str, run: int) -> TrafficChart | None:
    """Return the chart of a run; None where fewer than two of these records say a share.

    Args:
        rows: records of the audit trail, in any order; those of an older page give the part of the run that they have.
        rollout: the Rollout's name.
        run: the run's number.
    """
    shares = sorted(
        (row.at, row.share)
        for row in rows
        if (row.rollout, row.run) == (rollout, run) and row.at is not None and row.share is not None
    )
    if len(shares) < _FEWEST:
        return None
    scale = Scale(shares[0][0], shares[-1][0])
    largest = max(share for _, share in shares)
    until = [*(at for at, _ in shares[1:]), shares[-1][0]]
    steps = tuple(
        Step(scale.x(at), scale.x(end), _y(share, largest), at, str(share))
        for (at, share), end in zip(shares, until, strict=True)
    )
    changes = ", ".join(f"{step.share} from {when(step.at)}" for step in steps)
    return TrafficChart(steps, ticks(scale), str(largest), f"Share of the candidate in run {run}: {changes} UTC.")


def _y(share: Share, largest: Share) -> float:
    return round(HEIGHT * (1 - share.parts / largest.parts), 2) if largest.parts else float(HEIGHT)
