"""Simulates whole stages and prints what the judgement does with them, as the tables of docs/explanation/statistics.md.

Run it from the root: ``python tests/benchmarks/judge_simulation.py --seed 20261123``.
"""

import argparse
import math
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
from numpy.typing import NDArray

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.quantities import Duration, Share
from serinus.api.rollout import MetricsRef, Stage
from serinus.api.verdict import Verdict
from serinus.engine.analysis.assessment import Progress, assess, begin, learn_dispersion, update
from serinus.engine.analysis.measurements import Batch, Counted
from serinus.engine.analysis.progress import FALSE_ABORTS_PER_RUN
from serinus.engine.analysis.sequential import MIN_BAD, Tick, fold, no_evidence

Ints = NDArray[np.int64]

TICK: Final = 5
SCRAPE: Final = timedelta(seconds=15)
STAGE_SECONDS: Final = 7200
TICKS: Final = STAGE_SECONDS // TICK
CONDITIONS: Final = 2
ERRORS: Final = "error_rate > 0.5%"
SLOW: Final = "latency_p95 > 200ms"
MINUTE: Final = 60 // TICK
START: Final = datetime(2026, 11, 23, 14, 0, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class History:
    """One stage: the requests of each tick, how many were bad, and the same of the stable version where it is known."""

    requests: Ints
    bad: Ints
    stable_requests: Ints | None = None
    stable_bad: Ints | None = None
    hour_before: tuple[Batch, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a stage ended: the requests until the breach (None without), and whether it would have passed at the end."""

    requests: int | None
    passed: bool


def stage_of(line: str, burst: int | None) -> Stage:
    return Stage(
        name="canary", traffic=Share("5%"), duration=Duration(f"{STAGE_SECONDS}s"), abort_on=(line,), burst=burst
    )


def judge(line: str, burst: int | None, history: History) -> Outcome:
    """Walk one stage with the product's own code until the breach or the end."""
    stage, at = stage_of(line, burst), START
    progress: Progress = begin(
        parse_abort_condition(line), stage, MetricsRef(), conditions_in_run=CONDITIONS, scrape_interval=SCRAPE
    )
    progress = learn_dispersion(progress, history.hour_before)
    seen = 0
    for tick in range(TICKS):
        at = START + timedelta(seconds=TICK * (tick + 1))
        seen += int(history.requests[tick])
        candidate = _counted(at, history.requests[tick], history.bad[tick])
        stable = None
        if history.stable_requests is not None and history.stable_bad is not None:
            stable = _counted(at, history.stable_requests[tick], history.stable_bad[tick])
        progress = update(progress, candidate, stable)
        if progress.breached_at is not None:
            return Outcome(seen, passed=False)
    return Outcome(None, passed=assess(progress, stage, at).verdict is Verdict.PASS)


def evidence_reaches_a_breach(history: History, burst: float) -> bool:
    """Walk one stage with the sequential test alone, which is all that a false abort depends on, and much faster."""
    tolerated, evidence, bad = 0.005, no_evidence(0.005), 0
    for requests, failed in zip(history.requests.tolist(), history.bad.tolist(), strict=True):
        evidence = fold(evidence, Tick(requests, failed, burst), tolerated=tolerated, planned=STAGE_SECONDS // 15)
        bad += failed
        if evidence.value >= CONDITIONS / FALSE_ABORTS_PER_RUN and bad >= MIN_BAD:
            return True
    return False


def _counted(at: datetime, requests: np.int64, bad: np.int64) -> Counted:
    count = float(bad)
    return Counted(at=at, batch=Batch(float(requests), count, count, count))


def independent(chance: np.random.Generator, per_second: float, rate: float, *, good_ticks: int = 0) -> History:
    """Requests that fail each by itself: 0.1 % of them in the ticks that are still good, ``rate`` afterwards."""
    requests = chance.poisson(per_second * TICK, TICKS)
    rates = np.where(np.arange(TICKS) < good_ticks, min(rate, 0.001), rate)
    return History(requests, chance.binomial(requests, rates))


def in_bursts(chance: np.random.Generator, per_second: float, rate: float, size: int) -> History:
    """Requests that fail so many at a time, on the candidate (5 %) and on the stable version (95 %) alike."""

    def one(pace: float, ticks: int = TICKS) -> tuple[Ints, Ints]:
        requests = chance.poisson(pace * TICK, ticks)
        return requests, np.minimum(requests, size * chance.poisson(requests * rate / size))

    before = zip(*(figures.tolist() for figures in one(19 * per_second, 3600 // TICK)), strict=True)
    hour = tuple(Batch(float(requests), float(bad), float(bad), float(bad)) for requests, bad in before)
    return History(*one(per_second), *one(19 * per_second), hour)


def plain_threshold(limit: float, in_a_row: int, history: History) -> int | None:
    """Return the requests until the value of the last minute has been over the limit so many ticks in a row."""
    total = np.cumsum(history.requests)
    window = np.convolve(history.requests, np.ones(MINUTE, dtype=np.int64))[:TICKS]
    bad = np.convolve(history.bad, np.ones(MINUTE, dtype=np.int64))[:TICKS]
    over = bad > limit * window
    streak = np.convolve(over, np.ones(in_a_row, dtype=np.int64))[:TICKS] == in_a_row
    return int(total[np.argmax(streak)]) if streak.any() else None


def at_most(found: int, of: int, confidence: float = 0.95) -> float:
    """Return the upper end of the one-sided Clopper-Pearson interval of a proportion."""
    low, high = found / of, 1.0
    for _ in range(60):
        middle = (low + high) / 2
        below = math.fsum(math.comb(of, k) * middle**k * (1 - middle) ** (of - k) for k in range(found + 1))
        low, high = (middle, high) if below > 1 - confidence else (low, middle)
    return high


def share(found: int, of: int) -> str:
    return f"{100 * found / of:.1f} %" if found else f"0 (at most {100 * at_most(0, of):.1f} %)"


def row(*cells: object) -> None:
    sys.stdout.write(f"| {' | '.join(str(cell) for cell in cells)} |\n")
    sys.stdout.flush()


def title(sentence: str, *heads: str) -> None:
    sys.stdout.write(f"\n{sentence}\n\n")
    row(*heads)
    row(*("---" for _ in heads))


def stages(seed: tuple[int, ...], count: int, make: Callable[[np.random.Generator], History]) -> Iterator[History]:
    """Yield reproducible histories: the same for every judgement that is compared."""
    chance = np.random.default_rng(seed)
    return (make(chance) for _ in range(count))


def false_aborts(seed: int, count: int) -> None:
    heads = ("canary", "true rate", "1-minute threshold", "3 ticks in a row", "Sequential, φ = 1", "Sequential, φ = 3")
    title(f"Good canaries that are aborted, of {count:,} stages of 2 h each (limit 0.5 %):", *heads)
    for per_second in (0.5, 5.0):
        for permille in (2.5, 5.0):
            rate = permille / 1000
            found = dict.fromkeys(heads[2:], 0)
            for history in stages((seed, 1, int(10 * permille)), count, lambda c: independent(c, per_second, rate)):  # noqa: B023 - used at once
                found[heads[2]] += plain_threshold(0.005, 1, history) is not None
                found[heads[3]] += plain_threshold(0.005, 3, history) is not None
                found[heads[4]] += evidence_reaches_a_breach(history, 1.0)
                found[heads[5]] += evidence_reaches_a_breach(history, 3.0)
            row(f"{per_second:g} requests/s", f"{100 * rate:g} %", *(share(n, count) for n in found.values()))


def _told(outcomes: list[int | None]) -> str:
    caught = sorted(found for found in outcomes if found is not None)
    if len(caught) * 2 <= len(outcomes):
        return f"{100 * len(caught) / len(outcomes):.0f} % in the stage"
    return f"{statistics.median(caught):,.0f}"


def detection(seed: int, count: int) -> None:
    heads = ("version", "regression from", "φ = 1", "φ = 3", "promoted, φ = 1", "promoted, φ = 3", "1-minute threshold")
    title(
        f"Median requests from the regression to the abort, of {count:,} stages (0.5 requests/s on the canary):", *heads
    )
    cases = [(ERRORS, rate, f"{100 * rate:g} % errors, limit 0.5 %") for rate in (1.0, 0.2, 0.05, 0.02, 0.01)]
    for line, rate, name in [*cases, (SLOW, 0.2, "20 % slower than the limit of p95")]:
        for good_ticks, since in ((0, "the start"), (TICKS // 2, "half time")):
            found: dict[int, list[int | None]] = {1: [], 3: []}
            plain: list[int | None] = []
            passed = {1: 0, 3: 0}
            for history in stages((seed, 2), count, lambda c: independent(c, 0.5, rate, good_ticks=good_ticks)):  # noqa: B023 - used at once
                before = int(history.requests[:good_ticks].sum())
                for burst in (1, 3):
                    outcome = judge(line, burst, history)
                    found[burst].append(None if outcome.requests is None else outcome.requests - before)
                    passed[burst] += outcome.passed
                limit = 0.005 if line == ERRORS else 0.05
                caught = plain_threshold(limit, 1, history)
                plain.append(None if caught is None or caught < before else caught - before)
            row(name, since, *map(_told, found.values()), *(share(n, count) for n in passed.values()), _plain(plain))


def _plain(outcomes: list[int | None]) -> str:
    early = sum(found is None for found in outcomes)
    text = _told([found for found in outcomes if found is not None])
    return f"{text} ({100 * early / len(outcomes):.0f} % aborted before it)" if early else text


def bursts(seed: int, count: int) -> None:
    heads = ("errors come", "true rate", "1-minute threshold", "φ = 1", "φ = 3", "φ = 10", "φ learned")
    title(f"Good canaries whose errors come in bursts, of {count:,} stages (5 requests/s, limit 0.5 %):", *heads)
    for size in (1, 3, 10):
        for rate in (0.0025,):
            found = dict.fromkeys(heads[2:], 0)
            for history in stages((seed, 3, size), count, lambda c: in_bursts(c, 5.0, rate, size)):  # noqa: B023 - used at once
                found[heads[2]] += plain_threshold(0.005, 1, history) is not None
                for name, burst in zip(heads[3:], (1, 3, 10, None), strict=True):
                    found[name] += judge(ERRORS, burst, history).requests is not None
            row(f"{size} at a time", f"{100 * rate:g} %", *(share(n, count) for n in found.values()))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=20261123)
    arguments.add_argument("--stages", type=int, default=400, help="of good canaries, for each rate")
    arguments.add_argument("--walks", type=int, default=100, help="of each other case, with the whole judgement")
    given = arguments.parse_args()
    began = time.monotonic()
    false_aborts(given.seed, given.stages)
    detection(given.seed, given.walks)
    bursts(given.seed, given.walks)
    sys.stdout.write(f"\nSeed {given.seed}, {time.monotonic() - began:,.0f} s.\n")


if __name__ == "__main__":
    main()
