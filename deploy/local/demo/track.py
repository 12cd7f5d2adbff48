"""The course of one version's run, collected from snapshots. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from demo.cluster import RolloutView, RouteView


@dataclass(slots=True)
class Track:
    """Collects the course of one version's run: its backend's share in the route and its position.

    Attributes:
        backend: the backend of the version on trial.
        weights: the successive accepted shares in percent.
        exposed_at: when traffic was first observed (seconds since 1970), or None.
        safe_at: when the absence of traffic was first observed again, accepted by every parent, or None.
        highest: the highest share in the route, accepted or not.
        positions: the successive positions of the run.
    """

    backend: str
    weights: list[float] = field(default_factory=list)
    exposed_at: float | None = None
    safe_at: float | None = None
    highest: float = 0.0
    positions: list[str] = field(default_factory=list)

    def record_route(self, at: float, route: RouteView) -> bool:
        """Record the route at a time and return whether an accepted share has changed."""
        weight = round(route.weight(self.backend), 2)
        self.highest = max(self.highest, weight)
        if weight > 0:
            self.safe_at = None
            self.exposed_at = at if self.exposed_at is None else self.exposed_at
        elif route.accepted and self.exposed_at is not None and self.safe_at is None:
            self.safe_at = at
        if not route.accepted or (self.weights and self.weights[-1] == weight):
            return False
        self.weights.append(weight)
        return True

    def record_position(self, position: str) -> bool:
        """Record the position of the run and return whether it is new."""
        if self.positions and self.positions[-1] == position:
            return False
        self.positions.append(position)
        return True


def rises_as_planned(weights: Sequence[float], planned: Sequence[float]) -> bool:
    """Return whether the shares are exactly the plan's, in order; the initial 0 may have been missed."""
    return [weight for weight in weights if weight > 0] == [weight for weight in planned if weight > 0]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Rollout and route at one time; ``at`` is when the responses arrived."""

    at: float
    rollout: RolloutView
    route: RouteView
