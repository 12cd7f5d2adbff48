"""Runs of `decide` that are rolled back, and what the status says afterwards."""

import pytest

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, RunResult, TestResult
from serinus.engine.rollout.observation import InvalidSpec
from serinus.engine.rollout.traffic.facts import RouteProblem
from support.builders import CANARY, PRODUCTION, STAGING, a_route, a_spec, a_version
from support.world import BAD, NOTHING, World
from support.world_states import HTTP_TEST, JOB_TEST, condition, in_canary


def test_a_breach_takes_all_traffic_back_at_the_next_reconcile() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD

    decision = world.measure().look()

    assert decision.actions[0].towards_safety  # type: ignore[union-attr]
    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (0, 10_000)
    assert world.status.phase is Phase.ROLLING_BACK


def test_the_status_says_what_was_rolled_back_when_and_why() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD

    world.run(Phase.ROLLED_BACK)

    assert world.status.rollback is not None
    assert world.status.rollback.to == "1.0.0"
    assert world.status.rollback.at_weight == 5
    assert "Serving 1.0.0 at 100%. 2.0.0 was rolled back at 14:0" in world.status.summary
    assert "error_rate" in world.status.summary
    assert "at 5% traffic" in world.status.summary
    assert "not retried by itself" in world.status.next_action
    assert condition(world, ConditionType.STALLED) == (ConditionStatus.TRUE, "MetricBreached")
    assert condition(world, ConditionType.READY) == (ConditionStatus.FALSE, "MetricBreached")
    assert world.status.quarantined == ("2.0.0",)
    assert [run.result for run in world.status.history] == [RunResult.ROLLED_BACK]


def test_a_breach_while_baking_at_all_traffic_rolls_back_too() -> None:
    world = World()
    while not (world.status.stage and world.status.stage.name == "production"):
        world.measure().settle()
    world.settle()
    assert world.weight("2.0.0") == 10_000
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)

    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (0, 10_000)


def test_rollback_to_names_the_version_that_takes_the_traffic() -> None:
    world = in_canary()
    world.versions["0.9.0"] = a_version("0.9.0")
    world.served = frozenset({"0.9.0"})
    world.spec = a_spec("2.0.0", rollbackTo="0.9.0")
    world.settle()
    assert world.weight("0.9.0") == 0
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)

    assert (world.weight("0.9.0"), world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0, 0)
    assert world.status.last_known_good == "1.0.0"


def test_a_rollback_target_without_endpoints_stops_the_advance_but_not_the_rollback() -> None:
    world = in_canary()
    world.versions["1.0.0"] = a_version("1.0.0", ready=0)

    for _ in range(60):
        world.measure().settle()

    assert world.status.stage is not None
    assert world.status.stage.name == "canary"
    assert condition(world, ConditionType.ROLLBACK_READY) == (ConditionStatus.FALSE, "TargetNotReady")

    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)

    assert world.weight("1.0.0") == 10_000
    assert any("1.0.0 KEEPS SERVING ALTHOUGH IT IS NOT FIT TO" in event.message for event in world.events)


def test_a_rolled_back_version_stays_out_until_somebody_asks_for_a_retry() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)
    world.quality.clear()

    for _ in range(20):
        world.measure().settle()
    assert world.status.phase is Phase.ROLLED_BACK

    world.command(Command.RETRY).run(Phase.HEALTHY)
    assert world.status.stable is not None
    assert world.status.stable.version == "2.0.0"
    assert world.status.run == 2


def test_a_quarantined_version_does_not_start_by_way_of_another_one() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)

    world.wish("1.0.0").run(Phase.HEALTHY)
    world.wish("2.0.0").settle()

    assert (world.status.phase, world.status.reason) == (Phase.PAUSED, "Quarantined")
    assert world.weight("1.0.0") == 10_000


def test_reverting_git_after_a_rollback_is_healthy_at_once() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)

    world.wish("1.0.0").settle()

    assert world.status.phase is Phase.HEALTHY
    assert world.status.rollback is None


def test_a_stage_that_never_passes_rolls_back_where_the_plan_says_so() -> None:
    plan = {**CANARY, "maxDuration": "15m", "onTimeout": "Rollback"}
    world = World(spec=a_spec("2.0.0", STAGING, plan, PRODUCTION))
    world.quality["2.0.0"] = NOTHING

    world.run(Phase.ROLLED_BACK)

    assert world.status.reason == "StageTimedOut"


@pytest.mark.parametrize("failing", ["answers", "contract"])
def test_a_failed_test_rolls_back_before_any_request_of_a_user(failing: str) -> None:
    world = World(spec=a_spec("2.0.0", {**STAGING, "tests": [HTTP_TEST, JOB_TEST]}, CANARY, PRODUCTION))
    world.test_results[failing] = TestResult.FAILED

    world.run(Phase.ROLLED_BACK)

    assert world.status.reason == "TestFailed"
    assert failing in world.status.summary
    assert all(
        observed.route.entries for _, observed, _ in world.decisions if not isinstance(observed.route, RouteProblem)
    )
    assert not any(event.reason.value == "TrafficShifted" for event in world.events)


def test_a_bad_first_version_keeps_its_weight_and_asks_for_a_person() -> None:
    world = World(route=a_route({}), versions={"2.0.0": a_version("2.0.0")})
    while world.weight("2.0.0") != 10_000:
        world.measure().settle()
    world.quality["2.0.0"] = BAD

    world.measure().settle()

    assert world.weight("2.0.0") == 10_000
    assert (world.status.phase, world.status.reason) == (Phase.PAUSED, "NoRollbackTarget")
    assert "NO VERSION TO GO BACK TO" in world.status.summary
    assert condition(world, ConditionType.STALLED)[0] is ConditionStatus.TRUE

    world.versions["1.0.0"] = a_version("1.0.0")
    world.spec = a_spec("2.0.0", rollbackTo="1.0.0")
    world.settle()
    assert world.weight("2.0.0") == 10_000, "1.0.0 has never served"

    world.served = frozenset({"1.0.0"})
    world.run(Phase.ROLLED_BACK)
    assert world.weight("1.0.0") == 10_000


def test_an_invalid_spec_in_mid_run_holds_the_weight_and_a_breach_still_rolls_back() -> None:
    world = in_canary()
    assert not isinstance(world.spec, InvalidSpec)
    world.spec = InvalidSpec("spec.stages[1].traffic", "no share", last=world.spec)
    world.measure().settle()
    assert (world.status.phase, world.weight("2.0.0")) == (Phase.INVALID, 500)
    assert "spec.stages[1].traffic" in world.status.next_action
    assert world.reasons().count("SpecInvalid") == 1

    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)
