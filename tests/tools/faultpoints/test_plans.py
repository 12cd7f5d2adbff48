"""Which points are tried: all kills, every class, nothing twice."""

from collections import Counter

from support.faultpoints.faults import CLOCK_FAULTS, KILLS, Fault
from support.faultpoints.plans import bundles, chosen, points_of, sampled

CALLS = {
    "write": 5,
    "query": 4,
    "PATCH httproutes": 2,
    "PATCH rollouts/status": 3,
    "GET rollouts": 2,
    "LIST rollouts": 2,
    "WATCH rollouts": 1,
    "EVENT rollouts": 3,
}
POINTS = [*points_of("promote", CALLS), *points_of("breach", CALLS)]


def test_every_class_has_points_and_no_point_is_there_twice() -> None:
    assert {point.fault for point in POINTS} == set(Fault) - {Fault.NONE}
    assert len(set(POINTS)) == len(POINTS)


def test_the_operator_is_killed_before_and_after_every_write_of_every_story() -> None:
    kills = {(point.story, point.fault, point.number) for point in POINTS if point.fault in KILLS}

    assert kills == {(story, fault, n) for story in ("promote", "breach") for fault in KILLS for n in range(1, 6)}


def test_the_choice_keeps_all_kills_and_bounds_each_other_class() -> None:
    counts = Counter(point.fault for point in chosen(POINTS, 4, seed=1))

    assert [counts[fault] for fault in KILLS] == [10, 10]
    assert max(count for fault, count in counts.items() if fault not in KILLS) == 4


def test_a_choice_is_that_of_its_seed() -> None:
    assert chosen(POINTS, 4, seed=1) == chosen(POINTS, 4, seed=1)
    assert chosen(POINTS, 4, seed=1) != chosen(POINTS, 4, seed=2)


def test_a_small_sample_has_as_many_classes_as_points() -> None:
    sample = sampled(POINTS, len(Fault) - 1, seed=1)

    assert {point.fault for point in sample} == set(Fault) - {Fault.NONE}


def test_each_point_is_in_one_run_of_its_own_story() -> None:
    groups = bundles(POINTS, 4, seed=1)

    assert sorted(point for group in groups for point in group) == sorted(POINTS)
    assert {len({point.story for point in group}) for group in groups} == {1}
    assert max(map(len, groups)) == 4


def test_no_run_has_both_a_kill_and_a_step_of_the_clock() -> None:
    for group in bundles(POINTS, 8, seed=1):
        faults = {point.fault for point in group}
        assert not (faults & set(KILLS) and faults & set(CLOCK_FAULTS)), group
