"""The points of a condition: how its figures grew, never too many, spread evenly in time."""

import math
from datetime import timedelta
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from serinus.api.parsing import decode, encode
from serinus.api.rollout import Judgement
from serinus.api.rollout_status import MAX_POINTS, EvidencePoint
from serinus.engine.analysis.assessment import Progress, update
from serinus.engine.analysis.growth import with_point
from serinus.engine.analysis.measurements import Answer
from serinus.engine.analysis.thinning import thinned
from support.analysis import a_stage, at, begun, could_not_ask, counted, measured, no_data
from support.points import rising

GAPS = st.lists(st.floats(0.001, 86_400), min_size=1, max_size=200)
MINUTES = [60.0] * 200


def grown(progress: Progress, *answers: Answer) -> tuple[EvidencePoint, ...]:
    """The points where each of these answers is shown."""
    points: tuple[EvidencePoint, ...] = ()
    for answer in answers:
        progress = update(progress, answer, None)
        points = with_point(points, progress)
    return points


@given(GAPS)
@example(MINUTES)
@example([1.0] * 100 + [86_400.0] * 100)
def test_points_are_few_rise_and_keep_the_first_and_the_last(gaps: list[float]) -> None:
    points: tuple[EvidencePoint, ...] = ()
    seconds = 0.0
    for number, gap in enumerate(gaps, start=1):
        seconds += gap
        points = thinned((*points, EvidencePoint(at=at(seconds), requests=number)), MAX_POINTS)
        assert len(points) == min(number, MAX_POINTS)
        assert rising(points)
        assert (points[0].requests, points[-1].requests) == (1, number)


@given(GAPS)
@example(MINUTES)
@example([1.0] * 100 + [86_400.0] * 100)
def test_what_is_left_out_leaves_no_long_gap(gaps: list[float]) -> None:
    points: tuple[EvidencePoint, ...] = ()
    seconds = 0.0
    for number, gap in enumerate(gaps, start=1):
        seconds += gap
        points = thinned((*points, EvidencePoint(at=at(seconds), requests=number)), MAX_POINTS)
    parts = (points[-1].at - points[0].at) / (MAX_POINTS - 1)
    for earlier, later in pairwise(points):
        neighbours = later.requests - earlier.requests == 1
        assert neighbours or later.at - earlier.at <= 2 * parts + timedelta(microseconds=10)


def test_a_long_stage_is_told_from_its_beginning_to_its_end() -> None:
    points = grown(begun(a_stage()), *(counted(60 * minute, 50) for minute in range(1, 601)))
    lengths = [(later.at - earlier.at) / timedelta(minutes=1) for earlier, later in pairwise(points)]
    assert len(points) == MAX_POINTS
    assert [points[0].at, points[-1].at] == [at(60), at(36_000)]
    assert max(lengths) <= 2 * 600 / (MAX_POINTS - 1)
    assert [point.requests for point in points] == [
        round((point.at - at(0)) / timedelta(seconds=60)) * 50 for point in points
    ]


def test_a_point_of_the_sequential_judgement_has_its_evidence() -> None:
    good, bad = grown(begun(a_stage()), counted(15, 100), counted(30, 100, 60))
    assert (good.at, good.requests, good.bad, good.value) == (at(15), 100, 0, None)
    assert good.evidence is not None
    assert float(good.evidence) < 1
    assert (bad.at, bad.requests, bad.bad, bad.value) == (at(30), 200, 60, None)
    assert bad.evidence is not None
    assert float(bad.evidence) > 1_000


def test_a_point_of_the_observed_judgement_has_the_windows_proportion() -> None:
    observed = a_stage(judgement=Judgement.OBSERVED)
    points = grown(begun(observed), counted(15, 100), counted(30, 100, 50), counted(300, 100, 10))
    assert [(point.requests, point.bad, point.value, point.evidence) for point in points] == [
        (100, 0, "0", None),
        (200, 50, "0.25", None),
        (300, 60, "0.1", None),
    ]


def test_a_point_of_a_named_query_has_its_value() -> None:
    points = grown(begun(a_stage("queue_depth > 5")), measured(15, 3), measured(30, 1234.56), measured(45, math.inf))
    assert [point.value for point in points] == ["3", "1235", None]


@pytest.mark.parametrize("answer", [no_data(30), could_not_ask(30)], ids=["no data", "not asked"])
def test_an_answer_without_figures_adds_no_point(answer: Answer) -> None:
    points = grown(begun(a_stage()), counted(15, 100), answer)
    assert [point.at for point in points] == [at(15)]


def test_an_answer_that_is_shown_twice_is_one_point() -> None:
    progress = update(begun(a_stage()), counted(15, 100), None)
    points = with_point((), progress)
    assert with_point(points, progress) is points


def test_a_clock_that_was_set_back_leaves_no_point_of_the_time_to_come() -> None:
    before = grown(begun(a_stage()), counted(15, 100), counted(3600, 100), counted(7200, 100))
    points = with_point(before, update(begun(a_stage()), counted(1800, 70), None))
    assert [(point.at, point.requests) for point in points] == [(at(15), 100), (at(1800), 70)]


@given(st.floats(0, 1e300), st.floats(0, 1), st.floats(allow_nan=False))
def test_whatever_the_figures_are_the_api_takes_them(requests: float, share: float, value: float) -> None:
    stage = a_stage("queue_depth > 5")
    for point in (
        *grown(begun(a_stage()), counted(15, min(requests, 2.0**62), math.floor(min(requests, 2.0**62) * share))),
        *grown(begun(stage), measured(15, value)),
    ):
        assert decode(EvidencePoint, encode(point), "point") == point
