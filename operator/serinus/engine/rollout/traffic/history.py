"""The candidate's share over its run, as the status shows it: decided, accepted by the gateway, and observed.

Nothing is decided on it, and it never makes a write of its own: each point goes with a change that is written anyway.
"""

from typing import Final

from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.rollout_status import MAX_TRAFFIC_POINTS, RolloutStatus, TrafficPoint
from serinus.engine.analysis.thinning import thinned
from serinus.engine.rollout.draft import Situation

_TENTHS: Final = 1
"""Decimals of an observed share in percent."""


def with_traffic(status: RolloutStatus, before: RolloutStatus, situation: Situation) -> RolloutStatus:
    """Return the status with one more point where the share, its acceptance or the evidence has changed.

    Args:
        status: as it will be written.
        before: as it was.
        situation: what the decision rests on.
    """
    candidate = status.candidate
    if candidate is None:
        return status
    fresh = bool(status.evidence) and status.evidence != before.evidence
    if (_weight(status), _is_confirmed(status)) == (_weight(before), _is_confirmed(before)) and not fresh:
        return status
    held = tuple(point for point in status.traffic if point.at < situation.now)
    accepted = candidate.weight if _is_confirmed(status) else held[-1].accepted if held else None
    seen = situation.observed.share
    known = fresh and seen.total > 0 and candidate.weight > 0
    point = TrafficPoint(
        at=situation.now,
        desired=candidate.weight,
        accepted=accepted,
        observed=round(100 * seen.candidate / seen.total, _TENTHS) if known else None,
        requests=round(seen.total) if known else 0,
    )
    return structs.replace(status, traffic=thinned((*held, point), MAX_TRAFFIC_POINTS, first=_says_nothing_new))


def _weight(status: RolloutStatus) -> tuple[int, str, float] | None:
    candidate = status.candidate
    return (status.run, candidate.version, candidate.weight) if candidate is not None else None


def _is_confirmed(status: RolloutStatus) -> bool:
    found = find_condition(status.conditions, ConditionType.TRAFFIC_CONFIRMED)
    return found is not None and found.status is ConditionStatus.TRUE


def _says_nothing_new(before: TrafficPoint, point: TrafficPoint, after: TrafficPoint) -> bool:
    return _shares(before) == _shares(point) == _shares(after)


def _shares(point: TrafficPoint) -> tuple[float, float | None]:
    return point.desired, point.accepted
