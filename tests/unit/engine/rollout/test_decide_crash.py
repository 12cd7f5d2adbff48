"""Whole runs of `decide` across crashes, lost objects and changes made by others."""

from serinus.api.rollout_status import Phase
from support.builders import CANARY, PRODUCTION, STAGING, a_route, a_spec, a_stage, a_version
from support.world import BAD, World
from support.world_states import in_canary


def test_a_foreign_change_of_the_weights_is_corrected_and_reported() -> None:
    world = in_canary()
    world.route = a_route({"1.0.0": 5000, "2.0.0": 5000}, generation=9, written_by="kubectl-edit")

    world.settle()

    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (9500, 500)
    assert any("kubectl-edit" in event.message for event in world.events)


def test_a_deleted_rollout_leaves_no_candidate_with_traffic() -> None:
    world = in_canary()
    world.deleted = True

    world.look()

    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (None, 10_000)


def test_a_lost_status_is_rebuilt_from_what_the_route_serves() -> None:
    world = in_canary()
    world.status = type(world.status)()

    world.look()

    assert world.status.stable is not None
    assert world.status.stable.version == "1.0.0"
    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0)


def test_a_rollback_interrupted_by_a_crash_gives_no_traffic_back_without_evidence() -> None:
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


def test_the_stable_version_is_written_before_the_first_weight_moves() -> None:
    world = World(spec=a_spec("2.0.0", a_stage("production", "100%", bake="1m")))

    world.look(crash="between")
    assert world.weight("2.0.0") is None
    world.run(Phase.HEALTHY)

    assert world.status.last_known_good == "1.0.0"


def test_a_version_deleted_while_its_tests_run_is_waited_for() -> None:
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
