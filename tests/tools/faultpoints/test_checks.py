"""The checks of a disturbed run find what they are for: each is shown a history that must not be, and one that may."""

from collections.abc import Mapping
from typing import Any

import pytest

from support.faultpoints.checks import SAFE_WITHIN, Happened, problems_with
from support.faultpoints.faults import LASTS, Fault, Point
from support.faultpoints.histories import Stored
from support.faultpoints.metrics_server import Series
from support.faultpoints.stories import CANDIDATE, STABLE, STORIES, backend_of, series_of

NAMESPACE = "fp-test"
BEGUN = 1_000.0


def route(at: float, candidate: int) -> Stored:
    """The route as it was stored at a second, with this percentage for the candidate."""
    refs = [
        {"name": backend_of(STABLE), "weight": 100 - candidate},
        {"name": backend_of(CANDIDATE), "weight": candidate},
    ]
    raw = {"metadata": {"resourceVersion": str(10 * int(at))}, "spec": {"rules": [{"backendRefs": refs}]}}
    return Stored(BEGUN + at, raw)


def rollout(at: float, stage: str, candidate: str = CANDIDATE) -> Stored:
    """The Rollout as it was stored just before a second."""
    status: dict[str, Any] = {"candidate": {"version": candidate}, "stage": {"name": stage}}
    return Stored(BEGUN + at, {"metadata": {"resourceVersion": str(10 * int(at) - 1)}, "status": status})


def counted(until: float) -> Series:
    """The canary has a fifth of the traffic from the first second on, and the operator was told of it until then."""
    series = Series(BEGUN, shares={series_of(NAMESPACE, CANDIDATE): 0.2})
    series.advance(BEGUN + 60)
    series.delivered = {series_of(NAMESPACE, CANDIDATE): [(BEGUN + until, BEGUN + until)]}
    return series


def happened(
    story: str,
    routes: list[Stored],
    rollouts: list[Stored],
    *,
    told: float = 60,
    struck: Mapping[Point, float] | None = None,
) -> Happened:
    return Happened(
        story=STORIES[story],
        namespace=NAMESPACE,
        routes=routes,
        rollouts=rollouts,
        series=counted(told),
        acted=BEGUN + 5 if STORIES[story].act else None,
        struck=struck or {},
    )


GOOD_ROLLOUTS = [rollout(1, "staging"), rollout(3, "canary"), rollout(20, "canary")]


def test_a_run_that_walks_its_stages_is_right() -> None:
    run = happened("promote", [route(1, 0), route(2, 20), route(21, 100)], GOOD_ROLLOUTS, told=20)

    assert problems_with(run) == ([], None)


@pytest.mark.parametrize(
    ("routes", "rollouts", "told", "words"),
    [
        ([route(1, 0), route(2, 20)], [rollout(1, "staging", "3.0.0")], 20, "not stored as the candidate"),
        ([route(1, 0), route(2, 100)], [rollout(1, "staging")], 20, "the stored stage is staging"),
        ([route(1, 0), route(2, 20), route(4, 100)], GOOD_ROLLOUTS, -1, "of its requests were known"),
        (
            [route(1, 0), route(3, 20), route(3.5, 100)],
            [rollout(3, "canary")],
            3.2,
            "its first weight only 0.50 s before",
        ),
    ],
    ids=["another candidate", "a stage left out", "no evidence", "too early"],
)
def test_a_weight_that_rises_too_soon_is_found(
    routes: list[Stored], rollouts: list[Stored], told: float, words: str
) -> None:
    problems, _ = problems_with(happened("promote", routes, rollouts, told=told))

    assert [words in problem for problem in problems] == [True], problems


def test_a_version_that_must_fall_may_never_have_everything() -> None:
    routes = [route(1, 0), route(2, 20), route(6, 100), route(7, 0)]

    problems, _ = problems_with(happened("breach", routes, GOOD_ROLLOUTS))

    assert problems == [f"{CANDIDATE} was raised from 20% to 100%: it is the version that must fall"]


def test_the_time_to_safety_counts_from_the_cause() -> None:
    routes = [route(1, 0), route(2, 20), route(8, 0)]

    assert problems_with(happened("breach", routes, GOOD_ROLLOUTS)) == ([], 3.0)


def test_a_version_that_keeps_its_weight_too_long_is_found() -> None:
    routes = [route(1, 0), route(2, 20), route(6 + SAFE_WITHIN, 0)]

    problems, _ = problems_with(happened("breach", routes, GOOD_ROLLOUTS))

    assert problems == [f"{CANDIDATE} kept its weight for {1 + SAFE_WITHIN:.1f} s"]


def test_a_version_that_never_loses_its_weight_is_found() -> None:
    problems, _ = problems_with(happened("breach", [route(1, 0), route(2, 20)], GOOD_ROLLOUTS))

    assert problems == [f"{CANDIDATE} never lost its weight"]


def test_the_time_begins_anew_when_calls_succeed_again() -> None:
    point = Point("breach", Fault.HALF_OPEN, "PATCH httproutes", 3)
    last = LASTS[Fault.HALF_OPEN]
    routes = [route(1, 0), route(2, 20), route(8 + last, 0)]

    assert problems_with(happened("breach", routes, GOOD_ROLLOUTS, struck={point: BEGUN + 6})) == ([], 2.0)


def test_a_fault_after_the_weight_has_gone_excuses_nothing() -> None:
    point = Point("breach", Fault.KILL_AFTER, "write", 40)
    routes = [route(1, 0), route(2, 20), route(6 + SAFE_WITHIN, 0)]

    problems, _ = problems_with(happened("breach", routes, GOOD_ROLLOUTS, struck={point: BEGUN + 30}))

    assert len(problems) == 1
