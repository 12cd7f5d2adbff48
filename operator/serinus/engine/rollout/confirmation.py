"""Does the data plane do what the status says? An effect is believed only when it is observed."""

import math
from typing import Final, assert_never

from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import RolloutStatus
from serinus.engine.rollout.draft import Situation
from serinus.engine.rollout.observation import Observation, RouteEntry, RouteFacts, RouteProblem
from serinus.engine.rollout.route_plan import AcceptanceState, TooCoarse, accepted, plan_entries
from serinus.engine.rollout.targets import our_backends, shares_for
from serinus.engine.rollout.waiting import Waiting, WaitReason

ENOUGH_REQUESTS: Final = 200
"""Requests to both versions together from which the observed share means something."""


def planned(
    spec: RolloutSpec | None, status: RolloutStatus, observed: Observation, route: RouteFacts
) -> tuple[RouteEntry, ...] | TooCoarse:
    """Return the rule's entries as this status wants them."""
    return plan_entries(route.entries, shares_for(spec, status, observed), our_backends(observed))


def weights_hold(spec: RolloutSpec | None, status: RolloutStatus, observed: Observation) -> bool:
    """Say whether the rule shows the weights that this status wants."""
    route = observed.route
    return isinstance(route, RouteFacts) and planned(spec, status, observed, route) == route.entries


def unconfirmed(spec: RolloutSpec | None, status: RolloutStatus, observed: Observation) -> Waiting | None:
    """Return why the data plane does not yet do what the status says, or None where it does."""
    route = observed.route
    wanted = planned(spec, status, observed, route) if isinstance(route, RouteFacts) else None
    return unconfirmed_by(wanted, route)


def unconfirmed_by(
    wanted: tuple[RouteEntry, ...] | TooCoarse | None, route: RouteFacts | RouteProblem
) -> Waiting | None:
    """Return the same for entries that are planned already."""
    if isinstance(route, RouteProblem):
        return Waiting(route.reason, route.message)
    if isinstance(wanted, TooCoarse):
        return Waiting(WaitReason.WEIGHTS_TOO_COARSE, wanted.message)
    if wanted != route.entries:
        return Waiting(WaitReason.WEIGHT_PENDING, "The weights are being written to the route.")
    acceptance = accepted(route)
    match acceptance.state:
        case AcceptanceState.YES:
            return None
        case AcceptanceState.WAITING:
            return Waiting(WaitReason.ROUTE_NOT_ACCEPTED, acceptance.message)
        case AcceptanceState.REFUSED:
            return Waiting(WaitReason.ROUTE_REFUSED, acceptance.message)
        case _:
            assert_never(acceptance.state)


def share_mismatch(status: RolloutStatus, situation: Situation) -> Waiting | None:
    """Return how the observed share of the requests contradicts the weights, or None where it does not.

    The tolerance is four standard deviations of a binomial count and half of the wanted share: it is meant to find a
    gateway that ignores weights, not to measure them.
    """
    candidate, stable = status.candidate, status.stable
    if candidate is None or stable is None or not 0 < candidate.weight < 100 or not situation.observed.readings:  # noqa: PLR2004 - percent
        return None
    seen = max(situation.observed.readings, key=lambda reading: reading.requests)
    total, wanted = seen.requests + seen.stable_requests, candidate.weight / 100
    expected = total * wanted
    tolerance = 4 * math.sqrt(expected * (1 - wanted)) + expected / 2
    if total < ENOUGH_REQUESTS or abs(seen.requests - expected) <= tolerance:
        return None
    observed = 100 * seen.requests / total
    return Waiting(
        WaitReason.TRAFFIC_SHARE_MISMATCH,
        # Whole percents: a figure that changes with every tick would be a write at every tick.
        f"{candidate.version} has weight {candidate.weight:g}%, but gets about {observed:.0f}% of the requests: "
        "does the gateway honour the weights, and does nothing else send requests to this backend?",
    )
