"""Runs of `decide` whose guards see what no condition was written about."""

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.rollout_status import Phase, RollbackReason
from serinus.engine.analysis.measurements import Batch
from support.builders import PRODUCTION, STAGING, a_spec, a_stage
from support.world import GOOD, NOTHING, World
from support.world_states import condition, in_canary, in_production


def test_a_version_that_a_guard_finds_bad_is_rolled_back_and_the_status_says_so() -> None:
    world = in_canary()
    world.guarded["2.0.0"] = Batch(700, 350, 350, 350)
    world.run(Phase.ROLLED_BACK)

    assert world.weight("2.0.0") == 0
    rollback = world.status.rollback
    assert rollback is not None
    assert (rollback.reason, rollback.condition) == (RollbackReason.METRIC_BREACHED, "unanswered_rate > stable + 1%")
    assert [(one.condition, one.guard) for one in world.status.evidence] == [
        ("error_rate > 0.5%", False),
        ("unanswered_rate > stable + 1%", True),
        ("client_error_rate > stable + 2%", True),
    ]


def test_guards_that_cannot_be_measured_hold_nothing_and_are_no_fault_of_the_metrics() -> None:
    world = in_canary()
    world.guarded["2.0.0"] = None
    world.measure().look()

    assert condition(world, ConditionType.METRICS_AVAILABLE) == (ConditionStatus.TRUE, "Answered")
    assert [one.cause for one in world.status.evidence if one.guard] == ["NoSeries", "NoSeries"]
    assert world.run(Phase.HEALTHY).weight("2.0.0") == 10_000


def test_a_plan_without_guards_has_none_in_its_evidence() -> None:
    world = World(spec=a_spec("2.0.0", guards="Off"))
    world.guarded["2.0.0"] = Batch(700, 350, 350, 350)
    world.run(Phase.HEALTHY)

    assert [one for one in world.status.evidence if one.guard] == []


def test_a_value_that_is_there_without_a_request_lets_no_version_pass() -> None:
    canary = a_stage("canary", "5%", duration="10m", abortOn=["drift_score > 0.3"])
    world = in_canary(spec=a_spec("2.0.0", STAGING, canary, PRODUCTION))
    world.guarded["2.0.0"] = NOTHING
    for _ in range(60):
        world.measure().settle()

    assert (world.weight("2.0.0"), world.status.reason) == (500, "NoTraffic")
    world.guarded["2.0.0"] = GOOD
    assert world.run(Phase.HEALTHY).weight("2.0.0") == 10_000


def test_a_version_that_turns_bad_at_100_percent_is_found_by_what_was_usual_before() -> None:
    world = in_production()
    assert {baseline.metric for baseline in world.status.baselines} == {"unanswered_rate", "client_error_rate"}
    world.guarded["2.0.0"] = Batch(700, 350, 350, 350)
    world.run(Phase.ROLLED_BACK)

    assert world.weight("2.0.0") == 0
    assert world.status.rollback is not None
    assert world.status.rollback.condition.startswith("unanswered_rate > ")
    assert "stable" not in world.status.rollback.condition


def test_the_next_run_does_not_go_by_the_baselines_of_the_one_before() -> None:
    world = World().run(Phase.HEALTHY)
    assert world.status.baselines != ()
    world.wish("3.0.0").settle()

    assert (world.status.run, world.status.baselines) == (2, ())
