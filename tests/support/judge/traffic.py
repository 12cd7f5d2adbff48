"""Histories of canaries for the simulations of the judge: how many requests came, and how many of them were bad."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np

from support.judge.batch import TICK, Floats, Histories, Ints

TICKS: Final = 1440
_MINUTE: Final = int(60 / TICK)

Shape = Callable[[np.random.Generator, float, float, int], Histories]
"""A generator of histories, given the chance, requests a second, the limit and the number of canaries."""


def _arrivals(chance: np.random.Generator, per_second: float, canaries: int) -> Ints:
    return chance.poisson(per_second * TICK, (TICKS, canaries))


def _independent(chance: np.random.Generator, requests: Ints, rates: Floats) -> Histories:
    return Histories(requests, chance.binomial(requests, np.minimum(1.0, rates)[:, None]))


def steady(share: float) -> Shape:
    """Return requests that fail each by itself, at this share of the limit."""

    def shape(chance: np.random.Generator, per_second: float, limit: float, canaries: int) -> Histories:
        return _independent(chance, _arrivals(chance, per_second, canaries), np.full(TICKS, share * limit))

    return shape


def moving(shares: Floats) -> Shape:
    """Return requests that fail each by itself, at these shares of the limit, one for each tick."""

    def shape(chance: np.random.Generator, per_second: float, limit: float, canaries: int) -> Histories:
        return _independent(chance, _arrivals(chance, per_second, canaries), shares * limit)

    return shape


def consecutive(size: int, share: float) -> Shape:
    """Return bursts: so many requests fail one after the other, across ticks where a tick has fewer."""

    def shape(chance: np.random.Generator, per_second: float, limit: float, canaries: int) -> Histories:
        requests = _arrivals(chance, per_second, canaries)
        begun = size * chance.poisson(requests * share * limit / size)
        bad, rest = np.zeros_like(requests), np.zeros(canaries, dtype=requests.dtype)
        for tick in range(TICKS):
            rest += begun[tick]
            bad[tick] = np.minimum(requests[tick], rest)
            rest -= bad[tick]
        return Histories(requests, bad)

    return shape


def outages(seconds: float, share: float) -> Shape:
    """Return incidents of this length in which every request fails, as often as the share of the limit allows."""

    def shape(chance: np.random.Generator, per_second: float, limit: float, canaries: int) -> Histories:
        requests = _arrivals(chance, per_second, canaries)
        down = np.zeros((TICKS + 2, canaries))
        length = TICKS * TICK
        for canary in range(canaries):
            count = chance.poisson(length * share * limit / seconds)
            for begin in chance.uniform(0, length, count):
                end = begin + seconds
                for tick in range(int(begin // TICK), int(end // TICK) + 1):
                    down[tick, canary] += min(end, (tick + 1) * TICK) - max(begin, tick * TICK)
        return Histories(requests, chance.binomial(requests, np.minimum(1.0, down[:TICKS] / TICK)))

    return shape


def overdispersed(factor: float, share: float) -> Shape:
    """Return requests whose chance of failing differs from tick to tick: beta-binomial, this factor in variance."""

    def shape(chance: np.random.Generator, per_second: float, limit: float, canaries: int) -> Histories:
        requests = _arrivals(chance, per_second, canaries)
        mean = max(2.0, per_second * TICK)
        both = (mean - 1) / (factor - 1) - 1 if mean > factor else 0.05
        rates = chance.beta(share * limit * both, (1 - share * limit) * both, requests.shape)
        return Histories(requests, chance.binomial(requests, rates))

    return shape


def steps(low: float = 0.05, high: float = 1.0, minutes: int = 10) -> Floats:
    """Return shares of the limit that jump between two values."""
    return np.where(np.arange(TICKS) // (minutes * _MINUTE) % 2 == 0, high, low)


def waves(minutes: int = 20) -> Floats:
    """Return shares of the limit that swing between 0 and 1."""
    result: Floats = (1 + np.sin(2 * np.pi * np.arange(TICKS) / (minutes * _MINUTE))) / 2
    return result


def one_minute_in_ten(rest: float = 0.1) -> Floats:
    """Return shares of the limit that are 1 for a minute in every ten."""
    return np.where(np.arange(TICKS) % (10 * _MINUTE) < _MINUTE, 1.0, rest)


def some_answered(chance: np.random.Generator, ticks: int = TICKS) -> Ints:
    """Return the ticks at which a source answers that misses up to nine at random; it answers the last one."""
    ends: Ints = np.unique(np.minimum(ticks - 1, chance.integers(1, 11, ticks).cumsum() - 1))
    return ends


@dataclass(frozen=True, slots=True)
class Regression:
    """A version that fails a tenth of what is tolerated, until it begins to fail at another rate."""

    rate: float
    since: int

    def histories(self, chance: np.random.Generator, per_second: float, limit: float, canaries: int) -> Histories:
        """Return histories whose bad requests are independent of each other."""
        rates = np.where(np.arange(TICKS) < self.since, 0.1 * limit, self.rate)
        return _independent(chance, _arrivals(chance, per_second, canaries), rates)
