"""Another Rollout that names the same model or route: it never suppresses a rollback, and every sentence names it."""

import pytest

from serinus.api.names import Command
from serinus.api.rollout_status import Phase
from support.builders import a_route
from support.world import BAD, World
from support.world_states import in_canary, in_production


@pytest.mark.parametrize("cause", ["breach", "abort"])
def test_a_conflict_in_mid_run_does_not_keep_the_weight_on_a_bad_version(cause: str) -> None:
    world = in_canary()
    world.conflict = "older"
    world.settle()
    assert "older" in world.status.next_action
    if cause == "abort":
        world.command(Command.ABORT)
    else:
        world.quality["2.0.0"] = BAD
        world.measure()

    world.run(Phase.ROLLED_BACK)

    assert world.weight("2.0.0") == 0


def test_a_conflict_does_not_leave_all_the_traffic_with_a_bad_version() -> None:
    """Nothing else in the rule has weight, so that nobody loses any when a version that is fit gets it."""
    world = in_production()
    world.conflict = "older"
    world.settle()
    world.quality["2.0.0"] = BAD

    world.measure().run(Phase.ROLLED_BACK)

    assert (world.weight("1.0.0"), world.weight("2.0.0")) == (10_000, 0)


def test_a_rollback_that_a_rivals_backend_holds_up_names_the_other_rollout() -> None:
    world = in_canary()
    world.quality["2.0.0"] = BAD
    world.measure().look()
    world.conflict = "older"
    world.route = a_route({"1.0.0": 6000, "3.0.0": 4000}, generation=9)

    world.settle()

    assert world.status.phase is Phase.ROLLING_BACK
    assert "fraud-v3-0-0:80" in world.status.next_action
    assert "Rollout older keeps the route" in world.status.next_action


def test_the_loser_of_a_conflict_tells_what_the_route_serves() -> None:
    world = World(conflict="winner", route=a_route({"1.0.0": 1}))

    world.settle()

    assert "Serving fraud-v1-0-0:80" in world.status.summary or "Serving 1.0.0" in world.status.summary
    assert "No version serves" not in world.status.summary
    assert "winner" in world.status.next_action


def test_the_loser_of_a_conflict_that_is_deleted_leaves_the_winners_route_alone() -> None:
    world = World().run(Phase.HEALTHY)
    world.conflict = "winner"
    world.route = a_route({"1.0.0": 7000, "3.0.0": 3000}, generation=9)
    world.deleted = True

    decision = world.look()

    assert decision.actions == ()


def test_a_run_that_loses_a_conflict_and_is_deleted_takes_only_its_own_candidates_weight() -> None:
    world = in_canary()
    world.conflict = "winner"
    world.route = a_route({"1.0.0": 6000, "2.0.0": 500, "3.0.0": 3500}, generation=9)
    world.deleted = True

    world.look()

    assert (world.weight("1.0.0"), world.weight("3.0.0"), world.weight("2.0.0")) == (6000, 3500, 0)
