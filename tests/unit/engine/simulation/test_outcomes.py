"""The figures over many runs."""

from datetime import timedelta

from serinus.engine.simulation.outcomes import End, Outcome, Proportion, Spread, Summary


def an_outcome(end: End, minutes: float | None = None, **fields: float | str) -> Outcome:
    after = None if minutes is None else timedelta(minutes=minutes)
    return Outcome(**{"end": end, "after": after, "stage": "canary", "requests": 10.0, "harmed": 1.0, **fields})  # type: ignore[arg-type]


def test_median_and_95th_percentile_are_figures_of_runs() -> None:
    found = Spread.of([float(number) for number in range(1, 101)])

    assert found == Spread(50.0, 95.0)
    assert Spread.of([3.0]) == Spread(3.0, 3.0)
    assert Spread.of([]) is None


def test_the_interval_of_a_chance_contains_it_and_says_how_little_is_known_of_few_runs() -> None:
    few, many = Proportion(1, 10), Proportion(100, 1000)

    assert few.share == many.share == 0.1
    assert few.interval[0] < many.interval[0] < 0.1 < many.interval[1] < few.interval[1]
    assert Proportion(0, 0).interval == (0.0, 1.0)


def test_causes_are_by_condition_and_stage_the_most_frequent_first() -> None:
    back = [an_outcome(End.ROLLED_BACK, 2, condition="b > 1", evidence=value) for value in (100.0, 300.0, 900.0)]
    other = an_outcome(End.ROLLED_BACK, 3, condition="a > 1", evidence=200.0)
    summary = Summary((other, *back, an_outcome(End.PROMOTED, 9)))

    assert [(one.condition, one.runs, one.evidence) for one in summary.causes] == [
        ("b > 1", 3, 300.0),
        ("a > 1", 1, 200.0),
    ]
    assert summary.ending(End.ROLLED_BACK) == Proportion(4, 5)


def test_a_chart_counts_the_runs_that_had_ended_by_each_minute() -> None:
    outcomes = (an_outcome(End.ROLLED_BACK, 1), an_outcome(End.ROLLED_BACK, 3), an_outcome(End.UNDECIDED))
    summary = Summary((*outcomes, an_outcome(End.PROMOTED, 2)))

    assert summary.by_minute(End.ROLLED_BACK, [0, 1, 2, 3]) == [0.0, 0.25, 0.25, 0.5]
