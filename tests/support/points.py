"""What holds of the points of the evidence in every status that is ever decided."""

from collections.abc import Sequence
from itertools import pairwise

from serinus.api.rollout_status import EvidencePoint, EvidenceStatus, RolloutStatus

MOST = 20


def problem_with_points(before: RolloutStatus, after: RolloutStatus) -> str:
    """Return what is wrong with the points of a decided status; empty where nothing is.

    They are few, their times rise, the first one stays, and one is added only where the figures are shown anew.
    """
    held = {one.condition: one for one in before.evidence}
    problems = (_problem(one, held.get(one.condition)) for one in after.evidence)
    return next((problem for problem in problems if problem), "")


def _problem(one: EvidenceStatus, held: EvidenceStatus | None) -> str:
    if len(one.points) > MOST:
        return f"{one.condition} has {len(one.points)} points"
    if not rising(one.points):
        return f"the times of the points of {one.condition} do not rise"
    if held is None or not held.points or held.points[0].at >= one.at:
        return ""
    if one.points[:1] != held.points[:1]:
        return f"{one.condition} has lost its first point"
    if one.points != held.points and (one.at, one.verdict, one.cause) == (held.at, held.verdict, held.cause):
        return f"a point was added to {one.condition}, whose figures are as old as before"
    return ""


def rising(points: Sequence[EvidencePoint]) -> bool:
    """Return whether each point is later than the one before."""
    return all(earlier.at < later.at for earlier, later in pairwise(points))
