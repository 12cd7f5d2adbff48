"""Guards: which stages have them, what they hold and what not."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.abort_condition import ClientErrorRate, UnansweredRate, parse_abort_condition
from serinus.api.rollout import MetricsRef
from serinus.api.rollout_status import Baseline
from serinus.api.verdict import Cause, Verdict
from serinus.engine.analysis.assessment import Assessment, assess, begin, update
from serinus.engine.analysis.false_aborts import GUARDS, possible_guards
from serinus.engine.analysis.guards import baselines_of, guards_of
from serinus.engine.analysis.measurements import Answer, Batch, Counted, NoData
from support.analysis import SCRAPE, a_stage, at
from support.builders import CANARY, PRODUCTION, STAGING, a_spec
from support.builders import a_stage as a_planned_stage

UNANSWERED, REFUSED = GUARDS
NOBODY = Batch(0, 0, 0, 0)
FAULTLESS = Batch(1900, 0, 0, 0)


def assessed(candidate: list[Batch | None], stable: Batch = FAULTLESS) -> Assessment:
    """Return what the guard of refused requests says after ticks of these."""
    stage = a_stage()
    progress = begin(REFUSED, stage, MetricsRef(), conditions_in_run=4, scrape_interval=SCRAPE, guard=True)
    now = at(0)
    for batch in candidate:
        now += SCRAPE
        answer: Answer = (
            Counted(at=now, batch=batch)
            if batch is not None
            else NoData(at=now, cause=Cause.NO_SERIES, message="no series")
        )
        progress = update(progress, answer, Counted(at=now, batch=stable))
    return assess(progress, stage, now)


def test_each_stage_with_a_part_of_the_traffic_has_them() -> None:
    plan = a_spec("2.0.0", STAGING, CANARY, PRODUCTION)

    assert [guards_of(plan, index) for index in range(3)] == [(), GUARDS, ()]
    assert [possible_guards(plan, index) for index in range(3)] == [(), GUARDS, GUARDS]
    assert {type(guard.metric) for guard in GUARDS} == {UnansweredRate, ClientErrorRate}
    assert all(guard.compared for guard in GUARDS)


def test_the_teams_own_condition_takes_the_place_of_the_guard() -> None:
    own = a_planned_stage("canary", "5%", duration="10m", abortOn=["client_error_rate > 30%"])

    assert guards_of(a_spec("2.0.0", STAGING, own, PRODUCTION), 1) == (UNANSWERED,)


def test_they_can_be_switched_off() -> None:
    assert guards_of(a_spec("2.0.0", STAGING, CANARY, PRODUCTION, guards="Off"), 1) == ()


def test_a_version_that_refuses_everybody_is_a_breach_within_one_tick() -> None:
    judged = assessed([Batch(100, 100, 100, 100)])

    assert (judged.verdict, judged.guard, judged.holds) == (Verdict.BREACH, True, True)
    assert judged.message.endswith("This is a guard of every stage (spec.guards).")


def test_what_both_versions_refuse_alike_is_no_breach() -> None:
    both = assessed([Batch(100, 40, 40, 40)] * 40, stable=Batch(1900, 760, 760, 760))

    assert (both.verdict, both.holds) == (Verdict.PASS, False)


@pytest.mark.parametrize(
    ("candidate", "verdict", "cause"),
    [
        ([Batch(10, 0, 0, 0)], Verdict.PASS, None),
        # Too few to say anything, and one of them was refused: chance explains it.
        ([Batch(10, 1, 1, 1)], Verdict.PASS, None),
        ([NOBODY], Verdict.UNKNOWN, Cause.NO_TRAFFIC),
        ([None], Verdict.UNKNOWN, Cause.NO_SERIES),
        ([], Verdict.UNKNOWN, Cause.NO_SERIES),
    ],
)
def test_a_guard_without_evidence_holds_nothing(
    candidate: list[Batch | None], verdict: Verdict, cause: Cause | None
) -> None:
    judged = assessed(candidate)

    assert (judged.verdict, judged.cause, judged.holds) == (verdict, cause, False)


def test_a_guard_that_looks_like_a_breach_holds_the_stage_until_it_is_decided() -> None:
    ticks: list[Batch | None] = [Batch(20, 0, 0, 0)] * 10
    judged = assessed(ticks)
    while judged.verdict is Verdict.PASS:
        ticks.append(Batch(20, 2, 2, 2))
        judged = assessed(ticks)
    held = judged
    while judged.verdict is Verdict.UNKNOWN:
        ticks.append(Batch(20, 2, 2, 2))
        judged = assessed(ticks)

    assert (held.verdict, held.cause, held.holds) == (Verdict.UNKNOWN, Cause.UNDECIDED, True)
    assert judged.verdict is Verdict.BREACH


def hung_in_each_tick(candidate: float, stable: float) -> Assessment:
    """Return what the guard of unanswered requests says where so many more of each version's get no answer."""
    stage, now = a_stage(), at(0)
    progress = begin(UNANSWERED, stage, MetricsRef(), conditions_in_run=4, scrape_interval=SCRAPE, guard=True)
    for _ in range(12):
        now += SCRAPE
        answers = [Counted(at=now, batch=Batch(100, 0, 0, 0), open=hung) for hung in (candidate, stable)]
        progress = update(progress, *answers)
    return assess(progress, stage, now)


def test_requests_that_hang_are_a_breach_unless_the_stable_versions_hang_too() -> None:
    assert hung_in_each_tick(20, 0).verdict is Verdict.BREACH
    assert hung_in_each_tick(20, 20).verdict is Verdict.PASS
    assert hung_in_each_tick(20, 20).value == "13%"


def at_100_percent(requests: int, bad: int, **fields: Any) -> tuple[str, ...]:
    """Return the guards of the last stage after such a baseline of refused requests."""
    plan = a_spec("2.0.0", STAGING, CANARY, a_planned_stage("production", "100%", bake="5m", **fields))
    baseline = Baseline(metric="client_error_rate", requests=requests, bad=bad)
    return tuple(guard.text for guard in guards_of(plan, 2, (baseline,)))


def test_at_100_percent_twice_of_what_was_usual_and_the_margin_is_tolerated() -> None:
    assert at_100_percent(10_000, 0) == ("client_error_rate > 2.1%",)
    assert at_100_percent(10_000, 997) == ("client_error_rate > 22%",)
    # A few requests tell little of what is usual.
    assert at_100_percent(20, 0) == ("client_error_rate > 32%",)


def test_at_100_percent_nothing_is_guarded_that_is_usual_written_or_unknown() -> None:
    assert at_100_percent(0, 0) == ()
    assert at_100_percent(1000, 500) == ()
    assert at_100_percent(1000, 0, abortOn=["client_error_rate > 1%"]) == ()


@given(st.integers(1, 10**9), st.data())
def test_every_limit_at_100_percent_is_above_what_was_usual(requests: int, data: st.DataObject) -> None:
    bad = data.draw(st.integers(0, requests))
    for line in at_100_percent(requests, bad):
        assert parse_abort_condition(line).threshold >= 2 * bad / requests


def test_the_baseline_is_what_was_counted_of_the_stable_version() -> None:
    stage, now = a_stage(), at(15)
    progress = begin(REFUSED, stage, MetricsRef(), conditions_in_run=4, scrape_interval=SCRAPE, guard=True)
    progress = update(progress, Counted(at=now, batch=Batch(100, 0, 0, 0)), Counted(at=now, batch=Batch(1900, 7, 7, 7)))

    assert baselines_of((progress,)) == (Baseline(metric="client_error_rate", requests=1900, bad=7),)
