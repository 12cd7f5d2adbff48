"""Whole rollouts, told from the first look to the last."""

import pytest

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, RunResult, StageState, TestResult
from serinus.engine.rollout.observation import InvalidSpec, RouteProblem
from serinus.engine.rollout.waiting import WaitReason
from support.builders import CANARY, PRODUCTION, STAGING, a_route, a_spec, a_stage, a_version
from support.world import BAD, NOTHING, World

HTTP_TEST = {"name": "answers", "http": {"path": "/"}}
JOB_TEST = {"name": "contract", "job": {"template": {"spec": {}}}}


def condition(world: World, kind: ConditionType) -> tuple[ConditionStatus, str]:
    found = find_condition(world.status.conditions, kind)
    assert found is not None
    return found.status, found.reason


def in_canary() -> World:
    world = World()
    for _ in range(30):
        world.settle()
        if (
            world.status.stage
            and world.status.stage.name == "canary"
            and world.status.stage.state is StageState.ANALYZING
        ):
            return world
        world.measure()
    raise AssertionError("never in canary")


def test_a_good_version_walks_through_every_stage_and_becomes_stable() -> None:
    world = World().run(Phase.HEALTHY)

    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (10_000, 0)
    assert world.status.stable is not None
    assert world.status.stable.version == "2.0.0"
    assert world.status.last_known_good == "1.0.0"
    assert [run.result for run in world.status.history] == [RunResult.PROMOTED]
    assert world.reasons() == [
        "StableAdopted",
        "RolloutStarted",
        "TrafficShifted",
        "AnalysisPassed",
        "StageStarted",
        "WeightChanged",
        "TrafficShifted",
        "AnalysisPassed",
        "StageStarted",
        "WeightChanged",
        "TrafficShifted",
        "AnalysisPassed",
        "RolloutPromoted",
    ]


def test_a_settled_world_gives_no_action_and_no_new_status() -> None:
    world = World().run(Phase.HEALTHY)
    before = world.status

    decision = world.pass_time(hours=1).look()

    assert decision.actions == ()
    assert decision.events == ()
    assert decision.status == before
    assert decision.requeue_after is None


def test_the_canary_stage_lasts_as_long_as_it_says() -> None:
    world = in_canary()
    began = world.status.stage.state_since  # type: ignore[union-attr]

    while world.status.stage and world.status.stage.name == "canary":
        world.measure().settle()

    assert (world.now - began).total_seconds() >= 600


def test_a_breach_takes_all_traffic_back_at_the_next_look() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD

    decision = world.measure().look()

    assert decision.actions[0].towards_safety  # type: ignore[union-attr]
    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (0, 10_000)
    assert world.status.phase is Phase.ROLLING_BACK


def test_a_rolled_back_version_tells_the_whole_story() -> None:
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


def test_a_breach_while_baking_at_all_traffic_goes_back_too() -> None:
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
    assert any("HAS NO READY ENDPOINTS" in event.message for event in world.events)


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


def test_going_back_to_the_stable_version_in_git_is_a_fast_track() -> None:
    world = in_canary()

    world.wish("1.0.0").settle()

    assert world.status.phase is Phase.HEALTHY
    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, None)
    assert [run.result for run in world.status.history] == [RunResult.CANCELLED]


def test_reverting_git_after_a_rollback_is_healthy_at_once() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)

    world.wish("1.0.0").settle()

    assert world.status.phase is Phase.HEALTHY
    assert world.status.rollback is None


def test_another_version_in_mid_run_starts_from_the_first_stage_at_nothing() -> None:
    world = in_canary()

    world.wish("3.0.0").settle()

    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (None, 10_000 - (world.weight("3.0.0") or 0))
    assert world.status.run == 2
    assert world.status.history[0].result is RunResult.SUPERSEDED
    first = next(d for before, _, d in world.decisions if d.status.run == 2 and before.run == 1)
    assert first.status.stage is not None
    assert first.status.stage.index == 0
    assert world.run(Phase.HEALTHY).status.stable.version == "3.0.0"  # type: ignore[union-attr]


def test_pause_holds_the_weight_and_resume_lets_it_go_on() -> None:
    world = in_canary().command(Command.PAUSE, "INC-4711")
    for _ in range(60):
        world.measure().settle()

    assert world.status.phase is Phase.PAUSED
    assert world.weight("2.0.0") == 500
    assert "INC-4711" in world.status.summary
    assert condition(world, ConditionType.READY) == (ConditionStatus.UNKNOWN, "Paused")

    world.command(Command.RESUME).run(Phase.HEALTHY)


def test_a_paused_candidate_still_loses_its_traffic_on_a_breach() -> None:
    world = in_canary().command(Command.PAUSE)
    world.settle()
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)

    assert world.weight("2.0.0") == 0


def test_a_frozen_namespace_lets_nothing_start_or_rise_but_lets_a_breach_roll_back() -> None:
    world = World(freeze="quarter end")
    world.settle()
    assert world.status.phase is Phase.PENDING
    assert "quarter end" in world.status.next_action
    assert world.weight("2.0.0") is None

    world.freeze = None
    while not (world.status.stage and world.status.stage.name == "canary"):
        world.measure().settle()
    world.freeze = "quarter end"
    for _ in range(60):
        world.measure().settle()
    assert world.weight("2.0.0") == 500

    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)


def test_abort_by_a_person_rolls_back_and_names_them() -> None:
    world = in_canary().command(Command.ABORT, "users complain")

    world.run(Phase.ROLLED_BACK)

    assert world.status.rollback is not None
    assert world.status.rollback.requested_by == "ada@example.org"
    assert "users complain" in world.status.summary


def test_rollback_of_a_settled_version_needs_no_stages() -> None:
    world = World().run(Phase.HEALTHY).command(Command.ROLLBACK, "wrong scores")

    world.run(Phase.ROLLED_BACK)

    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0)
    assert world.status.quarantined == ("2.0.0",)


def test_rollback_without_anything_to_go_back_to_is_said_and_does_nothing() -> None:
    world = World(spec=a_spec("1.0.0")).run(Phase.HEALTHY).command(Command.ROLLBACK)

    world.settle()

    assert world.status.phase is Phase.HEALTHY
    assert world.reasons()[-1] == "CommandIgnored"


def test_a_command_is_acted_on_once() -> None:
    world = in_canary().command(Command.ABORT)
    world.run(Phase.ROLLED_BACK)
    world.command(Command.RETRY)

    world.run(Phase.HEALTHY)

    assert world.status.last_handled.keys() == {"abort", "retry"}


def test_an_approval_is_awaited_before_the_stage_that_needs_it() -> None:
    gated = {**PRODUCTION, "approval": "Required"}
    world = World(spec=a_spec("2.0.0", STAGING, CANARY, gated)).run(Phase.PAUSED)

    assert (world.status.reason, world.weight("2.0.0")) == ("AwaitingApproval", 500)
    for _ in range(20):
        world.measure().settle()
    assert world.weight("2.0.0") == 500

    world.command(Command.PROMOTE, "CAB-17").run(Phase.HEALTHY)
    assert "Approved" in world.reasons()


def test_a_candidate_that_turns_bad_while_a_person_is_awaited_rolls_back() -> None:
    gated = {**PRODUCTION, "approval": "Required"}
    world = World(spec=a_spec("2.0.0", STAGING, CANARY, gated)).run(Phase.PAUSED)
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)


def test_promote_ends_the_wait_but_never_the_need_for_evidence() -> None:
    world = in_canary()
    world.quality["2.0.0"] = NOTHING
    world.measure().command(Command.PROMOTE).settle()
    assert world.status.stage is not None
    assert (world.status.stage.name, world.status.reason) == ("canary", "NoTraffic")

    world.quality.clear()
    world.measure().settle()

    assert world.status.stage.name == "production"


def test_promote_where_nothing_waits_is_said_and_ignored() -> None:
    world = World(spec=a_spec("1.0.0")).run(Phase.HEALTHY).command(Command.PROMOTE)

    world.settle()

    assert world.events[-1].reason.value == "CommandIgnored"


def test_without_traffic_the_stage_holds_and_says_how_many_requests_are_missing() -> None:
    world = in_canary()
    world.quality["2.0.0"] = NOTHING

    for _ in range(60):
        world.measure().settle()

    assert world.weight("2.0.0") == 500
    assert world.status.reason in {"NoTraffic", "TooFewRequests"}
    assert "600" in world.status.next_action


def test_a_dead_prometheus_changes_no_weight_and_the_run_goes_on_afterwards() -> None:
    world = in_canary()
    world.quality["2.0.0"] = None
    for _ in range(60):
        world.measure().settle()

    assert world.weight("2.0.0") == 500
    assert condition(world, ConditionType.METRICS_AVAILABLE) == (ConditionStatus.FALSE, "ProviderDown")
    world.quality.clear()
    world.run(Phase.HEALTHY)


def test_a_stage_that_never_passes_is_reported_and_held() -> None:
    world = World(spec=a_spec("2.0.0", STAGING, {**CANARY, "maxDuration": "15m"}, PRODUCTION))
    world.quality["2.0.0"] = NOTHING
    for _ in range(100):
        world.measure().settle()

    assert world.weight("2.0.0") == 500
    assert condition(world, ConditionType.STALLED) == (ConditionStatus.TRUE, "StageTimedOut")
    assert world.reasons().count("StageTimedOut") == 1


def test_a_stage_that_never_passes_rolls_back_where_the_plan_says_so() -> None:
    plan = {**CANARY, "maxDuration": "15m", "onTimeout": "Rollback"}
    world = World(spec=a_spec("2.0.0", STAGING, plan, PRODUCTION))
    world.quality["2.0.0"] = NOTHING

    world.run(Phase.ROLLED_BACK)

    assert world.status.reason == "StageTimedOut"


def test_tests_run_before_the_stage_watches_and_are_remembered() -> None:
    world = World(spec=a_spec("2.0.0", {**STAGING, "tests": [HTTP_TEST, JOB_TEST]}, CANARY, PRODUCTION))
    world.look()
    world.gateway()
    world.look()
    assert {test.name for test in world.status.tests} <= {"answers", "contract"}

    world.run(Phase.HEALTHY)

    assert [message for message in (e.message for e in world.events) if "contract" in message]


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
    assert not any(event.reason.value == "WeightChanged" for event in world.events)


def test_a_route_that_the_gateway_does_not_accept_holds_the_run() -> None:
    world = World(gateway_accepts=False)
    for _ in range(10):
        world.measure().look()

    assert world.status.stage is not None
    assert world.status.stage.state is StageState.SHIFTING
    assert condition(world, ConditionType.TRAFFIC_CONFIRMED)[0] is ConditionStatus.UNKNOWN


def test_a_foreign_change_of_the_weights_is_put_right_and_told() -> None:
    world = in_canary()
    world.route = a_route({"1.0.0": 5000, "2.0.0": 5000}, generation=9, written_by="kubectl-edit")

    world.settle()

    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (9500, 500)
    assert any("kubectl-edit" in event.message for event in world.events)


def test_an_ignored_weight_is_noticed_by_the_share_of_the_requests() -> None:
    world = in_canary()
    world.real_share = 50.0
    for _ in range(60):
        world.measure().settle()

    assert condition(world, ConditionType.TRAFFIC_CONFIRMED) == (ConditionStatus.FALSE, "TrafficShareMismatch")
    assert world.weight("2.0.0") == 500


def test_a_missing_model_version_is_pending_and_says_what_to_apply() -> None:
    world = World(spec=a_spec("4.0.0"))

    world.settle()

    assert (world.status.phase, world.status.reason) == (Phase.PENDING, "ModelVersionMissing")
    assert "fraud-v4.0.0" in world.status.next_action


def test_a_backend_without_endpoints_is_waited_for_at_nothing() -> None:
    world = World()
    world.versions["2.0.0"] = a_version("2.0.0", ready=0)
    world.settle()
    assert (world.status.phase, world.status.reason, world.weight("2.0.0")) == (Phase.PENDING, "BackendNotReady", 0)

    world.versions["2.0.0"] = a_version("2.0.0")
    world.run(Phase.HEALTHY)


def test_a_missing_route_is_pending() -> None:
    world = World()
    world.route = RouteProblem(WaitReason.ROUTE_MISSING, "HTTPRoute fraud does not exist.")  # type: ignore[assignment]

    world.look()

    assert (world.status.phase, world.status.reason) == (Phase.PENDING, "RouteMissing")


def test_the_first_version_of_a_model_goes_from_nothing_to_all() -> None:
    world = World(route=a_route({}), versions={"2.0.0": a_version("2.0.0")})

    world.run(Phase.HEALTHY)

    seen = {entry.weight for _, observed, _ in world.decisions for entry in observed.route.entries}  # type: ignore[union-attr]
    assert seen == {0, 10_000}


def test_a_bad_first_version_keeps_its_weight_and_cries_for_help() -> None:
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
    world.run(Phase.ROLLED_BACK)
    assert world.weight("1.0.0") == 10_000


def test_traffic_that_goes_to_backends_of_nobody_waits_for_a_model_version() -> None:
    world = World(route=a_route({"legacy": 1}), versions={"2.0.0": a_version("2.0.0")})

    world.settle()

    assert world.status.reason == "ForeignBackends"
    assert "fraud-vlegacy" in world.status.next_action


def test_two_versions_on_one_backend_are_refused() -> None:
    world = World()
    world.versions["2.0.0"] = a_version("2.0.0", backend=world.versions["1.0.0"].backend)
    world.wish("2.0.0")
    world.status = World(spec=a_spec("1.0.0")).run(Phase.HEALTHY).status

    world.settle()

    assert world.status.reason == "SameBackend"


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


def test_a_changed_plan_starts_the_run_anew_but_a_changed_limit_does_not() -> None:
    world = in_canary()
    world.spec = a_spec("2.0.0", STAGING, {**CANARY, "duration": "20m"}, PRODUCTION)
    world.settle()
    assert world.status.run == 1

    world.spec = a_spec("2.0.0", STAGING, a_stage("first", "1%", duration="1m"), CANARY, PRODUCTION)
    world.settle()
    assert (world.status.run, world.weight("2.0.0")) in {(2, 0), (2, 100)}


def test_a_deleted_rollout_leaves_no_candidate_with_traffic() -> None:
    world = in_canary()
    world.deleted = True

    world.look()

    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (0, 10_000)


def test_a_lost_status_is_rebuilt_from_what_the_route_serves() -> None:
    world = in_canary()
    world.status = type(world.status)()

    world.look()

    assert world.status.stable is not None
    assert world.status.stable.version == "1.0.0"
    assert world.weight("2.0.0") is None
    assert world.weight("1.0.0") == 10_000


def test_a_rollback_that_a_crash_cut_in_two_never_gives_the_traffic_back_without_evidence() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD
    world.measure().look(crash="between")
    assert (world.weight("2.0.0"), world.status.phase) == (0, Phase.PROGRESSING)
    world.evidence.clear()
    world.quality["2.0.0"] = None

    for _ in range(10):
        world.measure().look()
        assert world.weight("2.0.0") == 0

    world.quality["2.0.0"] = BAD
    world.measure().run(Phase.ROLLED_BACK)


def test_who_is_stable_is_written_before_the_first_weight_moves() -> None:
    world = World(spec=a_spec("2.0.0", a_stage("production", "100%", bake="1m")))

    world.look(crash="between")
    assert world.weight("2.0.0") is None
    world.run(Phase.HEALTHY)

    assert world.status.last_known_good == "1.0.0"


def test_metrics_that_are_lost_in_mid_run_are_told_once() -> None:
    world = in_canary()
    world.measure().settle()
    world.quality["2.0.0"] = None

    for _ in range(20):
        world.measure().settle()

    assert world.reasons().count("MetricsUnavailable") == 1


def test_a_version_that_is_taken_away_while_its_tests_run_is_waited_for() -> None:
    plan = a_spec("2.0.0", {**STAGING, "tests": [{"name": "health", "http": {"path": "/healthz"}}]}, CANARY, PRODUCTION)
    world = World(spec=plan)
    world.look()
    world.look()
    world.gateway()
    del world.versions["2.0.0"]

    world.look()

    assert world.status.reason == "ModelVersionMissing"
    world.versions["2.0.0"] = a_version("2.0.0")
    world.run(Phase.HEALTHY)


def test_the_intent_of_a_plan_without_staging_is_stored_before_any_traffic_moves() -> None:
    world = World(spec=a_spec("2.0.0", PRODUCTION))
    world.look()

    begun = world.look()

    assert [record.event.value for record in begun.status.records][-1] == "RolloutStarted"
    assert world.weight("2.0.0") == 0
    world.run(Phase.HEALTHY)
    assert world.weight("2.0.0") == 10_000
