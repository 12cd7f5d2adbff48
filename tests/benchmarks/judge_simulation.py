"""Simulates whole stages and prints what the judge does with them, as the tables of docs/explanation/statistics.md.

Run it from the root: ``python tests/benchmarks/judge_simulation.py --seed 20261129``.
"""

import argparse
import math
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / part) for part in ("operator", "tests")]

import numpy as np  # noqa: E402 - the paths above come first

from serinus.api.rollout import Sensitivity  # noqa: E402
from support.judge.against_product import check_against_product, check_comparison_against_product  # noqa: E402
from support.judge.batch import TICK, Floats, Histories, Ints, Setting, judge  # noqa: E402
from support.judge.comparing import compare  # noqa: E402
from support.judge.pairs import (  # noqa: E402
    MARGIN,
    Kind,
    blips_of_the_candidate,
    independent,
    outage_in_ten,
    since,
)
from support.judge.pairs import overdispersed as overdispersed_pairs  # noqa: E402
from support.judge.traffic import (  # noqa: E402
    TICKS,
    Regression,
    Shape,
    consecutive,
    moving,
    one_minute_in_ten,
    outages,
    overdispersed,
    some_answered,
    steady,
    steps,
    waves,
)

LIMITS: Final = (0.005, 0.05)
RATES: Final = (0.05, 0.5, 10.0, 500.0)
HALF: Final = TICKS // 2
PART: Final = 500
MINUTE: Final = int(60 / TICK)
NULLS: Final[dict[str, Shape]] = {
    "at the limit, independent": steady(1.0),
    "half the limit, independent": steady(0.5),
    "at the limit, beta-binomial, 4 times the variance": overdispersed(4.0, 1.0),
    "at the limit, 3 in a row": consecutive(3, 1.0),
    "at the limit, 8 in a row": consecutive(8, 1.0),
    "at the limit, 20 in a row": consecutive(20, 1.0),
    "a tenth of the limit, 20 in a row": consecutive(20, 0.1),
    "half the limit, outages of 2 s": outages(2.0, 0.5),
    "a tenth of the limit, outages of 2 s": outages(2.0, 0.1),
    "steps between a twentieth and the limit": moving(steps()),
    "waves between 0 and the limit": moving(waves()),
    "a minute at the limit in every ten": moving(one_minute_in_ten()),
}


def wilson(found: int, of: int) -> tuple[float, float]:
    """Return the two-sided 95 % interval of a proportion (Wilson's score interval)."""
    z = 1.959964
    middle = (found + z * z / 2) / (of + z * z)
    half = z / (of + z * z) * math.sqrt(found * (of - found) / of + z * z / 4)
    return max(0.0, middle - half), min(1.0, middle + half)


def share(found: int, of: int) -> str:
    low, high = wilson(found, of)
    return f"{found} ({100 * low:.1f}-{100 * high:.1f} %)"


def row(*cells: object) -> None:
    sys.stdout.write(f"| {' | '.join(str(cell) for cell in cells)} |\n")
    sys.stdout.flush()


def title(sentence: str, *heads: str) -> None:
    sys.stdout.write(f"\n{sentence}\n\n")
    row(*heads)
    row(*("---" for _ in heads))


def breaches(histories: Histories, setting: Setting, answered: Ints | None = None) -> int:
    return int((judge(histories, setting, answered).breached >= 0).sum())


def false_aborts(seed: int, runs: int) -> None:
    heads = [f"{rate:g} requests/s" for rate in RATES]
    title(
        f"Tolerable canaries that are aborted, of {runs:,} stages of 2 h each, at 500 requests/s of half as many "
        "(two conditions in the run, so that at most 0.5 % may be; in brackets the 95 % interval):",
        "limit",
        "canary",
        *heads,
    )
    for limit in LIMITS:
        for place, (name, shape) in enumerate(NULLS.items()):
            cells = []
            for rate in RATES:
                # At 500 requests/s no two blocks are alike, so that a stage costs the most.
                canaries = runs // 2 if rate == RATES[-1] else runs
                chance = np.random.default_rng((seed, 1, place, int(100 * rate)))
                histories = shape(chance, rate, limit, canaries)
                cells.append(share(breaches(histories, Setting(limit=limit)), canaries))
            row(f"{100 * limit:g} %", name, *cells)


LARGE: Final = (
    ("at the limit, 20 in a row", 0.005, 10.0, Sensitivity.BALANCED),
    ("at the limit, 20 in a row", 0.05, 10.0, Sensitivity.BALANCED),
    ("at the limit, 20 in a row", 0.05, 10.0, Sensitivity.CAREFUL),
    ("at the limit, 8 in a row", 0.05, 10.0, Sensitivity.BALANCED),
    ("half the limit, outages of 2 s", 0.005, 10.0, Sensitivity.BALANCED),
    ("half the limit, outages of 2 s", 0.005, 500.0, Sensitivity.BALANCED),
    ("at the limit, beta-binomial, 4 times the variance", 0.005, 0.5, Sensitivity.BALANCED),
    ("at the limit, beta-binomial, 4 times the variance", 0.05, 0.5, Sensitivity.BALANCED),
    ("at the limit, beta-binomial, 4 times the variance", 0.005, 10.0, Sensitivity.BALANCED),
)


def large(seed: int, runs: int) -> None:
    title(
        f"The rows that matter with {runs:,} stages (a quarter of them at 500 requests/s), by the number of conditions "
        "in the run:",
        "limit",
        "canary",
        "requests/s",
        "sensitivity",
        "1 (at most 1 % may be)",
        "2 (0.5 %)",
        "8 (0.125 %)",
    )
    for place, (name, limit, rate, sensitivity) in enumerate(LARGE):
        canaries = runs // 4 if rate == RATES[-1] else runs
        highest = []
        for part in range(max(1, canaries // PART)):
            histories = NULLS[name](np.random.default_rng((seed, 14, place, part)), rate, limit, min(PART, canaries))
            highest.append(judge(histories, Setting(limit=limit, sensitivity=sensitivity, needed=math.inf)).highest)
        found = np.concatenate(highest)
        cells = [share(int((found >= needed).sum()), len(found)) for needed in (100, 200, 800)]
        row(f"{100 * limit:g} %", name, f"{rate:g}", sensitivity.value, *cells)


def many_conditions(seed: int, runs: int) -> None:
    title(
        f"Runs of a canary at the limit of every condition that are aborted, of {runs:,} (10 requests/s, limit 0.5 %; "
        "at most 1 % may be):",
        "conditions in the run",
        "independent errors",
        "outages of 2 s at half the limit",
    )
    for conditions in (1, 3, 8):
        cells = []
        for place, shape in enumerate((steady(1.0), outages(2.0, 0.5))):
            chance = np.random.default_rng((seed, 2, place, conditions))
            setting = Setting(limit=0.005, needed=100.0 * conditions)
            breached = judge(shape(chance, 10.0, 0.005, conditions * runs), setting).breached >= 0
            cells.append(share(int(breached.reshape(runs, conditions).any(axis=1).sum()), runs))
        row(conditions, *cells)


def requests_until(histories: Histories, breached: Sequence[int], since: int) -> list[float]:
    """Return the requests from the regression to the breach; infinite without one, negative for one before it."""
    total = histories.requests.cumsum(axis=0)
    before = total[since - 1] if since else np.zeros(total.shape[1])
    return [
        math.inf if tick < 0 else float(total[tick, canary] - before[canary]) for canary, tick in enumerate(breached)
    ]


def median(found: list[float]) -> str:
    middle = sorted(found)[len(found) // 2]
    if math.isinf(middle):
        return f"{100 * sum(map(math.isfinite, found)) / len(found):.0f} % in the stage"
    return f"{middle:,.0f}"


def detection(seed: int, runs: int) -> None:
    since = {"the start": 0, "half time": HALF, "the last quarter": TICKS * 3 // 4}
    title(
        f"Median requests from the regression to the breach, of {runs:,} stages (a tenth of the limit before it; two "
        "conditions in the run):",
        "limit",
        "true rate",
        *(f"{rate:g} requests/s, from {name}" for rate in (0.5, 10.0) for name in since),
    )
    for limit in LIMITS:
        for rate in (1.5 * limit, 2 * limit, 4 * limit, 10 * limit, *((0.2,) if limit < 0.02 else ()), 1.0):
            cells = []
            for per_second in (0.5, 10.0):
                for begin_at in since.values():
                    chance = np.random.default_rng((seed, 3))
                    histories = Regression(rate, begin_at).histories(chance, per_second, limit, runs)
                    breached = judge(histories, Setting(limit=limit)).breached
                    cells.append(median(requests_until(histories, breached.tolist(), begin_at)))
            row(f"{100 * limit:g} %", f"{100 * rate:g} %", *cells)


def sensitivities(seed: int, runs: int) -> None:
    nulls = {name: NULLS[name] for name in list(NULLS) if "limit, independent" in name or "in a row" in name}
    del nulls["half the limit, independent"]
    title(
        f"What `sensitivity` costs and buys: aborted of {runs:,} stages, and median requests until the breach of a "
        "regression after half an hour at a tenth of the limit (10 requests/s):",
        "sensitivity",
        "limit",
        *nulls,
        *(f"{times} x" for times in (2, 4, 10)),
        "100 %",
    )
    for sensitivity in Sensitivity:
        for limit in LIMITS:
            setting = Setting(limit=limit, sensitivity=sensitivity)
            cells: list[object] = []
            for place, shape in enumerate(nulls.values()):
                histories = shape(np.random.default_rng((seed, 4, place)), 10.0, limit, runs)
                cells.append(breaches(histories, setting))
            for rate in (2 * limit, 4 * limit, 10 * limit, 1.0):
                histories = Regression(rate, TICKS // 4).histories(np.random.default_rng((seed, 5)), 10.0, limit, runs)
                breached = judge(histories, setting).breached
                cells.append(median(requests_until(histories, breached.tolist(), TICKS // 4)))
            row(sensitivity.value, f"{100 * limit:g} %", *cells)


def window_shares(histories: Histories) -> Floats:
    """Return the share of bad requests in the last minute at each tick; 0 before the first whole minute."""
    sums = [
        np.apply_along_axis(np.convolve, 0, figures, np.ones(MINUTE))[:TICKS]
        for figures in (histories.bad, histories.requests)
    ]
    whole = (np.arange(TICKS) >= MINUTE - 1)[:, None] & (sums[1] > 0)
    result: Floats = np.divide(sums[0], sums[1], out=np.zeros(sums[0].shape), where=whole)
    return result


def against_a_threshold(seed: int, runs: int) -> None:
    title(
        f"Seconds from the regression to the breach (median of {runs:,}; limit 5 %, regression after half an hour at a "
        "tenth of it; two conditions in the run). The threshold on the last minute is the one that aborts 1 % of the "
        "canaries at the limit in 2 h:",
        "canary",
        "threshold found",
        "true rate",
        "threshold",
        *(sensitivity.value for sensitivity in Sensitivity),
        "threshold at 5 % itself",
        "which aborts at half the limit",
    )
    limit, since = 0.05, TICKS // 4
    for per_second in (0.5, 5.0, 50.0):
        at_limit = steady(1.0)(np.random.default_rng((seed, 6)), per_second, limit, 400)
        threshold = float(np.quantile(window_shares(at_limit).max(axis=0), 0.99))
        half = steady(0.5)(np.random.default_rng((seed, 7)), per_second, limit, 400)
        naive = float((window_shares(half) > limit).any(axis=0).mean())
        for rate in (0.1, 0.2, 0.5, 1.0):
            histories = Regression(rate, since).histories(np.random.default_rng((seed, 8)), per_second, limit, runs)
            shares = window_shares(histories)
            row(
                f"{per_second:g} requests/s",
                f"{100 * threshold:.3g} %",
                f"{100 * rate:g} %",
                _seconds(_first_over(shares, threshold, since), since),
                *(
                    _seconds(judge(histories, Setting(limit=limit, sensitivity=each)).breached, since)
                    for each in Sensitivity
                ),
                _seconds(_first_over(shares, limit, since), since),
                f"{100 * naive:.0f} %",
            )


def _first_over(shares: Floats, threshold: float, since: int) -> Ints:
    over = shares[since:] > threshold
    return np.where(over.any(axis=0), since + over.argmax(axis=0), -1)


def _seconds(breached: Ints, since: int) -> str:
    waits = [math.inf if tick < 0 else TICK * (tick + 1 - since) for tick in breached.tolist()]
    return median(waits)


COARSE_NULLS: Final[dict[str, Shape]] = {
    name: NULLS[name]
    for name in ("at the limit, independent", "at the limit, 8 in a row", "half the limit, outages of 2 s")
}
COMPARED_NULLS: Final[dict[str, Kind]] = {
    "0.5 % more than a stable version at 0.2 %": independent(0.007, 0.002),
    "0.5 % more than a stable version at 2 %": independent(0.025, 0.02),
    "as good as a stable version at 2 %": independent(0.02, 0.02),
    "0.5 % more than a stable version at 0.2 %, at 0.5 requests/s": independent(0.007, 0.002, per_second=0.5),
    "0.5 % more than a stable version at 0.2 %, with half of the traffic": independent(0.007, 0.002, share=0.5),
    "the first one with 4 times the variance of independent errors": overdispersed_pairs(0.007, 0.002, 4.0),
    "both at 2 % with 4 times the variance": overdispersed_pairs(0.02, 0.02, 4.0),
    "both fail half of all requests for a minute in every ten": independent(
        outage_in_ten(0.5, usual=0.002), outage_in_ten(0.5, usual=0.002)
    ),
    "the outages, with half of the traffic each": independent(
        outage_in_ten(0.5, usual=0.002), outage_in_ten(0.5, usual=0.002), share=0.5
    ),
    "the outages, at 0.5 requests/s": independent(
        outage_in_ten(0.5, usual=0.002), outage_in_ten(0.5, usual=0.002), per_second=0.5
    ),
    "both between 0 and 5 %, in waves": independent(0.05 * waves(), 0.05 * waves()),
    "0.5 % more than a stable version between 0 and 5 %, in waves": independent(0.05 * waves() + 0.005, 0.05 * waves()),
    "outages of 2 s of the candidate alone, half the margin": blips_of_the_candidate(0.5),
}


def comparisons(seed: int, runs: int) -> None:
    title(
        f"`error_rate > stable + 0.5%`: tolerable canaries that are aborted, of {runs:,} stages of 2 h (10 requests/s "
        "on the canary, 190 on the stable version, where nothing else is said; at most 0.5 % may be):",
        "canary",
        "aborted",
    )
    for place, (name, kind) in enumerate(COMPARED_NULLS.items()):
        found = 0
        for part in range(max(1, runs // PART)):
            chance = np.random.default_rng((seed, 9, place, part))
            found += int((compare(kind(chance, min(PART, runs)), MARGIN, 200.0) >= 0).sum())
        row(name, share(found, max(1, runs // PART) * min(PART, runs)))
    few = max(5, runs // 10)
    title(
        f"`error_rate > stable + 0.5%`: median requests until the breach of {few:,} regressions after half an hour:",
        "stable version",
        *(f"canary {100 * excess:g} % above it" for excess in (0.01, 0.02, 0.05, 0.2, 0.9)),
    )
    for usual in (0.001, 0.02):
        cells = []
        for excess in (0.01, 0.02, 0.05, 0.2, 0.9):
            kind = independent(since(TICKS // 4, usual + excess, usual), usual)
            pairs = kind(np.random.default_rng((seed, 10)), few)
            breached = compare(pairs, MARGIN, 200.0)
            cells.append(median(requests_until(pairs.candidate, breached.tolist(), TICKS // 4)))
        row(f"{100 * usual:g} %", *cells)


def coarse_steps(seed: int, runs: int) -> None:
    title(
        f"1 to 10 ticks at random read as one, after a source that did not answer (10 requests/s): aborted of {runs:,} "
        f"tolerable canaries (at most 0.5 % may be), and median requests of {runs // 10:,} regressions after half an "
        "hour:",
        "limit",
        "ticks",
        *COARSE_NULLS,
        *(f"{times} x" for times in (2, 4, 10)),
        "100 %",
    )
    for limit in LIMITS:
        for name, coarse in (("each by itself", False), ("1 to 10 as one", True)):
            cells = []
            for place, shape in enumerate(COARSE_NULLS.values()):
                chance = np.random.default_rng((seed, 11, place))
                histories = shape(chance, 10.0, limit, runs)
                answered = some_answered(chance) if coarse else None
                cells.append(share(breaches(histories, Setting(limit=limit), answered), runs))
            for rate in (2 * limit, 4 * limit, 10 * limit, 1.0):
                chance = np.random.default_rng((seed, 12))
                histories = Regression(rate, TICKS // 4).histories(chance, 10.0, limit, runs // 10)
                answered = some_answered(chance) if coarse else None
                breached = judge(histories, Setting(limit=limit), answered).breached
                cells.append(median(requests_until(histories, breached.tolist(), TICKS // 4)))
            row(f"{100 * limit:g} %", name, *cells)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--seed", type=int, default=20261129)
    arguments.add_argument("--runs", type=int, default=400, help="of tolerable canaries, for each cell")
    arguments.add_argument("--regressions", type=int, default=60, help="of each other case")
    arguments.add_argument("--comparisons", type=int, default=400, help="of tolerable canaries that are compared")
    names = ("nulls", "conditions", "regressions", "sensitivity", "threshold", "comparison", "coarse", "large")
    arguments.add_argument("--tables", nargs="*", choices=names, default=names)
    given = arguments.parse_args()
    tables = {
        "nulls": (false_aborts, given.runs),
        "conditions": (many_conditions, given.runs // 2),
        "regressions": (detection, given.regressions),
        "sensitivity": (sensitivities, given.regressions),
        "threshold": (against_a_threshold, given.regressions),
        "comparison": (comparisons, given.comparisons),
        "coarse": (coarse_steps, given.runs),
        "large": (large, 5 * given.runs),
    }
    began, cpu = time.monotonic(), time.process_time()
    check_against_product(given.seed)
    check_comparison_against_product(given.seed)
    for name, (table, runs) in tables.items():
        if name in given.tables:
            table(given.seed, runs)
    spent = time.process_time() - cpu
    sys.stdout.write(f"\nSeed {given.seed}, {time.monotonic() - began:,.0f} s, {spent:,.0f} s of CPU.\n")


if __name__ == "__main__":
    main()
