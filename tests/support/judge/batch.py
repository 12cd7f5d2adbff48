"""The judge for many histories at once, for the simulations: the product's formulae over arrays.

The product judges one condition at a time; ``check_against_product`` compares both on random histories.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis import adaptive, outright
from serinus.engine.analysis import worse as worse_version
from serinus.engine.analysis.adaptive import MIN_BLOCK
from serinus.engine.analysis.likelihood import log_gamma
from serinus.engine.analysis.nulls import LEAST_BURST, grid
from serinus.engine.analysis.sequential import MIN_BAD
from serinus.engine.analysis.weights import starting_weight, unspent_weight
from serinus.engine.analysis.worse import worse_rates

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

TICK: Final = 5.0
SCRAPE: Final = 15.0
_TIME_CONSTANT: Final = 300.0
_STEPS: Final = 16


@dataclass(frozen=True, slots=True)
class Histories:
    """Requests and bad requests of many canaries: rows are ticks, columns are canaries."""

    requests: Ints
    bad: Ints


@dataclass(frozen=True, slots=True)
class Judged:
    """What the judge makes of histories.

    Attributes:
        highest: the highest evidence of each canary at a tick with enough bad requests.
        breached: the tick at which it first reached what is needed; -1 where it never did.
    """

    highest: Floats
    breached: Ints


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """How histories are judged."""

    limit: float
    planned: int = 480
    needed: float = 200.0
    blip: float = 2.0
    sensitivity: Sensitivity = Sensitivity.BALANCED


def largest_bursts(per_second: Floats, blip: float) -> Floats:
    levels = np.ceil(_STEPS * np.log2(np.maximum(LEAST_BURST, 1 + per_second * blip)) - 1e-9)
    result: Floats = 2.0 ** (levels / _STEPS)
    return result


class Batch:
    """The state of the judge for many canaries."""

    def __init__(self, setting: Setting, canaries: int) -> None:
        """Begin without evidence."""
        self.setting = setting
        self.guarded = grid(setting.sensitivity)
        self.worse = np.array(worse_rates(setting.limit))
        self.ratios = np.zeros((canaries, len(self.guarded), 2 * len(self.worse)))
        self.failing = np.zeros((canaries, len(outright.exponents(setting.limit))))
        self.blocks, self.ticks = np.zeros(canaries, np.int64), np.zeros(canaries, np.int64)
        self.pending = np.zeros((canaries, 3))
        self.pace = np.zeros((canaries, 2))
        self.adaptive, self.outright = np.ones(canaries), np.ones(canaries)
        spent = range(4 * setting.planned)
        self.weights = np.array([0.0, *(starting_weight(k, setting.planned) for k in spent[1:])])
        self.unspent = np.array([unspent_weight(k, setting.planned) for k in spent])

    def tick(self, requests: Floats, bad: Floats, *, seconds: float | None) -> Floats:
        """Judge one tick and return the evidence; seconds since the answer before it, None for the first one."""
        if seconds is not None:
            decay = np.exp(-seconds / _TIME_CONSTANT)
            self.pace = self.pace * decay + np.stack((requests, np.full(len(requests), seconds)), axis=1)
        before = np.divide(self.pace[:, 0], self.pace[:, 1], out=np.zeros(len(requests)), where=self.pace[:, 1] > 0)
        passed = np.where(before > 0, max(SCRAPE, seconds or SCRAPE), SCRAPE / 2)
        largest = largest_bursts(np.maximum(before, requests / passed), self.setting.blip)
        some = np.nonzero(requests > 0)[0]
        self._look_for_failure(some, requests[some], bad[some], largest[some])
        self.pending[some, 0] += requests[some]
        self.pending[some, 1] += bad[some]
        self.pending[some, 2] = np.maximum(self.pending[some, 2], largest[some])
        full = some[self.pending[some, 0] >= MIN_BLOCK]
        if len(full):
            self._judge_blocks(full)
            self.pending[full] = 0
        result: Floats = (self.adaptive + self.outright) / 2
        return result

    def _look_for_failure(self, some: Ints, requests: Floats, bad: Floats, largest: Floats) -> None:
        self.ticks[some] += 1
        pairs = np.array(outright.exponents(self.setting.limit))
        exponents = (bad[:, None] * pairs[:, 0] + (requests - bad)[:, None] * pairs[:, 1]) / largest[:, None]
        grown = (self.failing[some] + self.weights[self.ticks[some], None]) * np.exp(np.clip(exponents, -700, 700))
        self.failing[some] = np.minimum(grown, 1e300)
        self.outright[some] = self.failing[some].mean(axis=1) + self.unspent[self.ticks[some]]

    def _judge_blocks(self, full: Ints) -> None:
        self.blocks[full] += 1
        blocks, places = np.unique(self.pending[full], axis=0, return_inverse=True)
        factors = self._factors(blocks)[places.reshape(-1)]
        grown = (self.ratios[full] + self.weights[self.blocks[full], None, None]) * factors
        self.ratios[full] = np.minimum(grown, adaptive._MAX_RATIO)
        least = self.ratios[full].sum(axis=2).min(axis=1) / self.ratios.shape[2]
        self.adaptive[full] = least + self.unspent[self.blocks[full]]

    def _factors(self, blocks: Floats) -> Floats:
        """Return the likelihood ratios of each block: hypotheses and alternatives."""
        requests, bad, largest = blocks[:, 0:1], blocks[:, 1:2], blocks[:, 2]
        levels, places = np.unique(largest, return_inverse=True)
        bursts = np.array([[null.size.burst(float(level)) for null in self.guarded] for level in levels])[
            places.reshape(-1)
        ]
        shares = np.array([null.share for null in self.guarded])
        nothing = self.log_likelihood(shares * self.setting.limit, bursts, requests, bad)
        rates = np.concatenate((self.worse, self.worse))
        wide = np.where(rates >= worse_version._HIGH, np.maximum(1.0, requests / worse_version._SHARPEST), 1.0)
        bursty = np.repeat([1.0, 4.0], len(self.worse)) * wide
        worse = self.log_likelihood(rates, bursty, requests, bad)
        no_worse = bad / (self.setting.limit * requests) <= shares
        highest = np.where(no_worse, 0.0, adaptive._MAX_EXPONENT)[:, :, None]
        result: Floats = np.exp(np.minimum(worse[:, None, :] - nothing[:, :, None], highest))
        return result

    @staticmethod
    def log_likelihood(rates: Floats, bursts: Floats, requests: Floats, bad: Floats) -> Floats:
        good = requests - bad
        correlation = np.clip((np.maximum(bursts, 1.01) - 1) / (requests - 1), 0, 0.95)
        both = (1 - correlation) / correlation
        first, second = rates * both, (1 - rates) * both
        bursty = log_gamma(both) - log_gamma(requests + both) - log_gamma(first) - log_gamma(second)
        bursty += log_gamma(bad + first) + log_gamma(good + second)
        return np.where(bursts < 1.01, bad * np.log(rates) + good * np.log1p(-rates), bursty)


def joined(histories: Histories, answered: Ints) -> Histories:
    """Return histories of which each tick that was answered has the requests of those since the one before, too."""
    requests, bad = np.zeros_like(histories.requests), np.zeros_like(histories.bad)
    begin = 0
    for end in answered.tolist():
        requests[end], bad[end] = (each[begin : end + 1].sum(axis=0) for each in (histories.requests, histories.bad))
        begin = end + 1
    return Histories(requests, bad)


def seconds_before(answered: Ints) -> list[float | None]:
    """Return the seconds between each tick that was answered and the one before it; None for the first one."""
    return [None, *(TICK * np.diff(answered)).tolist()]


def judge(histories: Histories, setting: Setting, answered: Ints | None = None) -> Judged:
    """Judge whole stages; canaries that are breached are not followed further.

    Args:
        histories: the requests of each tick.
        setting: how they are judged.
        answered: the ticks at which the source answered, rising; all of them where it is not given. The requests of
            the others are those of the next one that it answered.
    """
    ticks, canaries = histories.requests.shape
    highest, breached = np.zeros(canaries), np.full(canaries, -1)
    batch, bad = Batch(setting, canaries), np.zeros(canaries)
    if answered is None:
        answered = np.arange(ticks)
    else:
        histories = joined(histories, answered)
    for tick, seconds in zip(answered.tolist(), seconds_before(answered), strict=True):
        failed = histories.bad[tick].astype(float)
        evidence = batch.tick(histories.requests[tick].astype(float), failed, seconds=seconds)
        bad += failed
        highest = np.where(bad >= MIN_BAD, np.maximum(highest, evidence), highest)
        breached[(breached < 0) & (highest >= setting.needed)] = tick
        if (breached >= 0).all():
            break
    return Judged(highest, breached)
