"""The comparison with the stable version for many histories at once: the product's formulae over arrays.

The product judges one condition at a time; the simulation compares both on random histories before it prints anything.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from serinus.api.rollout import Sensitivity
from serinus.engine.analysis import adaptive, comparison, outright, worse
from serinus.engine.analysis.adaptive import MIN_BLOCK
from serinus.engine.analysis.nulls import grid
from serinus.engine.analysis.sequential import MIN_BAD
from serinus.engine.analysis.weights import starting_weight, unspent_weight
from support.judge.batch import SCRAPE, TICK, Batch, Floats, Histories, Ints, largest_bursts

_TIME_CONSTANT: Final = 300.0
_BISECTIONS: Final = 60


@dataclass(frozen=True, slots=True)
class Pairs:
    """Stages of candidates beside their stable versions."""

    candidate: Histories
    stable: Histories


class Comparison:
    """The state of the comparison for many candidates; each tick has requests of all of them, or none at all."""

    def __init__(self, margin: float, canaries: int, planned: int = 480) -> None:
        """Begin without evidence."""
        self.margin, guarded = margin, grid(Sensitivity.BALANCED)
        self.shares = np.array([null.share for null in guarded])
        self.guarded = guarded
        self.ratios = np.zeros((canaries, len(guarded), len(worse._TIMES) + len(worse._FAILING)))
        self.failing = np.zeros((canaries, len(outright.FAILING)))
        self.blocks, self.ticks = np.zeros(canaries, np.int64), np.zeros(canaries, np.int64)
        # Requests and bad ones of the candidate, the largest burst, requests and bad ones of the stable version, and
        # the rate expected of it.
        self.pending = np.zeros((canaries, 6))
        self.waiting = np.zeros((canaries, 4))
        self.pace, self.level = np.zeros((canaries, 2)), np.zeros((canaries, 2))
        self.passed = np.zeros(canaries)
        self.judged = np.zeros(canaries, dtype=bool)
        self.adaptive, self.outright = np.ones(canaries), np.ones(canaries)
        spent = range(4 * planned)
        self.weights = np.array([0.0, *(starting_weight(k, planned) for k in spent[1:])])
        self.unspent = np.array([unspent_weight(k, planned) for k in spent])

    def tick(self, figures: Floats, *, seconds: float | None) -> Floats:
        """Judge one tick and return the evidence.

        Args:
            figures: each row has requests and bad ones of both versions.
            seconds: since the answer before; None for the first one.
        """
        self.waiting += figures
        if seconds is not None:
            self.passed += seconds
            decay = np.exp(-seconds / _TIME_CONSTANT)
            self.pace = self.pace * decay + np.stack((figures[:, 0], np.full(len(figures), seconds)), axis=1)
        before = np.divide(self.pace[:, 0], self.pace[:, 1], out=np.zeros(len(figures)), where=self.pace[:, 1] > 0)
        some = np.nonzero((self.waiting[:, 0] > 0) & (self.waiting[:, 2] > 0))[0]
        requests, _, others, others_bad = self.waiting[some].T
        lasted = np.where(before > 0, np.maximum(SCRAPE, np.where(self.judged, self.passed, SCRAPE)), SCRAPE / 2)[some]
        largest = largest_bursts(np.maximum(before[some], requests / lasted), 2.0)
        rate = (self.level[some, 1] + 1) / (self.level[some, 0] + 2 / self.margin)
        self._look_for_failure(some, largest, rate)
        none = self.pending[some, 0] <= 0
        self.pending[some, 5] = np.where(none, rate, self.pending[some, 5])
        self.pending[some, 2] = np.maximum(self.pending[some, 2], largest)
        for column, place in enumerate((0, 1, 3, 4)):
            self.pending[some, place] += self.waiting[some, column]
        decay = np.exp(-np.where(self.judged[some], self.passed[some], 0.0) / _TIME_CONSTANT)[:, None]
        self.level[some] = self.level[some] * decay + np.stack((others, others_bad), axis=1)
        self.waiting[some], self.passed[some], self.judged[some] = 0, 0, True
        full = some[self.pending[some][:, [0, 3]].min(axis=1) >= MIN_BLOCK]
        if len(full):
            self._judge_blocks(full)
            self.pending[full] = 0
        result: Floats = (self.adaptive + self.outright) / 2
        return result

    def _look_for_failure(self, some: Ints, largest: Floats, rate: Floats) -> None:
        requests, bad, others, others_bad = (column[:, None] for column in self.waiting[some].T)
        self.ticks[some] += 1
        wanted, rate = np.array(outright.FAILING), rate[:, None]
        low = np.broadcast_to(rate, (len(some), len(wanted)))
        high = np.maximum(low, wanted - self.margin)
        for _ in range(_BISECTIONS):
            middle = (low + high) / 2
            candidate = middle + self.margin
            slope = requests * (candidate - wanted) / (candidate * (1 - candidate))
            slope += others * (middle - rate) / (middle * (1 - middle))
            low, high = np.where(slope < 0, middle, low), np.where(slope < 0, high, middle)
        stable = (low + high) / 2
        candidate = np.minimum(1 - 1e-9, stable + self.margin)
        logarithm = bad * np.log(wanted / candidate) + (requests - bad) * np.log((1 - wanted) / (1 - candidate))
        logarithm += others_bad * np.log(rate / stable) + (others - others_bad) * np.log((1 - rate) / (1 - stable))
        logarithm = np.where(candidate >= wanted, 0.0, logarithm / largest[:, None])
        grown = (self.failing[some] + self.weights[self.ticks[some], None]) * np.exp(np.clip(logarithm, -700, 700))
        self.failing[some] = np.minimum(grown, 1e300)
        self.outright[some] = self.failing[some].mean(axis=1) + self.unspent[self.ticks[some]]

    def _judge_blocks(self, full: Ints) -> None:
        self.blocks[full] += 1
        grown = (self.ratios[full] + self.weights[self.blocks[full], None, None]) * self._factors(self.pending[full])
        self.ratios[full] = np.minimum(grown, adaptive._MAX_RATIO)
        least = self.ratios[full].sum(axis=2).min(axis=1) / self.ratios.shape[2]
        self.adaptive[full] = least + self.unspent[self.blocks[full]]

    def _factors(self, blocks: Floats) -> Floats:
        """Return the likelihood ratios of each block: hypotheses and alternatives."""
        requests, bad, largest, others, others_bad, rate = (column[:, None, None] for column in blocks.T)
        tolerated = np.minimum(comparison._HIGHEST_NULL, rate + self.margin)
        nothing = self.shares[None, :, None] * tolerated
        wanted = np.minimum(worse._WORST, np.array(worse._TIMES) * tolerated)
        wanted = np.concatenate((wanted, np.broadcast_to(worse._FAILING, (len(blocks), 1, 2))), axis=2)
        wanted = np.where(wanted > tolerated, wanted, worse._WORST)
        strength = (others / requests) * tolerated * (1 - nothing) / (1 - rate)
        higher = np.minimum(wanted, nothing + (1 - comparison._LOWEST) * strength)
        lower = rate - rate * (higher - nothing) / strength
        levels, places = np.unique(largest[:, 0, 0], return_inverse=True)
        sizes = np.array([[null.size.burst(float(level)) for null in self.guarded] for level in levels])
        bursts = sizes[places.reshape(-1)]
        null = Batch.log_likelihood(nothing[:, :, 0], bursts, requests[:, :, 0], bad[:, :, 0])
        candidate = bad * np.log(higher) + (requests - bad) * np.log1p(-higher) - null[:, :, None]
        stable = others_bad * np.log(lower / rate) + (others - others_bad) * np.log((1 - lower) / (1 - rate))
        result: Floats = np.exp(np.clip(candidate + stable / bursts[:, :, None], -200, 200))
        return result


def compare(pairs: Pairs, margin: float, needed: float) -> Ints:
    """Return for each stage the tick of the breach; -1 without one."""
    ticks, canaries = pairs.candidate.requests.shape
    state, bad, breached = Comparison(margin, canaries), np.zeros(canaries), np.full(canaries, -1)
    sides = (pairs.candidate.requests, pairs.candidate.bad, pairs.stable.requests, pairs.stable.bad)
    figures = np.stack(sides, axis=2).astype(float)
    for tick in range(ticks):
        evidence = state.tick(figures[tick], seconds=TICK if tick else None)
        bad += figures[tick, :, 1]
        breached[(breached < 0) & (evidence >= needed) & (bad >= MIN_BAD)] = tick
        if (breached >= 0).all():
            break
    return breached
