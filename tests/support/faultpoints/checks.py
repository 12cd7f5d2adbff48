"""What holds at every point, whatever its fault: read off everything that was stored of the route and the Rollout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Final

from support.faultpoints.faults import LASTS, Point
from support.faultpoints.histories import Stored, weights_of
from support.faultpoints.metrics_server import Series
from support.faultpoints.stories import CANARY_SECONDS, NEEDED, ORDER, SHARES, Story, backend_of, series_of

SAFE_WITHIN: Final = 20.0
"""Seconds from the cause, or from the moment when calls succeed again, until a bad version has no weight.

The interval of the resync, a tick, the start of an operator, and room for a machine that others keep busy, too: at a
load of 8 on each core 15 s were seen. What is usual is in the page of the results.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Happened:
    """Everything that a point is judged by; times in seconds since 1970.

    Attributes:
        story: what was to happen.
        namespace: of the story.
        routes: every stored version of the route.
        rollouts: likewise of the Rollout.
        series: what the metrics were.
        acted: when the person acted; None where nobody does.
        struck: when each fault happened.
    """

    story: Story
    namespace: str
    routes: Sequence[Stored]
    rollouts: Sequence[Stored]
    series: Series
    acted: float | None = None
    struck: Mapping[Point, float] = field(default_factory=dict)

    def share(self, route: Stored, version: str) -> float:
        """The share that a route gives a version."""
        return weights_of(route.raw).get(backend_of(version), 0.0)


def raises_without_evidence(happened: Happened) -> list[str]:
    """Return each rise of a candidate's weight that was not due."""
    problems: list[str] = []
    for version in happened.story.versions:
        for before, after in pairwise(happened.routes):
            old, new = happened.share(before, version), happened.share(after, version)
            why = _unproven(happened, version, after) if new > old else ""
            problems += [f"{version} was raised from {old:.0%} to {new:.0%}: {why}"] if why else []
    return problems


def _unproven(happened: Happened, version: str, route: Stored) -> str:
    """Return why a version must not have had its share when the route was written; empty where it might."""
    story, share = happened.story, happened.share(route, version)
    earlier = [one for one in happened.rollouts if one.version < route.version]
    status = earlier[-1].raw.get("status", {}) if earlier else {}
    if (status.get("candidate") or {}).get("version") != version:
        return "it was not stored as the candidate"
    if version in story.falls and happened.acted is not None and route.seen > happened.acted + SAFE_WITHIN:
        return "it had been given up"
    stage = (status.get("stage") or {}).get("name", "")
    # A weight is written before the status that says so, so the stored stage may be the one before.
    highest = SHARES[ORDER[min(ORDER.index(stage) + 1, len(ORDER) - 1)]] if stage in ORDER else 0.0
    if share > highest + 1e-9:
        return f"the stored stage is {stage or 'none'}"
    return _too_early(happened, version, route) if share > SHARES["canary"] else ""


def _too_early(happened: Happened, version: str, route: Stored) -> str:
    if version in happened.story.falls:
        return "it is the version that must fall"
    known = happened.series.known_by(series_of(happened.namespace, version), route.seen)
    if known < NEEDED:
        return f"only {known:.0f} of its requests were known"
    first = next(one.seen for one in happened.routes if happened.share(one, version) > 0)
    if route.seen - first < CANARY_SECONDS:
        return f"it had its first weight only {route.seen - first:.2f} s before"
    return ""


def seconds_to_safety(happened: Happened, version: str) -> float | None:
    """Return how long a version kept its weight after the cause or the last fault; None where it still has it."""
    routes = happened.routes
    given = [number for number, one in enumerate(routes) if happened.share(one, version) > 0]
    if not given:
        return 0.0
    if given[-1] + 1 >= len(routes):
        return None
    cause = happened.acted if happened.acted is not None else routes[given[0]].seen
    safe = routes[given[-1] + 1].seen
    over = [at + LASTS.get(point.fault, 0.0) for point, at in happened.struck.items() if at <= safe]
    return max(0.0, safe - max([cause, *over]))


def problems_with(happened: Happened) -> tuple[list[str], float | None]:
    """Return what was wrong, and how many seconds the slowest bad version kept its weight."""
    problems = raises_without_evidence(happened)
    taken = {version: seconds_to_safety(happened, version) for version in happened.story.falls}
    for version, seconds in taken.items():
        if seconds is None:
            problems.append(f"{version} never lost its weight")
        elif seconds > SAFE_WITHIN:
            problems.append(f"{version} kept its weight for {seconds:.1f} s")
    return problems, max((seconds for seconds in taken.values() if seconds is not None), default=None)
