"""A managed route: made where it is missing, put right where it differs, never taken over; weights keep the laws."""

from dataclasses import replace

import pytest

from serinus.api.names import FIELD_MANAGER, Command
from serinus.api.parsing import encode
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.actions import CreateRoute, SetWeights, ShapeRoute
from serinus.engine.rollout.decision import Decision
from serinus.engine.rollout.traffic.managed import ManagedRoute, ManagedState, ShapePart, missing, not_managed
from support.builders import a_key, a_route, a_spec, a_version
from support.world import BAD, World

ROUTE = {
    "httpRoute": {
        "name": "fraud",
        "managed": True,
        "template": {"parentRefs": [{"name": "public"}], "hostnames": ["a"]},
    }
}
MANAGER = "kubectl-patch"


def a_plan(version: str = "2.0.0", **fields: object) -> RolloutSpec:
    return a_spec(version, **{"route": ROUTE, **fields})


RULE = a_plan().route.rule
OURS = ManagedRoute(route=RULE, state=ManagedState.OURS)
FOREIGN = not_managed(RULE)


def the_first(**fields: object) -> World:
    """A model whose first version wants to serve; its route is not there."""
    versions = {"2.0.0": a_version("2.0.0")}
    return without_route(World(spec=a_plan(), versions=versions, **fields))  # type: ignore[arg-type]


def without_route(world: World) -> World:
    """The same after somebody has deleted the route."""
    world.route_problem, world.managed = missing(RULE), ManagedRoute(route=RULE, state=ManagedState.MISSING)
    return world


def serving(*, ticks: int = 0) -> World:
    """A version that serves in a managed route, and a run of the next one in its canary stage."""
    world = World(spec=a_plan(), managed=OURS)
    for _ in range(100):
        world.settle()
        if world.status.stage is not None and world.status.stage.name == "canary" and weights(world)["fraud-v2-0-0:80"]:
            break
        world.measure()
    for _ in range(ticks):
        world.measure().settle()
    return world


def weights(world: World) -> dict[str, int]:
    return {entry.key.label: entry.weight for entry in world.route.entries}


def created(decision: Decision) -> CreateRoute:
    (action,) = [one for one in decision.actions if isinstance(one, CreateRoute)]
    return action


def parts(action: CreateRoute) -> dict[str, int]:
    return {share.backend.name: share.parts for share in action.shares}


def reasons(world: World) -> list[str]:
    return [event.reason.value for event in world.events]


def test_the_first_version_gets_a_route_in_which_it_has_no_traffic_and_then_all_stages() -> None:
    world = the_first()
    action = created(world.look())
    assert (action.route, parts(action)) == (RULE, {"fraud-v2-0-0": 0})
    assert reasons(world) == ["RouteCreated"]
    assert world.status.run == 0

    world.run(Phase.HEALTHY)

    assert weights(world) == {"fraud-v2-0-0:80": 10_000}
    assert reasons(world).count("RouteCreated") == 1


def test_no_route_is_made_for_a_version_that_could_not_start() -> None:
    world = the_first()
    world.versions.clear()
    decision = world.look()
    assert (decision.actions, world.status.reason) == ((), "ModelVersionMissing")


def test_the_route_of_a_version_whose_service_is_missing_names_no_backend() -> None:
    world = the_first(missing=frozenset({a_key("2.0.0")}))
    assert created(world.look()).shares == ()


def test_a_rollout_that_must_not_write_makes_no_route() -> None:
    for trouble in ({"conflict": "older"}, {"terminating": True}, {"deleted": True}):
        assert not the_first(**trouble).look().actions


def test_a_route_that_is_deleted_during_a_canary_comes_back_with_its_weights() -> None:
    world = without_route(serving(ticks=2))
    action = created(world.look())
    assert parts(action) == {"fraud-v1-0-0": 9_500, "fraud-v2-0-0": 500}
    assert "made anew, with" in world.events[-1].message
    assert world.events[-1].warning

    world.run(Phase.HEALTHY)
    assert weights(world)["fraud-v2-0-0:80"] == 10_000


def test_a_version_gets_no_traffic_in_a_route_made_anew_while_its_evidence_cannot_be_had() -> None:
    world = serving(ticks=2)
    world.quality["2.0.0"] = None
    world.measure().settle()

    action = created(without_route(world).look())

    assert parts(action) == {"fraud-v1-0-0": 10_000, "fraud-v2-0-0": 0}
    world.gateway()
    world.settle()
    assert weights(world)["fraud-v2-0-0:80"] == 0
    del world.quality["2.0.0"]
    world.measure().settle()
    assert weights(world)["fraud-v2-0-0:80"] == 500


def test_a_bad_version_has_no_traffic_in_a_route_that_is_made_anew() -> None:
    world = serving(ticks=2)
    world.quality["2.0.0"] = BAD
    while world.status.phase is not Phase.ROLLING_BACK and world.status.phase is not Phase.ROLLED_BACK:
        world.measure()
        without_route(world)
        world.look()
    world.settle()
    assert world.status.phase is Phase.ROLLED_BACK
    assert weights(world) == {"fraud-v1-0-0:80": 10_000, "fraud-v2-0-0:80": 0}


def test_what_serves_is_served_again_from_a_route_that_is_made_anew() -> None:
    world = the_first().run(Phase.HEALTHY)
    action = created(without_route(world).look())
    assert parts(action) == {"fraud-v2-0-0": 10_000}


def test_a_foreign_route_of_the_name_holds_the_run_before_it_starts() -> None:
    world = World(spec=a_plan(), versions={"2.0.0": a_version("2.0.0")}, route_problem=FOREIGN)
    world.managed = ManagedRoute(route=RULE, state=ManagedState.FOREIGN)
    decision = world.look()
    assert decision.actions == ()
    assert (world.status.run, world.status.reason) == (0, "RouteNotManaged")
    assert "Delete it, so that it is made anew" in world.status.next_action


def test_a_foreign_route_in_the_place_of_ours_holds_the_run_and_only_a_rollback_writes_in_it() -> None:
    world = serving(ticks=2)
    world.managed = ManagedRoute(route=RULE, state=ManagedState.FOREIGN)
    theirs = a_route({"1.0.0": 60, "2.0.0": 40}, generation=9, not_ours=FOREIGN)
    world.route = theirs
    for _ in range(60):
        world.measure().settle()
    assert world.route == theirs
    assert world.status.reason == "RouteNotManaged"

    world.command(Command.ABORT)
    decision = world.look()

    (action,) = [one for one in decision.actions if isinstance(one, SetWeights)]
    assert action.towards_safety
    assert weights(world) == {"fraud-v1-0-0:80": 60, "fraud-v2-0-0:80": 0}


def differing(world: World, *different: ShapePart, by: str = MANAGER) -> World:
    world.managed = replace(OURS, differs=different, written_by=by)
    return world


def test_what_somebody_has_changed_is_put_right_and_the_event_says_who_it_was() -> None:
    world = differing(serving(), ShapePart.HOSTNAMES)
    before = weights(world)
    decision = world.look()
    (action,) = decision.actions
    assert isinstance(action, ShapeRoute)
    assert encode(action.template) == ROUTE["httpRoute"]["template"]
    assert world.events[-1].reason.value == "RouteCorrected"
    assert "hostnames were changed by kubectl-patch" in world.events[-1].message
    assert weights(world) == before


def test_an_edit_of_the_template_is_followed_without_an_event() -> None:
    world = differing(serving(), ShapePart.MATCHES, by=FIELD_MANAGER)
    told = len(world.events)
    assert any(isinstance(action, ShapeRoute) for action in world.look().actions)
    assert len(world.events) == told


def test_two_controllers_do_not_fight_over_the_template_without_end() -> None:
    world, written = serving(), 0
    for _ in range(20):
        written += any(isinstance(one, ShapeRoute) for one in differing(world, ShapePart.PARENTS).look().actions)
        world.pass_time(seconds=2)
    assert written < 10
    assert reasons(world).count("RouteContested") == 1
    world.pass_time(minutes=1)
    assert any(isinstance(one, ShapeRoute) for one in differing(world, ShapePart.PARENTS).look().actions)


@pytest.mark.parametrize("command", [Command.ABORT, Command.ROLLBACK])
def test_traffic_is_taken_from_a_bad_version_before_the_template_is_seen_to(command: Command) -> None:
    world = differing(serving(ticks=2), ShapePart.MATCHES).command(command)
    actions = world.look().actions
    safe = [place for place, one in enumerate(actions) if isinstance(one, SetWeights) and one.towards_safety]
    shaped = [place for place, one in enumerate(actions) if isinstance(one, ShapeRoute)]
    assert safe == [0]
    assert shaped == [len(actions) - 1]
