"""Latencies compared with the stable version's, by the requests above a bucket bound."""

import pytest

from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.assessment import assess, update
from serinus.engine.analysis.latency_factor import above, add, reference_bound
from serinus.engine.analysis.measurements import Batch, Counted
from serinus.engine.analysis.progress import Progress
from support.analysis import a_stage, at, begun

FASTER = "latency_p95 > 1.2x stable"
BOUNDS = (0.05, 0.1, 0.12, 0.15, 0.2)


def histogram(seconds: float, requests: float, *counts: float) -> Counted:
    """Return an answer with so many requests above each bound."""
    tail = tuple(zip(BOUNDS, counts, strict=True))
    return Counted(at=at(seconds), batch=Batch(requests, 0.0, 0.0, 0.0), above=tail, total=requests)


def test_the_reference_is_the_bound_nearest_to_the_quantile() -> None:
    tail = tuple(zip(BOUNDS, (800.0, 60.0, 30.0, 0.0, 0.0), strict=True))
    assert reference_bound(tail, 1000, 0.05) == 0.1
    assert reference_bound(tail, 1000, 0.5) == 0.05
    assert reference_bound((), 0, 0.05) is None


@pytest.mark.parametrize(
    ("limit", "batch"),
    [
        (0.1, Batch(100, 40, 40, 40)),
        (0.12, Batch(100, 20, 20, 20)),
        (0.135, Batch(100, 10, 15, 20)),
        (0.025, Batch(100, 80, 90, 100)),
        (0.3, Batch(100, 0, 5, 5)),
    ],
)
def test_requests_above_a_latency_are_counted_between_bounds(limit: float, batch: Batch) -> None:
    found = above(histogram(5, 100, 80, 40, 20, 10, 5), limit).batch
    assert (found.requests, found.certain, found.possible) == (batch.requests, batch.certain, batch.possible)
    assert found.likely == pytest.approx(batch.likely)


def test_bounds_that_only_one_of_two_counts_has_are_left_out() -> None:
    assert add((), ((0.1, 3.0),)) == ((0.1, 3.0),)
    assert add(((0.1, 1.0), (0.2, 1.0)), ((0.2, 2.0), (0.3, 1.0))) == ((0.2, 3.0),)


def history(candidate: tuple[float, ...], ticks: int, stable: tuple[float, ...] = (900, 48, 20, 5, 0)) -> Progress:
    progress = begun(a_stage(FASTER, burst=None), conditions_in_run=2)
    for tick in range(1, ticks + 1):
        progress = update(progress, histogram(5 * tick, 50, *candidate), histogram(5 * tick, 950, *stable))
    return progress


def test_a_version_as_fast_as_the_stable_one_passes() -> None:
    progress = history((47, 2.5, 1, 0, 0), 60)
    judged = assess(progress, a_stage(FASTER), at(300))
    assert judged.verdict is Verdict.PASS, judged.message
    assert judged.message.startswith("2% of 2,950 requests took longer than 1.2x stable (59); at most 5.05% may")


def test_a_slower_version_is_breached() -> None:
    judged = assess(history((50, 40, 20, 10, 0), 20), a_stage(FASTER), at(100))
    assert (judged.verdict, judged.value) == (Verdict.BREACH, "40% over 1.2x stable")


def test_a_common_slowness_is_no_breach() -> None:
    progress = begun(a_stage(FASTER, burst=None), conditions_in_run=2)
    for tick in range(1, 200):
        slow = 50 < tick < 100
        candidate = histogram(5 * tick, 50, *((50, 45, 40, 30, 10) if slow else (47, 3, 1, 0, 0)))
        stable = histogram(5 * tick, 950, *((950, 855, 760, 570, 190) if slow else (900, 48, 20, 5, 0)))
        progress = update(progress, candidate, stable)
    assert progress.breached_at is None


def test_nothing_is_compared_before_the_stable_version_has_a_histogram() -> None:
    progress = update(begun(a_stage(FASTER, burst=None)), histogram(5, 50, 50, 50, 50, 50, 50), None)
    judged = assess(progress, a_stage(FASTER), at(5))
    assert (judged.verdict, judged.cause) == (Verdict.UNKNOWN, Cause.NO_TRAFFIC)
