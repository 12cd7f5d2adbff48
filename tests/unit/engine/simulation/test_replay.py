"""A recording is judged as the operator's ticks are: by the same folding, at the same tick."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final

import pytest

from serinus.api.abort_condition import parse_abort_condition
from serinus.api.rollout import MetricsRef
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.assessment import begin, update
from serinus.engine.analysis.measurements import Answer, Batch, CouldNotAsk, Counted, NoData
from serinus.engine.simulation.outcomes import End
from serinus.engine.simulation.plan import SimulatedPlan, key_of, simulated_plan
from serinus.engine.simulation.replay import RecordedTick, replay
from support.builders import a_spec, a_stage
from support.simulated import BEGAN, SCRAPE, a_plan

LINE: Final = "error_rate > 0.5%"
ERRORS: Final = key_of(parse_abort_condition(LINE))


def ticks(bad: Sequence[float | Answer | None], *, requests: float = 50.0) -> list[RecordedTick]:
    """Ticks with these bad requests; None where there is no data."""
    found = []
    for number, one in enumerate(bad, start=1):
        at = BEGAN + number * SCRAPE
        answer: Answer = NoData(at=at, cause=Cause.NO_SERIES, message="no series")
        if isinstance(one, float | int):
            answer = Counted(at=at, batch=Batch(requests, one, one, one))
        found.append(RecordedTick(at, {ERRORS: (answer, None)}))
    return found


def answered(plan: SimulatedPlan) -> SimulatedPlan:
    return simulated_plan(plan.spec, scrape_interval=SCRAPE, answered=frozenset({ERRORS}))


def test_the_breach_is_found_at_the_tick_at_which_the_operators_own_folding_finds_it() -> None:
    recorded, plan = ticks([0, 1, 0, 5, 20, 20, 20]), answered(a_plan())
    progress = begin(
        parse_abort_condition(LINE),
        plan.spec.stages[0],
        MetricsRef(),
        conditions_in_run=plan.conditions,
        scrape_interval=SCRAPE,
    )
    expected = None
    for tick in recorded:
        progress = update(progress, *tick.answers[ERRORS])
        expected = expected or progress.breached_at

    found = replay(plan, BEGAN, recorded)

    assert expected is not None
    assert found.decided_at == expected
    assert (found.outcome.end, found.outcome.condition, found.outcome.stage) == (End.ROLLED_BACK, LINE, "canary")
    assert found.message.startswith("error_rate ")
    assert [point.verdict for point in found.points][-1] is Verdict.BREACH


def test_good_requests_promote_at_the_end_of_the_plan() -> None:
    found = replay(answered(a_plan(duration="5m")), BEGAN, ticks([0.0] * 60, requests=200.0))

    assert found.outcome.end is End.PROMOTED
    assert found.outcome.after == timedelta(minutes=10)
    assert found.outcome.requests == 40 * 200
    assert {point.stage for point in found.points} == {"canary", "production"}


def test_a_recording_that_ends_early_leaves_the_run_undecided_and_says_what_it_waits_for() -> None:
    found = replay(answered(a_plan(duration="5m")), BEGAN, ticks([0.0] * 8))

    assert (found.outcome.end, found.decided_at) == (End.UNDECIDED, None)
    assert "watches until 14:05:00Z" in found.message


def test_nothing_passes_without_data() -> None:
    found = replay(answered(a_plan(duration="1m")), BEGAN, ticks([None] * 30))

    assert found.outcome.end is End.UNDECIDED
    assert {point.cause for point in found.points} == {Cause.NO_SERIES}
    assert found.outcome.requests == 0


def test_a_tick_of_which_only_the_stable_version_is_unknown_is_not_counted() -> None:
    line = "error_rate > stable + 0.5%"
    plan = simulated_plan(a_plan(line).spec, scrape_interval=SCRAPE, answered=frozenset({ERRORS}))
    recorded = []
    for tick in ticks([20.0] * 10):
        candidate, _ = tick.answers[ERRORS]
        stable = CouldNotAsk(at=tick.at, cause=Cause.PROVIDER_DOWN, message="no answer")
        recorded.append(RecordedTick(tick.at, {ERRORS: (candidate, stable)}))

    found = replay(plan, BEGAN, recorded)

    assert found.outcome.end is End.UNDECIDED
    assert {point.cause for point in found.points} == {Cause.PROVIDER_DOWN}


def test_ticks_before_the_stage_are_left_out() -> None:
    early = [RecordedTick(BEGAN, {ERRORS: (Counted(at=BEGAN, batch=Batch(100, 100, 100, 100)), None)})]

    assert replay(answered(a_plan()), BEGAN, early + ticks([0.0])).outcome.end is End.UNDECIDED


def test_a_condition_without_figures_is_an_error_and_a_guard_without_is_left_out() -> None:
    canary = a_stage("canary", "5%", abortOn=["latency_p95 > 300ms"])
    plan = simulated_plan(
        a_spec("2.0.0", canary, a_stage("production", "100%")), scrape_interval=SCRAPE, answered=frozenset({ERRORS})
    )

    with pytest.raises(ValueError, match="stage canary: there are no figures for latency_p95 > 300ms"):
        replay(plan, BEGAN, ticks([0.0]))
    guarded = replay(answered(a_plan(guards=True)), BEGAN, ticks([0.0]))
    assert [point.condition for point in guarded.points] == [LINE]
