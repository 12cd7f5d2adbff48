"""Simulated runs end as the judgement promises."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from serinus.api.rollout import Guards
from serinus.engine.simulation.outcomes import End
from serinus.engine.simulation.plan import simulated_plan
from serinus.engine.simulation.search import smallest_found
from serinus.engine.simulation.traffic import Quality
from support.builders import a_spec, a_stage
from support.simulated import SCRAPE, a_plan, simulated, some_traffic


def test_a_good_version_is_promoted_at_the_end_of_the_plan() -> None:
    summary = simulated(a_plan(), some_traffic(errors=0.0005))

    assert summary.ending(End.PROMOTED).found == 20
    minutes = summary.minutes(End.PROMOTED)
    assert minutes is not None
    assert (minutes.median, minutes.p95) == (25.0, 25.0)


def test_a_version_that_fails_outright_is_rolled_back_at_the_first_scrape_and_harms_few() -> None:
    summary = simulated(a_plan(), some_traffic(errors=1.0))

    minutes, harmed = summary.minutes(End.ROLLED_BACK), summary.harmed(End.ROLLED_BACK)
    assert summary.ending(End.ROLLED_BACK).found == 20
    assert minutes is not None
    assert harmed is not None
    assert minutes.p95 == 0.25
    # 5 requests/s for 15 s, and for the 2 s until the gateway has the weights.
    assert 60 < harmed.median < 110
    assert [(one.condition, one.stage, one.runs) for one in summary.causes] == [("error_rate > 0.5%", "canary", 20)]


def test_a_version_over_the_limit_is_neither_promoted_nor_forgotten() -> None:
    summary = simulated(a_plan(), some_traffic(20.0, errors=0.008), most=timedelta(minutes=22))

    assert summary.ending(End.PROMOTED).found == 0
    assert summary.ending(End.UNDECIDED).found > 0
    held = [one.summary for one in summary.outcomes if one.stage == "canary"]
    assert held
    assert all("That is too many to pass, but chance could explain it" in why for why in held)


def test_at_the_tolerated_rate_false_aborts_stay_below_the_guaranteed_bound() -> None:
    """Both conditions together abort at most 1 % of the runs; the guards have no share of that, as they are off.

    If the chance were 1 %, more than 9 of 300 runs would be aborted with a probability of 0.1 %.
    """
    at_the_limit = some_traffic(errors=0.005)
    plan = a_plan(duration="15m", spec_guards="Off")
    assert plan.conditions == 2

    summary = simulated(plan, at_the_limit, runs=300, seed=20261129, most=timedelta(minutes=25))

    assert summary.ending(End.ROLLED_BACK).found <= 9


def test_same_seed_same_result_and_another_seed_another_one() -> None:
    traffic = some_traffic(errors=0.02)

    assert simulated(a_plan(), traffic, seed=7) == simulated(a_plan(), traffic, seed=7)
    assert simulated(a_plan(), traffic, seed=7) != simulated(a_plan(), traffic, seed=8)


def test_bursts_keep_the_share_of_bad_requests_but_delay_the_breach() -> None:
    single = simulated(a_plan(), some_traffic(errors=0.02), runs=40)
    bursty = simulated(a_plan(), some_traffic(errors=0.02, burst=20), runs=40)

    alone, together = single.minutes(End.ROLLED_BACK), bursty.minutes(End.ROLLED_BACK)
    assert alone is not None
    assert together is not None
    assert together.median > alone.median


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("latency_p95 > 200ms", {"p95": 0.4}),
        ("error_rate > stable + 0.5%", {"errors": 0.1}),
        ("latency_p95 > 1.2x stable", {"p95": 0.3}),
    ],
    ids=["slow", "worse than stable", "slower than stable"],
)
def test_each_kind_of_condition_finds_its_regression_and_spares_a_good_version(
    line: str, bad: dict[str, float]
) -> None:
    worse = simulated(a_plan(line), replace(some_traffic(), candidate=Quality(**bad)), runs=5)
    good = simulated(a_plan(line), some_traffic(errors=0.001, p95=0.1), runs=5)

    assert {(one.end, one.condition) for one in worse.outcomes} == {(End.ROLLED_BACK, line)}
    assert {one.end for one in good.outcomes} == {End.PROMOTED}


def test_a_guard_finds_what_no_line_asks_for() -> None:
    summary = simulated(a_plan(guards=True), some_traffic(errors=0.001, client_errors=0.3), runs=5)

    assert {one.condition for one in summary.outcomes} == {"client_error_rate > stable + 2%"}


def test_a_stage_that_times_out_is_rolled_back_without_a_breach() -> None:
    canary = a_stage("canary", "5%", duration="5m", maxDuration="10m", onTimeout="Rollback", minRequests=10**6)
    spec = a_spec("2.0.0", canary, a_stage("production", "100%"))
    plan = simulated_plan(spec, scrape_interval=SCRAPE, guards=False)

    summary = simulated(plan, some_traffic(1.0, errors=0.0), runs=2)

    assert [(one.end, one.condition, one.after) for one in summary.outcomes] == [
        (End.ROLLED_BACK, "", timedelta(minutes=10))
    ] * 2


def test_the_smallest_regression_is_between_the_limit_and_outright_failure_and_a_longer_stage_finds_less() -> None:
    def found(duration: str) -> float:
        plan = a_plan(duration=duration)
        smallest = smallest_found(
            lambda share: simulated(plan, some_traffic(errors=share), runs=20, most=plan.length), 0.0001
        )
        assert smallest is not None
        assert smallest.summary.ending(End.ROLLED_BACK).share >= 0.95
        return smallest.share

    assert 0.005 < found("10m") < found("1m") < 0.2


def test_nothing_is_found_where_there_are_hardly_any_requests() -> None:
    plan = a_plan(duration="1m")
    idle = some_traffic(0.01, errors=1.0)

    assert smallest_found(lambda _: simulated(plan, idle, runs=5, most=timedelta(minutes=1)), 0.0001) is None


def test_a_simulation_begins_at_the_stage_that_is_named_and_all_conditions_share_the_bound() -> None:
    spec = a_spec("2.0.0", a_stage("staging", "0%"), a_stage("canary", "5%"), a_stage("production", "100%"))

    whole = simulated_plan(spec, scrape_interval=SCRAPE)
    late = simulated_plan(spec, scrape_interval=SCRAPE, first="production")

    assert [stage.name for stage in whole.spec.stages] == ["canary", "production"]
    assert [stage.name for stage in late.spec.stages] == ["production"]
    assert whole.conditions == late.conditions == 6
    assert spec.guards is Guards.ON
    with pytest.raises(ValueError, match="no stage with traffic is called staging: the plan has canary, production"):
        simulated_plan(spec, scrape_interval=SCRAPE, first="staging")


def test_a_named_query_has_no_synthetic_value() -> None:
    with pytest.raises(ValueError, match="drift: the value of a named query cannot be made up"):
        simulated(a_plan("drift > 0.2"), some_traffic(errors=0.0), runs=1)


def test_a_plan_whose_run_never_begins_is_refused() -> None:
    spec = a_spec("2.0.0", a_stage("canary", "5%"), a_stage("production", "100%"), rollbackTo="2.0.0")

    with pytest.raises(ValueError, match="no run of this plan begins"):
        simulated(simulated_plan(spec, scrape_interval=SCRAPE), some_traffic(errors=0.0), runs=1)


@pytest.mark.parametrize(("warmup", "minutes"), [({"requests": 600}, 27.0), ({"readyFor": "10m"}, 35.0)])
def test_a_warm_up_comes_before_the_time_of_its_stage(warmup: dict[str, Any], minutes: float) -> None:
    """At 5 % of 100 requests a second, 600 requests take two minutes."""
    canary = a_stage("canary", "5%", duration="20m", warmup=warmup)
    production = a_stage("production", "100%", bake="5m")
    plan = simulated_plan(a_spec("2.0.0", canary, production), scrape_interval=SCRAPE, guards=False)

    promoted = simulated(plan, some_traffic(errors=0.0005)).minutes(End.PROMOTED)
    assert promoted is not None
    assert promoted.median == pytest.approx(minutes, abs=0.5)

    failed = simulated(plan, some_traffic(errors=1.0))
    assert [(one.condition, one.stage, one.runs) for one in failed.causes] == [("error_rate > 50%", "canary", 20)]
