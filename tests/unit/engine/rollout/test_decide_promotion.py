"""Runs of `decide` that are promoted, superseded or held: stages, tests, evidence and preconditions."""

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.rollout_status import Phase, RunResult, StageState
from serinus.engine.rollout.traffic.facts import RouteProblem
from serinus.engine.rollout.waiting import WaitReason
from support.builders import CANARY, PRODUCTION, STAGING, a_route, a_spec, a_stage, a_version
from support.world import NOTHING, World
from support.world_states import HTTP_TEST, JOB_TEST, condition, in_canary


def test_a_good_version_passes_every_stage_and_becomes_stable() -> None:
    world = World().run(Phase.HEALTHY)

    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (10_000, 0)
    assert world.status.stable is not None
    assert world.status.stable.version == "2.0.0"
    assert world.status.last_known_good == "1.0.0"
    assert [run.result for run in world.status.history] == [RunResult.PROMOTED]
    assert world.reasons() == [
        "StableAdopted",
        "RolloutStarted",
        "AnalysisPassed",
        "TrafficShifted",
        "AnalysisPassed",
        "TrafficShifted",
        "AnalysisPassed",
        "RolloutPromoted",
    ]


def test_a_settled_rollout_gives_no_action_and_no_new_status() -> None:
    world = World().run(Phase.HEALTHY)
    before = world.status

    decision = world.pass_time(hours=1).look()

    assert decision.actions == ()
    assert decision.events == ()
    assert decision.status == before
    assert decision.requeue_after is None


def test_the_canary_stage_lasts_at_least_its_duration() -> None:
    world = in_canary()
    began = world.status.stage.state_since  # type: ignore[union-attr]

    while world.status.stage and world.status.stage.name == "canary":
        world.measure().settle()

    assert (world.now - began).total_seconds() >= 600


def test_wanting_the_stable_version_again_cancels_the_run_at_once() -> None:
    world = in_canary()

    world.wish("1.0.0").settle()

    assert world.status.phase is Phase.HEALTHY
    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, None)
    assert [run.result for run in world.status.history] == [RunResult.CANCELLED]


def test_another_version_in_mid_run_starts_from_the_first_stage_at_weight_zero() -> None:
    world = in_canary()

    world.wish("3.0.0").settle()

    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (None, 10_000 - (world.weight("3.0.0") or 0))
    assert world.status.run == 2
    assert world.status.history[0].result is RunResult.SUPERSEDED
    first = next(d for before, _, d in world.decisions if d.status.run == 2 and before.run == 1)
    assert first.status.stage is not None
    assert first.status.stage.index == 0
    assert world.run(Phase.HEALTHY).status.stable.version == "3.0.0"  # type: ignore[union-attr]


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


def test_a_stage_that_never_passes_is_held_and_reported_once() -> None:
    world = World(spec=a_spec("2.0.0", STAGING, {**CANARY, "maxDuration": "15m"}, PRODUCTION))
    world.quality["2.0.0"] = NOTHING
    for _ in range(100):
        world.measure().settle()

    assert world.weight("2.0.0") == 500
    assert condition(world, ConditionType.STALLED) == (ConditionStatus.TRUE, "StageTimedOut")
    assert world.reasons().count("StageTimedOut") == 1


def test_tests_run_before_the_analysis_and_are_recorded() -> None:
    world = World(spec=a_spec("2.0.0", {**STAGING, "tests": [HTTP_TEST, JOB_TEST]}, CANARY, PRODUCTION))
    world.look()
    world.gateway()
    world.look()
    assert {test.name for test in world.status.tests} <= {"answers", "contract"}

    world.run(Phase.HEALTHY)

    assert [message for message in (e.message for e in world.events) if "contract" in message]


def test_a_route_that_the_gateway_does_not_accept_holds_the_run() -> None:
    world = World(gateway_accepts=False)
    for _ in range(10):
        world.measure().look()

    assert world.status.stage is not None
    assert world.status.stage.state is StageState.SHIFTING
    assert condition(world, ConditionType.TRAFFIC_CONFIRMED)[0] is ConditionStatus.UNKNOWN


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


def test_a_backend_without_endpoints_is_waited_for_at_weight_zero() -> None:
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
    assert condition(world, ConditionType.TRAFFIC_CONFIRMED) == (ConditionStatus.UNKNOWN, "NothingToConfirm")


def test_the_first_version_of_a_model_goes_from_zero_to_all_traffic() -> None:
    world = World(route=a_route({}), versions={"2.0.0": a_version("2.0.0")})

    world.run(Phase.HEALTHY)

    seen = {entry.weight for _, observed, _ in world.decisions for entry in observed.route.entries}  # type: ignore[union-attr]
    assert seen == {0, 10_000}


def test_a_route_to_a_backend_of_no_version_waits_for_a_model_version() -> None:
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


def test_a_changed_plan_starts_the_run_anew_but_a_changed_limit_does_not() -> None:
    world = in_canary()
    world.spec = a_spec("2.0.0", STAGING, {**CANARY, "duration": "20m"}, PRODUCTION)
    world.settle()
    assert world.status.run == 1

    world.spec = a_spec("2.0.0", STAGING, a_stage("first", "1%", duration="1m"), CANARY, PRODUCTION)
    world.settle()
    assert (world.status.run, world.weight("2.0.0")) in {(2, 0), (2, 100)}


def test_metrics_lost_in_mid_run_are_reported_once() -> None:
    world = in_canary()
    world.measure().settle()
    world.quality["2.0.0"] = None

    for _ in range(20):
        world.measure().settle()

    assert world.reasons().count("MetricsUnavailable") == 1
