"""Simulations of whole stages with fixed seeds; tests/benchmarks/judge_simulation.py prints the large tables."""

import math
import random
import statistics
from collections.abc import Iterator

import pytest

from serinus.api.rollout import Sensitivity
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.assessment import assess, update, update_all
from serinus.engine.analysis.evidence import NO_EVIDENCE, Bursts, Counts, Terms
from serinus.engine.analysis.sequential import MIN_BAD
from support.analysis import a_stage, at, begun, counted
from support.folding import fold

LIMIT = 0.005
ALPHA = 0.01
TICKS = 1440  # two hours of five seconds
PLANNED = 480  # scrapes of 15 s


def poisson(chance: random.Random, mean: float, count: int) -> list[int]:
    bound = math.ceil(mean + 10 * math.sqrt(mean) + 10)
    weights = [math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(bound)] if mean else [1.0]
    return chance.choices(range(len(weights)), weights, k=count)


def ticks(seed: int, *, per_tick: float, rate: float, good: int = 0) -> Iterator[tuple[int, int]]:
    """Yield the requests and the bad ones of each tick; in the first ``good`` ticks 0.1 % are bad."""
    chance = random.Random(seed)  # noqa: S311 - a simulation, not a secret
    for count, share in ((good, 0.001), (TICKS - good, rate)):
        bad = poisson(chance, per_tick * share, count)
        fine = poisson(chance, per_tick * (1 - share), count)
        yield from ((x + y, x) for x, y in zip(bad, fine, strict=True))


def requests_to_breach(
    seed: int, *, per_tick: float, rate: float, good: int = 0, sensitivity: Sensitivity = Sensitivity.BALANCED
) -> int | None:
    terms = Terms(tolerated=LIMIT, planned=PLANNED, bursts=Bursts(blip=2.0, shortest=15.0), sensitivity=sensitivity)
    evidence, bad, total = NO_EVIDENCE, 0, 0
    for tick, (requests, failed) in enumerate(ticks(seed, per_tick=per_tick, rate=rate, good=good)):
        if not requests:
            continue
        evidence = fold(evidence, Counts(requests, failed, 5.0), per_tick / 5, terms)
        bad += failed
        total += requests if tick >= good else 0
        if evidence.value >= 1 / ALPHA and bad >= MIN_BAD:
            return total
    return None


def most_of(stages: int, chance: float, doubt: float = 1e-3) -> int:
    """Return the number of stages exceeded with a probability of at most ``doubt``, each having this ``chance``."""
    beyond, count = 1.0, -1
    while beyond > doubt:
        count += 1
        beyond -= math.comb(stages, count) * chance**count * (1 - chance) ** (stages - count)
    return count


@pytest.mark.parametrize(("per_second", "stages"), [(0.5, 40), (5.0, 40)])
def test_a_canary_at_the_tolerated_rate_is_seldom_aborted_in_two_hours(per_second: float, stages: int) -> None:
    progress = [begun(a_stage(burst=None), conditions_in_run=1)] * stages
    histories = [ticks(seed, per_tick=5 * per_second, rate=LIMIT) for seed in range(1, stages + 1)]
    for tick, counts in enumerate(zip(*histories, strict=True), start=1):
        answers = [counted(5 * tick, *figures) for figures in counts]
        progress = update_all((one, answer, None) for one, answer in zip(progress, answers, strict=True))
    assert sum(one.breached_at is not None for one in progress) <= most_of(stages, ALPHA)


@pytest.mark.parametrize(
    ("rate", "good", "per_tick", "expected"),
    [
        (1.0, 0, 2.5, 4),
        (1.0, 720, 2.5, 8),
        (0.2, 0, 2.5, 40),
        (0.2, 720, 2.5, 65),
        (0.05, 0, 2.5, 150),
        (0.05, 720, 2.5, 300),
        (0.02, 0, 2.5, 700),
        (1.0, 360, 50.0, 100),
        (0.2, 360, 50.0, 150),
        (0.05, 360, 50.0, 400),
        (0.02, 360, 50.0, 1200),
    ],
)
def test_a_bad_canary_is_aborted_after_about_the_expected_number_of_requests(
    rate: float, good: int, per_tick: float, expected: int
) -> None:
    needed = [requests_to_breach(seed, per_tick=per_tick, rate=rate, good=good) for seed in range(1, 12)]
    caught = [requests for requests in needed if requests is not None]
    assert len(caught) == len(needed)
    # The median of 11 runs of a skewed distribution: within half of the expected, or two ticks where that is less.
    assert statistics.median(caught) == pytest.approx(expected, rel=0.5, abs=2 * per_tick)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.2, 1.0])
def test_a_bad_canary_is_never_promoted_at_the_end_of_its_stage(rate: float) -> None:
    for seed in range(1, 6):
        progress = begun(a_stage(burst=3), conditions_in_run=4)
        for tick, (requests, bad) in enumerate(ticks(seed, per_tick=2.5, rate=rate), start=1):
            progress = update(progress, counted(5 * tick, requests, bad), None)
            if progress.breached_at is not None:
                break
        judged = assess(progress, a_stage(burst=3), at(5 * tick))
        assert judged.verdict is Verdict.BREACH or judged.cause is Cause.UNDECIDED
