"""Histories of candidates beside a stable version, for the simulations of the comparison."""

from collections.abc import Callable
from typing import Final

import numpy as np

from support.judge.batch import TICK, Floats, Histories
from support.judge.comparing import Pairs
from support.judge.traffic import TICKS, outages

MARGIN: Final = 0.005
_MINUTE: Final = int(60 / TICK)

Kind = Callable[[np.random.Generator, int], Pairs]
"""A generator of so many stages."""


def independent(
    candidate: Floats | float, stable: Floats | float, *, per_second: float = 10.0, share: float = 0.05
) -> Kind:
    """Return requests that fail each by itself; rates for each tick, or one for all; a share goes to the candidate."""

    def kind(chance: np.random.Generator, canaries: int) -> Pairs:
        return Pairs(
            _side(chance, per_second, candidate, canaries),
            _side(chance, per_second * (1 - share) / share, stable, canaries),
        )

    return kind


def overdispersed(candidate: float, stable: float, factor: float, *, per_second: float = 10.0) -> Kind:
    """Return requests whose rate differs from tick to tick: this factor in variance, of each version by itself."""

    def kind(chance: np.random.Generator, canaries: int) -> Pairs:
        sides = []
        for rate, requests in ((candidate, per_second), (stable, 19 * per_second)):
            both = (requests * TICK - 1) / (factor - 1) - 1
            rates = chance.beta(rate * both, (1 - rate) * both, (TICKS, canaries))
            arrivals = chance.poisson(requests * TICK, (TICKS, canaries))
            sides.append(Histories(arrivals, chance.binomial(arrivals, rates)))
        return Pairs(*sides)

    return kind


def blips_of_the_candidate(share: float) -> Kind:
    """Return a candidate that alone has outages of 2 s, as often as this share of the margin allows."""

    def kind(chance: np.random.Generator, canaries: int) -> Pairs:
        return Pairs(outages(2.0, share)(chance, 10.0, MARGIN, canaries), _side(chance, 190.0, 0.002, canaries))

    return kind


def _side(chance: np.random.Generator, per_second: float, rate: Floats | float, canaries: int) -> Histories:
    requests = chance.poisson(per_second * TICK, (TICKS, canaries))
    rates = np.minimum(1.0, np.broadcast_to(rate, TICKS))
    return Histories(requests, chance.binomial(requests, rates[:, None]))


def outage_in_ten(rate: float, *, usual: float) -> Floats:
    """Return rates: an outage of a minute in every ten."""
    return np.where(np.arange(TICKS) % (10 * _MINUTE) < _MINUTE, rate, usual)


def since(tick: int, rate: float, usual: float) -> Floats:
    """Return rates that change at a tick."""
    return np.where(np.arange(TICKS) < tick, usual, rate)
