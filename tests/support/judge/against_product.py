"""Compares the arrays of the simulations with the product's own code, tick by tick."""

import math
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.quantities import Duration, Share
from serinus.api.rollout import MetricsRef, Sensitivity, Stage
from serinus.engine.analysis.assessment import begin, update
from serinus.engine.analysis.measurements import Batch as Counts
from serinus.engine.analysis.measurements import Counted
from support.judge.batch import SCRAPE, TICK, Batch, Histories, Ints, Setting, joined, seconds_before
from support.judge.comparing import Comparison
from support.judge.pairs import MARGIN, independent, outage_in_ten
from support.judge.traffic import consecutive, some_answered

_CHECKED: Final = 400
_START: Final = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)


def check_against_product(seed: int) -> None:
    """Compare the arrays with the product's own code, tick by tick, on a few histories of each kind."""
    some = some_answered(np.random.default_rng((seed, 15)), _CHECKED)
    for answered in (np.arange(_CHECKED), some):
        for per_second in (0.5, 10.0):
            for sensitivity in Sensitivity:
                chance = np.random.default_rng((seed, 0))
                histories = joined(consecutive(3, 1.5)(chance, per_second, 0.05, 2), answered)
                _check_evidence(histories, answered, sensitivity)


def _check_evidence(histories: Histories, answered: Ints, sensitivity: Sensitivity) -> None:
    """Raise unless the arrays and the product find the same evidence at each of these ticks."""
    batch = Batch(Setting(limit=0.05, sensitivity=sensitivity), 2)
    stage = Stage(
        name="canary",
        traffic=Share("5%"),
        duration=Duration("2h"),
        abort_on=("latency_p95 > 200ms",),
        sensitivity=sensitivity,
    )
    condition, scrape = parse_abort_condition(stage.abort_on[0]), timedelta(seconds=SCRAPE)
    product = begin(condition, stage, MetricsRef(), conditions_in_run=10**6, scrape_interval=scrape)
    for tick, seconds in zip(answered.tolist(), seconds_before(answered), strict=True):
        requests, failed = (figures[tick].astype(float) for figures in (histories.requests, histories.bad))
        found = float(batch.tick(requests, failed, seconds=seconds)[0])
        bad = float(failed[0])
        counted = Counted(at=_time(tick), batch=Counts(float(requests[0]), bad, bad, bad))
        product = update(product, counted, None)
        _check_same(tick, found, product.evidence.value)


def _time(tick: int) -> datetime:
    return _START + timedelta(seconds=TICK * (tick + 1))


def _check_same(tick: int, here: float, product: float) -> None:
    if not math.isclose(here, product, rel_tol=1e-6):
        raise AssertionError(f"tick {tick}: {here} here, {product} in the product")


def check_comparison_against_product(seed: int) -> None:
    """Compare the comparison's arrays with the product's own code, on a few histories."""
    some = some_answered(np.random.default_rng((seed, 15)), _CHECKED)
    for answered in (np.arange(_CHECKED), some):
        for per_second in (0.05, 0.5, 10.0):
            rate = outage_in_ten(0.5, usual=0.01)
            pairs = independent(rate, rate, per_second=per_second)(np.random.default_rng((seed, 13)), 2)
            _check_comparison(joined(pairs.candidate, answered), joined(pairs.stable, answered), answered)


def _check_comparison(candidate: Histories, stable: Histories, answered: Ints) -> None:
    """Raise unless the arrays and the product find the same evidence at each of these ticks."""
    line, scrape = "error_rate > stable + 0.5%", timedelta(seconds=SCRAPE)
    stage = Stage(name="canary", traffic=Share("5%"), duration=Duration("2h"), abort_on=(line,))
    state, condition = Comparison(MARGIN, 2), parse_abort_condition(line)
    product = begin(condition, stage, MetricsRef(), conditions_in_run=10**6, scrape_interval=scrape)
    for tick, seconds in zip(answered.tolist(), seconds_before(answered), strict=True):
        sides = (candidate, stable)
        figures = np.array([figure[tick] for side in sides for figure in (side.requests, side.bad)], dtype=float)
        found = float(state.tick(figures.T, seconds=seconds)[0])
        both = figures[:2, 0].tolist(), figures[2:, 0].tolist()
        product = update(product, *(Counted(at=_time(tick), batch=Counts(n, x, x, x)) for n, x in both))
        _check_same(tick, found, product.evidence.value)
