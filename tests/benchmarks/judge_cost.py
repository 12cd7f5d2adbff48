"""What judging costs a tick: ``python tests/benchmarks/judge_cost.py [canaries]``; prints, judges nothing.

Each canary has two conditions and new requests at every tick, at four rates of traffic; sixty ticks follow each other.
"""

# ruff: noqa: T201 - a benchmark speaks to a person in a terminal

import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(_ROOT / part) for part in ("operator", "tests")]

import numpy as np  # noqa: E402 - the paths above come first

from serinus.api.abort_condition import parse_abort_condition  # noqa: E402
from serinus.api.quantities import Duration, Share  # noqa: E402
from serinus.api.rollout import MetricsRef, Stage  # noqa: E402
from serinus.engine.analysis.assessment import Progress, begin, update_all  # noqa: E402
from serinus.engine.analysis.measurements import Answer, Batch, Counted  # noqa: E402

_TICKS = 60
_START = datetime(2026, 11, 28, 14, 0, tzinfo=UTC)
_LIMITS = ("error_rate > 0.5%", "latency_p95 > 200ms")
_COMPARISON = ("error_rate > stable + 0.5%", "error_rate > 0.5%")


def beginnings(lines: tuple[str, ...], canaries: int) -> list[Progress]:
    """Return the progress of every condition of every canary."""
    stage = Stage(name="canary", traffic=Share("5%"), duration=Duration("2h"), abort_on=lines)
    scrape = timedelta(seconds=15)
    conditions = [parse_abort_condition(line) for line in lines]
    return [
        begin(condition, stage, MetricsRef(), conditions_in_run=4, scrape_interval=scrape)
        for condition in conditions * canaries
    ]


def answers(chance: np.random.Generator, count: int, per_second: float, tick: int) -> list[Answer]:
    """Return the answers of one tick, with 0.3 % of bad requests."""
    requests = chance.poisson(5 * per_second, count)
    bad = chance.binomial(requests, 0.003)
    at = _START + timedelta(seconds=5 * tick)
    figures = zip(requests.astype(float).tolist(), bad.astype(float).tolist(), strict=True)
    return [Counted(at=at, batch=Batch(n, x, x, x)) for n, x in figures]


def measure(lines: tuple[str, ...], canaries: int, per_second: float) -> None:
    """Run the ticks and print what one of them costs."""
    chance, progress, spent = np.random.default_rng(1), beginnings(lines, canaries), 0.0
    for tick in range(1, _TICKS + 1):
        candidates = answers(chance, len(progress), per_second, tick)
        stables = answers(chance, len(progress), 19 * per_second, tick)
        began = time.process_time()
        progress = update_all(zip(progress, candidates, stables, strict=True))
        spent += time.process_time() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{canaries} canaries, {per_second:g} requests/s each, {' and '.join(lines)}: "
        f"{1000 * spent / _TICKS:.0f} ms of CPU a tick, {peak:.0f} MiB at most"
    )


if __name__ == "__main__":
    count = int(sys.argv[1]) if sys.argv[1:] else 1000
    for rate in (0.5, 10.0, 500.0):
        measure(_LIMITS, count, rate)
    measure(_COMPARISON, count, 10.0)
