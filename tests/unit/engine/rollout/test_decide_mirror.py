"""Copies of requests in a stage at 0 %: given for that stage only, judged like traffic, and never left behind."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec import structs

from serinus.api.names import FIELD_MANAGER, Command
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Phase, RollbackReason, StageState
from serinus.engine.rollout.actions import SetMirror
from serinus.engine.rollout.decision import Decision
from serinus.engine.rollout.modes import Running, mode_of
from serinus.engine.rollout.observation import InvalidSpec
from serinus.engine.rollout.traffic.capabilities import GATEWAY_API, HTTP_ROUTE, RouterCapabilities
from serinus.engine.rollout.traffic.facts import Mirror
from serinus.engine.rollout.traffic.managed import ManagedRoute, ManagedState
from support.builders import CANARY, ERRORS, PRODUCTION, a_key, a_route, a_spec, a_version
from support.examples import examples
from support.histories import calm, play, steps
from support.world import BAD, World

TEMPLATE = {"parentRefs": [{"name": "public"}]}
ROUTE = {"httpRoute": {"name": "fraud", "managed": True, "template": TEMPLATE}}
SHADOW = {"name": "shadow", "traffic": "0%", "mirror": "10%", "duration": "10m", "abortOn": [ERRORS]}
MIRRORED: tuple[Mirror, ...] = (Mirror(a_key("2.0.0"), 1_000),)
MANAGER = "kubectl-patch"


def a_plan(version: str = "2.0.0", **shadow: object) -> RolloutSpec:
    return a_spec(version, {**SHADOW, **shadow}, CANARY, PRODUCTION, route=ROUTE)


def serving(plan: RolloutSpec | None = None, can: RouterCapabilities = HTTP_ROUTE) -> World:
    """1.0.0 serves in a managed route, and 2.0.0 is wanted."""
    spec = plan or a_plan()
    facts = a_route({"1.0.0": 1}, can=can, mirrors=())
    return World(spec=spec, route=facts, managed=ManagedRoute(route=spec.route.rule, state=ManagedState.OURS))


def shadowed(ticks: int = 2) -> World:
    """The same while 2.0.0 gets copies and has been judged by some."""
    world = serving().settle()
    for _ in range(ticks):
        world.measure().settle()
    assert world.route.mirrors == MIRRORED
    assert world.weight("2.0.0") == 0
    return world


def stage_of(world: World) -> tuple[str, StageState] | None:
    stage = world.status.stage
    return (stage.name, stage.state) if stage is not None else None


def mirrors(decision: Decision) -> list[Mirror | None]:
    return [action.mirror for action in decision.actions if isinstance(action, SetMirror)]


def test_a_version_is_judged_by_copies_at_no_traffic_and_loses_them_with_the_stage() -> None:
    world = shadowed()
    assert stage_of(world) == ("shadow", StageState.ANALYZING)
    assert world.status.candidate is not None
    assert (world.status.candidate.weight, world.status.candidate.mirror) == (0, 10)
    assert "at 0% with copies of 10% of the requests" in world.status.summary
    assert any("gets copies of 10% of the requests: the gateway has accepted it" in one.message for one in world.events)

    while stage_of(world) != ("canary", StageState.ANALYZING):
        world.measure().settle()

    assert world.route.mirrors == ()
    assert world.weight("2.0.0") == 500
    world.run(Phase.HEALTHY)
    assert world.route.mirrors == ()


def test_the_stage_does_not_begin_before_the_gateway_has_accepted_the_mirror() -> None:
    world = serving()
    for _ in range(10):
        world.look()
        if world.route.mirrors:
            break
    world.look()
    assert stage_of(world) == ("shadow", StageState.SHIFTING)
    assert world.status.reason == "RouteNotAccepted"
    world.gateway()
    world.look()
    assert stage_of(world) == ("shadow", StageState.ANALYZING)


def test_a_version_that_fails_on_copies_is_rolled_back_and_gets_no_more() -> None:
    world = serving().settle()
    world.quality["2.0.0"] = BAD
    world.run(Phase.ROLLED_BACK)
    rollback = world.status.rollback
    assert rollback is not None
    assert (rollback.reason, rollback.version) == (RollbackReason.METRIC_BREACHED, "2.0.0")
    assert "RollbackStarted" in world.reasons()
    assert world.route.mirrors == ()
    assert world.status.candidate is not None
    assert world.status.candidate.mirror is None
    assert world.weight("1.0.0") == 10_000


@pytest.mark.parametrize("command", [Command.ABORT, Command.ROLLBACK])
def test_a_command_ends_the_copies_at_the_next_decision(command: Command) -> None:
    world = shadowed().command(command)
    assert mirrors(world.look()) == [None]
    assert world.route.mirrors == ()


def test_a_rollback_without_a_target_says_that_the_version_had_only_copies() -> None:
    world = shadowed()
    world.versions["1.0.0"] = a_version("1.0.0", ready=0)
    world.command(Command.ABORT).settle()
    assert world.route.mirrors == ()
    assert "2.0.0 had only copies of 10% of the requests." in world.events[-1].message


def test_another_version_takes_the_place_of_the_one_that_gets_copies() -> None:
    world = shadowed()
    world.spec, world.versions = a_plan("3.0.0"), {**world.versions, "3.0.0": a_version("3.0.0")}
    world.settle()
    assert world.route.mirrors == (Mirror(a_key("3.0.0"), 1_000),)


def test_going_back_to_what_serves_ends_the_copies() -> None:
    world = shadowed()
    world.spec = a_plan("1.0.0")
    world.settle()
    assert world.route.mirrors == ()
    assert world.status.phase is Phase.HEALTHY


def test_a_deleted_rollout_keeps_its_finalizer_until_the_copies_have_ended() -> None:
    world = shadowed()
    assert world.has_finalizer
    world.deleted = True
    decision = world.look()
    assert (mirrors(decision), world.gone) == ([None], False)
    world.settle()
    assert world.gone
    assert world.route.mirrors == ()


def test_a_pause_keeps_the_copies_as_it_keeps_a_weight_and_a_breach_ends_them() -> None:
    world = shadowed().command(Command.PAUSE)
    world.settle()
    assert world.status.phase is Phase.PAUSED
    assert world.route.mirrors == MIRRORED
    world.quality["2.0.0"] = BAD
    world.run(Phase.ROLLED_BACK)
    assert world.route.mirrors == ()


@pytest.mark.parametrize("found", [(), (*MIRRORED, Mirror(a_key("1.0.0"), 10_000)), (Mirror(a_key("2.0.0"), 10_000),)])
def test_a_mirror_that_somebody_changes_is_put_right_and_the_event_says_who_it_was(found: tuple[Mirror, ...]) -> None:
    world = shadowed()
    world.route = replace(world.route, mirrors=found, written_by=MANAGER)
    assert mirrors(world.look()) == [MIRRORED[0]]
    assert world.route.mirrors == MIRRORED
    assert world.events[-1].reason.value == "RouteCorrected"
    assert "mirror was changed by kubectl-patch" in world.events[-1].message


def test_a_mirror_that_somebody_adds_while_no_stage_has_one_is_taken_out() -> None:
    world = serving().run(Phase.HEALTHY)
    world.route = replace(world.route, mirrors=MIRRORED, written_by=MANAGER)
    assert mirrors(world.look()) == [None]
    world.settle()
    assert world.route.mirrors == ()


def test_what_the_operator_wrote_before_a_crash_is_no_change_of_somebody_else() -> None:
    world = shadowed()
    told = len(world.events)
    world.route = replace(world.route, mirrors=(), written_by=FIELD_MANAGER)
    assert mirrors(world.look()) == [MIRRORED[0]]
    assert len(world.events) == told


def test_two_controllers_do_not_fight_over_the_mirror_without_end() -> None:
    world, written = shadowed(), 0
    for _ in range(20):
        world.route = replace(world.route, mirrors=(), written_by=MANAGER)
        written += bool(mirrors(world.look()))
        world.pass_time(seconds=2)
    assert written < 10
    assert world.reasons().count("RouteContested") == 1
    world.pass_time(minutes=1)
    world.route = replace(world.route, mirrors=(), written_by=MANAGER)
    assert mirrors(world.look())


def test_an_edit_of_the_percentage_begins_the_run_anew_with_it() -> None:
    world = shadowed()
    world.spec = a_plan(mirror="50%")
    world.settle()
    assert world.route.mirrors == (Mirror(a_key("2.0.0"), 5_000),)
    assert stage_of(world) == ("shadow", StageState.ANALYZING)
    assert "RolloutSuperseded" in world.reasons()


def test_a_gateway_that_copies_all_requests_holds_the_stage_and_is_told_of() -> None:
    world = serving().settle()
    world.real_share = 50.0
    for _ in range(60):
        world.measure().settle()
    assert stage_of(world) == ("shadow", StageState.ANALYZING)
    assert world.status.reason == "TrafficShareMismatch"
    assert "should get copies of 10% of the requests, but gets them of about 100%" in world.status.next_action
    assert "needs mirror: 100%" in world.status.next_action


def test_the_first_version_has_nothing_to_be_copied_and_passes_the_stage_by_its_tests() -> None:
    world = serving()
    world.route = replace(world.route, entries=())
    world.settle()
    # There is nothing to wait for.
    assert stage_of(world) == ("production", StageState.ANALYZING)
    world.run(Phase.HEALTHY)
    assert world.route.mirrors == ()
    assert all(not mirrors(decision) for _, _, decision in world.decisions)


def test_a_version_whose_service_is_deleted_gets_no_copies() -> None:
    world = shadowed()
    world.lose_service("2.0.0")
    assert mirrors(world.look()) == [None]


def test_a_route_that_another_one_has_taken_the_place_of_is_left_alone() -> None:
    world = shadowed()
    world.route = replace(world.route, mirrors=None)
    assert mirrors(world.look()) == []


def test_a_router_that_copies_nothing_refuses_the_plan_by_the_field() -> None:
    world = serving(can=GATEWAY_API).settle()
    assert not isinstance(mode_of(world.status), Running)
    assert world.status.reason == "BeyondRouter"
    assert world.status.next_action.startswith("spec.stages[0].mirror: httpRoute copies no requests: leave mirror out")


def test_nothing_is_mirrored_while_another_rollout_keeps_the_route() -> None:
    world = shadowed()
    world.conflict = "older"
    world.route = replace(world.route, mirrors=())
    assert mirrors(world.look()) == []
    world.route = replace(world.route, mirrors=MIRRORED)
    world.command(Command.ABORT)
    assert mirrors(world.look()) == [None]


def on_the_route(spec: RolloutSpec | InvalidSpec) -> RolloutSpec | InvalidSpec:
    """The same plan on the managed route: a move to another one is a story of its own."""
    if isinstance(spec, RolloutSpec):
        return structs.replace(spec, route=a_plan().route)
    return replace(spec, last=structs.replace(spec.last, route=a_plan().route)) if spec.last is not None else spec


EDITS = st.sampled_from([(), MIRRORED, (Mirror(a_key("3.0.0"), 10_000),), (*MIRRORED, *MIRRORED)])
HAPPENS = st.lists(st.one_of(steps, EDITS.map(lambda found: ("mirrors", found))), max_size=12)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(HAPPENS)
def test_whatever_happens_in_a_stage_with_copies_the_laws_hold_and_no_other_version_keeps_them(
    events: list[Any],
) -> None:
    """World holds each decision against support.laws: among them that copies end with their stage."""
    world = shadowed(ticks=1)
    for step in events:
        if step[0] != "mirrors":
            play(world, step)
            world.spec = on_the_route(world.spec)
        elif not world.gone:
            world.route = replace(world.route, mirrors=step[1], written_by=MANAGER)
    if world.gone:
        assert not world.route.mirrors
        return
    calm(world).pass_time(minutes=2).settle(most=60)
    run = mode_of(world.status)
    given_to = run.candidate if isinstance(run, Running) and run.candidate.mirror is not None else None
    assert [one.key for one in world.route.mirrors or ()] == (
        [a_key(given_to.version)] if given_to is not None and a_key(given_to.version) not in world.missing else []
    )
