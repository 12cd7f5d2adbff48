"""Runs of `decide` in which somebody deletes or scales away what serves: the status suffices to take traffic back."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, RunResult
from serinus.engine.rollout.observation import AdmissionBlock, InvalidSpec
from serinus.engine.rollout.waiting import WaitReason
from support.builders import a_key, a_route, a_spec, a_version
from support.world import BAD, World
from support.world_states import condition, in_canary, in_production


def turns_bad(world: World) -> None:
    world.quality["2.0.0"] = BAD
    world.measure()


def is_aborted(world: World) -> None:
    world.command(Command.ABORT)


CAUSES = pytest.mark.parametrize("cause", [turns_bad, is_aborted])


@CAUSES
@pytest.mark.parametrize("gone", [("2.0.0",), ("1.0.0",), ("1.0.0", "2.0.0")], ids="+".join)
def test_without_its_modelversions_a_run_is_rolled_back_all_the_same(
    cause: Callable[[World], None], gone: tuple[str, ...]
) -> None:
    world = in_canary()
    for version in gone:
        del world.versions[version]
    cause(world)

    world.run(Phase.ROLLED_BACK)

    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0)
    assert "Serving 1.0.0 at 100%" in world.status.summary
    assert condition(world, ConditionType.TRAFFIC_CONFIRMED)[0] is ConditionStatus.TRUE
    assert "NoRollbackTarget" not in world.reasons()


def test_no_rollback_is_complete_while_an_entry_that_nobody_knows_has_weight() -> None:
    world = in_canary()
    del world.versions["2.0.0"]
    turns_bad(world)
    world.look()
    world.route = replace(world.route, entries=(*world.route.entries, *a_route({"9.9.9": 500}).entries))
    world.settle()

    assert world.status.phase is Phase.ROLLING_BACK
    assert "fraud-v9-9-9:80" in world.status.next_action
    assert condition(world, ConditionType.TRAFFIC_CONFIRMED)[0] is not ConditionStatus.TRUE


@CAUSES
def test_a_rollback_without_a_readable_spec_goes_by_the_status(cause: Callable[[World], None]) -> None:
    """As after a restart: nothing of the spec was ever seen, so nothing is known of the ModelVersions either."""
    world = in_canary()
    if cause is turns_bad:
        cause(world)
        world.look(crash="before")
        world.look()
    world.spec = InvalidSpec("spec.stages", "no list")
    world.versions.clear()
    if cause is is_aborted:
        cause(world)

    world.run(Phase.ROLLED_BACK)

    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0)
    assert "NoRollbackTarget" not in world.reasons()


def test_deleting_the_service_of_a_bad_version_ends_its_rollback() -> None:
    world = in_canary()
    turns_bad(world)
    world.look()
    world.lose_service("2.0.0")

    world.run(Phase.ROLLED_BACK)

    assert world.weight("1.0.0") == 10_000
    assert world.weight("2.0.0") is None, "an entry at 0 without a Service would spoil the route for every later run"


def test_a_rollback_is_over_when_the_weights_are_carried_whatever_an_entry_at_zero_resolves_to() -> None:
    """The gateway's controller has seen the deletion before the operator has."""
    world = in_canary()
    turns_bad(world)
    world.look()
    parents = tuple(
        replace(parent, observed_generation=world.route.generation, resolved=False, message="BackendNotFound")
        for parent in world.route.parents
    )
    world.route = replace(world.route, parents=parents)

    world.look()

    assert world.status.phase is Phase.ROLLED_BACK
    world.wish("3.0.0").settle()
    assert world.status.run == 2


def test_a_run_after_the_old_versions_service_is_gone_is_not_stuck() -> None:
    world = World().run(Phase.HEALTHY)
    world.lose_service("1.0.0")
    world.settle()
    assert world.weight("1.0.0") is None

    world.wish("3.0.0").run(Phase.HEALTHY)

    assert world.weight("3.0.0") == 10_000


def test_an_entry_that_a_person_removes_with_its_service_is_not_put_back() -> None:
    world = World().run(Phase.HEALTHY)
    world.lose_service("1.0.0")
    kept = tuple(entry for entry in world.route.entries if entry.key != a_key("1.0.0"))
    world.route = replace(world.route, entries=kept, generation=world.route.generation + 1, written_by="kubectl")
    world.gateway()

    decision = world.look()

    assert decision.actions == ()
    assert "WeightDriftCorrected" not in world.reasons()


@pytest.mark.parametrize("loss", ["Service", "endpoints"])
def test_a_candidate_with_all_traffic_and_no_endpoints_is_rolled_back_after_thirty_seconds(loss: str) -> None:
    world = in_production()
    if loss == "Service":
        world.lose_service("2.0.0")
    world.versions["2.0.0"] = a_version("2.0.0", ready=0)
    world.look()
    world.pass_time(seconds=29).look()
    assert world.weight("2.0.0") == 10_000

    world.pass_time(seconds=1).run(Phase.ROLLED_BACK)

    assert world.weight("1.0.0") == 10_000
    assert world.status.reason == "NoReadyEndpoints"


def test_where_nothing_has_endpoints_a_candidate_without_them_is_not_blamed() -> None:
    world = in_production()
    for version in ("1.0.0", "2.0.0"):
        world.versions[version] = a_version(version, ready=0)
    world.look()
    world.pass_time(minutes=10).settle()

    assert (world.weight("2.0.0"), world.status.rollback) == (10_000, None)
    assert condition(world, ConditionType.BACKENDS_READY) == (ConditionStatus.FALSE, "NoReadyEndpoints")


@pytest.mark.parametrize("wish", ["another version", "another plan", "the stable version"])
def test_a_good_candidate_with_all_traffic_is_not_left_for_a_stable_version_without_endpoints(wish: str) -> None:
    world = in_production()
    world.versions["1.0.0"] = a_version("1.0.0", ready=0)
    world.settle()
    match wish:
        case "another version":
            world.wish("3.0.0")
        case "the stable version":
            world.wish("1.0.0")
        case _:
            world.spec = a_spec("2.0.0", *renamed_stages())
    world.settle()

    assert (world.weight("2.0.0"), world.weight("1.0.0")) == (10_000, 0)
    assert world.status.reason == "RollbackTargetNotReady"
    assert "2.0.0 keeps 100% until 1.0.0 has a ready endpoint" in world.status.next_action

    world.versions["1.0.0"] = a_version("1.0.0")
    world.look()
    assert world.status.history[0].result is (
        RunResult.CANCELLED if wish == "the stable version" else RunResult.SUPERSEDED
    )
    assert not world.weight("2.0.0")


def renamed_stages() -> tuple[dict[str, object], ...]:
    return ({"name": "first", "traffic": "0%"}, {"name": "all", "traffic": "100%", "abortOn": ["error_rate > 0.5%"]})


def test_a_stable_version_without_endpoints_is_said_in_capitals_once_it_serves_alone() -> None:
    world = in_canary()
    world.versions["1.0.0"] = a_version("1.0.0", ready=0)
    turns_bad(world)

    world.run(Phase.ROLLED_BACK)

    assert "1.0.0 HAS NO READY ENDPOINTS" in world.status.summary
    assert "ACT NOW" in world.status.next_action
    assert condition(world, ConditionType.BACKENDS_READY)[0] is ConditionStatus.FALSE


@pytest.mark.parametrize("start", [in_canary, in_production])
@pytest.mark.parametrize(
    "reason", [WaitReason.REGISTRATION_PENDING, WaitReason.ARTIFACT_PENDING, WaitReason.SCHEMA_PENDING]
)
def test_a_version_that_is_checked_anew_goes_no_further_until_it_is_known(
    reason: WaitReason, start: Callable[[], World]
) -> None:
    world = start()
    before = world.weight("2.0.0")
    checked = AdmissionBlock(reason, "2.0.0 is being checked.", temporary=True)
    world.versions["2.0.0"] = a_version("2.0.0", digest="sha256:bb", block=checked)
    for _ in range(100):
        world.measure().settle()
    assert (world.status.reason, world.weight("2.0.0")) == (reason.value, before)
    assert world.status.candidate is not None, "it is not the stable version either"

    world.versions["2.0.0"] = a_version("2.0.0")
    world.run(Phase.HEALTHY)
