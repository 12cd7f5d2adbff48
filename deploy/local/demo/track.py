"""What was seen of one version's run, look by look, and what follows from it: pure."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from demo.cluster import RolloutView, RouteView


@dataclass(slots=True)
class Track:
    """Collects what is seen of one version's run: its backend in the route, and what the status says.

    Attributes:
        backend: the backend of the version on trial.
        weights: its accepted shares in percent, each once, in the order in which they came.
        exposed_at: when it was first seen with traffic (seconds since 1970), or None.
        safe_at: when it was first seen without traffic again, accepted by every parent, or None.
        highest: the highest share that was ever written, accepted or not.
        places: where the status said that the run stood, each once, in order.
    """

    backend: str
    weights: list[float] = field(default_factory=list)
    exposed_at: float | None = None
    safe_at: float | None = None
    highest: float = 0.0
    places: list[str] = field(default_factory=list)

    def see_route(self, at: float, route: RouteView) -> bool:
        """Take in one look at the route and say whether an accepted share has changed."""
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

    def see_place(self, place: str) -> bool:
        """Take in where the run stands and say whether that is new."""
        if self.places and self.places[-1] == place:
            return False
        self.places.append(place)
        return True


def rises_as_planned(weights: Sequence[float], planned: Sequence[float]) -> bool:
    """Say whether the shares are the plan's, each seen, in their order; the 0 at the start may have gone unseen."""
    return [weight for weight in weights if weight > 0] == [weight for weight in planned if weight > 0]


@dataclass(frozen=True, slots=True)
class Look:
    """One look at the world; ``at`` is when the answers were there."""

    at: float
    rollout: RolloutView
    route: RouteView
