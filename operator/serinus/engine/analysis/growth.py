"""How the figures of a condition grew in the course of a stage: a bounded list of points, spread evenly in time."""

import math

from serinus.api.rollout_status import MAX_POINTS, EvidencePoint
from serinus.engine.analysis.measurements import Counted, Measured
from serinus.engine.analysis.progress import Progress
from serinus.engine.analysis.thinning import thinned


def with_point(points: tuple[EvidencePoint, ...], progress: Progress) -> tuple[EvidencePoint, ...]:
    """Return the points and that of the last answer, at most ``MAX_POINTS``, with rising times.

    An answer without figures adds none. Points from the same time or later, left by a clock that was set back, go.
    """
    latest = progress.latest
    if not isinstance(latest, Counted | Measured) or (points and points[-1].at == latest.at):
        return points
    earlier = tuple(point for point in points if point.at < latest.at)
    return thinned((*earlier, _point(progress, latest)), MAX_POINTS)


def _point(progress: Progress, latest: Counted | Measured) -> EvidencePoint:
    sequential = progress.rules.sequential
    return EvidencePoint(
        at=latest.at,
        requests=round(progress.requests),
        bad=round(progress.likely),
        evidence=_figure(progress.evidence.value) if sequential else None,
        value=None if sequential else _figure(_observed(progress, latest)),
    )


def _observed(progress: Progress, latest: Counted | Measured) -> float | None:
    if isinstance(latest, Measured):
        return latest.value
    total = progress.window.total
    return total.likely / total.requests if total.requests > 0 else None


def _figure(value: float | None) -> str | None:
    """Format a figure with four significant digits; None where it is not finite, as the API has no such number."""
    return f"{value:.4g}" if value is not None and math.isfinite(value) else None
