"""Histories of a candidate beside a stable version, for the simulations of the comparison."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

from serinus.engine.analysis.comparison import Reference
from serinus.engine.analysis.evidence import NO_EVIDENCE, Bursts, Counts, Terms, fold_comparison
from serinus.engine.analysis.measurements import Batch
from serinus.engine.analysis.progress import NO_LEVEL, NO_PACE
from serinus.engine.analysis.sequential import MIN_BAD
from support.judge.batch import SCRAPE, TICK, Floats, Ints
from support.judge.traffic import TICKS, outages

MARGIN: Final = 0.005
STEP: Final = timedelta(seconds=TICK)
_MINUTE: Final = int(60 / TICK)


@dataclass(frozen=True, slots=True)
class Pair:
    """One stage: for each tick the requests and the bad ones of the candidate, then of the stable version."""

    candidate: tuple[Ints, Ints]
    stable: tuple[Ints, Ints]


Kind = Callable[[np.random.Generator], Pair]


def independent(
    candidate: Floats | float, stable: Floats | float, *, per_second: float = 10.0, share: float = 0.05
) -> Kind:
    """Return requests that fail each by itself; rates for each tick, or one for all; a share goes to the candidate."""

    def kind(chance: np.random.Generator) -> Pair:
        return Pair(_side(chance, per_second, candidate), _side(chance, per_second * (1 - share) / share, stable))

    return kind


def blips_of_the_candidate(share: float) -> Kind:
    """Return a candidate that alone has outages of 2 s, as often as this share of the margin allows."""

    def kind(chance: np.random.Generator) -> Pair:
        found = outages(2.0, share)(chance, 10.0, MARGIN, 1)
        return Pair((found.requests[:, 0], found.bad[:, 0]), _side(chance, 190.0, 0.002))

    return kind


def _side(chance: np.random.Generator, per_second: float, rate: Floats | float) -> tuple[Ints, Ints]:
    requests = chance.poisson(per_second * TICK, TICKS)
    return requests, chance.binomial(requests, np.minimum(1.0, np.broadcast_to(rate, TICKS)))


def outage_in_ten(rate: float, *, usual: float) -> Floats:
    """Return rates: an outage of a minute in every ten."""
    return np.where(np.arange(TICKS) % (10 * _MINUTE) < _MINUTE, rate, usual)


def since(tick: int, rate: float, usual: float) -> Floats:
    """Return rates that change at a tick."""
    return np.where(np.arange(TICKS) < tick, usual, rate)


def compare(pair: Pair, needed: float = 200.0) -> int | None:
    """Return the tick of the breach by the product's own code; None without one."""
    terms = Terms(
        tolerated=MARGIN,
        planned=int(TICKS * TICK / SCRAPE),
        bursts=Bursts(blip=2.0, shortest=SCRAPE),
        margin=MARGIN,
    )
    evidence, level, pace, bad = NO_EVIDENCE, NO_LEVEL, NO_PACE, 0.0
    figures = np.stack((*pair.candidate, *pair.stable)).T.astype(float).tolist()
    for tick, (requests, failed, stable, stable_failed) in enumerate(figures):
        pace = pace.plus(requests, STEP)
        if requests > 0 and stable > 0:
            reference = Reference(stable, stable_failed, level.rate(MARGIN / 2))
            evidence = fold_comparison(evidence, Counts(requests, failed, TICK), pace.per_second, terms, reference)
            level = level.plus(Batch(stable, stable_failed, stable_failed, stable_failed), STEP)
            bad += failed
        if evidence.value >= needed and bad >= MIN_BAD:
            return tick
    return None
