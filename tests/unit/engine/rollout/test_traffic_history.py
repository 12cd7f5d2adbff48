"""The candidate's share over its run, in the status: each point goes with a change that is written anyway."""

from datetime import timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from serinus.api.conditions import ConditionStatus, ConditionType
from serinus.api.rollout_status import MAX_TRAFFIC_POINTS, Phase, RolloutStatus, TrafficPoint
from serinus.engine.rollout.draft import Situation
from serinus.engine.rollout.traffic.history import with_traffic
from support.builders import NOW
from support.world import BAD, World
from support.world_states import condition, in_canary


def shares(status: RolloutStatus) -> list[tuple[float, float | None]]:
    """What was desired and accepted, without repetitions."""
    seen = [(point.desired, point.accepted) for point in status.traffic]
    return [one for place, one in enumerate(seen) if place == 0 or one != seen[place - 1]]


def walk(world: World, until: Phase) -> World:
    """Look second by second: a point has a time of its own then."""
    for _ in range(3000):
        world.pass_time(seconds=1).look()
        world.gateway()
        if world.status.phase is until and world.status.run:
            return world
        world.measure()
    raise AssertionError(world.status.summary)


def test_a_run_leaves_what_was_desired_accepted_and_observed() -> None:
    world = in_canary()
    world.run(Phase.HEALTHY)
    world.wish("3.0.0").look()
    walk(world, Phase.HEALTHY)

    assert shares(world.status)[0][0] == 0
    assert shares(world.status)[-1] == (100, 100)
    times = [point.at for point in world.status.traffic]
    assert times == sorted(times)
    canary = [point for point in world.status.traffic if point.desired == 5]
    assert canary
    assert any(point.observed is not None and point.requests > 0 for point in canary)
    for point in canary:
        assert point.observed is None or 0 < point.observed < 20


def test_after_a_rollback_the_share_is_accepted_at_0() -> None:
    world = in_canary()
    before = world.weight("2.0.0")
    assert before
    world.quality["2.0.0"] = BAD
    walk(world.measure(), Phase.ROLLED_BACK)
    assert shares(world.status)[-2:] == [(0, before / 100), (0, 0)]


def test_what_the_gateway_has_not_accepted_is_not_shown_as_accepted() -> None:
    world = in_canary()
    while world.weight("2.0.0") != 10_000:
        assert condition(world, ConditionType.TRAFFIC_CONFIRMED)[0] is ConditionStatus.TRUE
        world.gateway_accepts = False
        world.measure().look()
    world.look()
    assert shares(world.status)[-1] == (100, 5)


def test_a_new_run_begins_anew_and_the_last_one_stays_until_then() -> None:
    world = in_canary()
    world.run(Phase.HEALTHY)
    assert world.status.traffic
    held = world.status.traffic
    for _ in range(5):
        world.measure().settle()
    assert world.status.traffic == held
    world.wish("3.0.0").look()
    assert len(world.status.traffic) <= 1


def test_a_point_never_makes_a_write_of_its_own() -> None:
    world = in_canary()
    for _ in range(30):
        world.measure()
        before = world.status
        after = world.look().status
        assert structs.replace(after, traffic=before.traffic) != before or after.traffic == before.traffic


@given(st.lists(st.tuples(st.integers(1, 600), st.sampled_from((1.0, 5.0, 100.0))), min_size=30, max_size=120))
def test_the_points_are_bounded_in_order_and_keep_each_change(steps: list[tuple[int, float]]) -> None:
    world = in_canary()
    observed, status, now = world.observe(), world.status, NOW
    assert status.candidate is not None
    for seconds, weight in steps:
        now += timedelta(seconds=seconds)
        candidate = structs.replace(status.candidate, weight=weight)
        situation = Situation(spec=None, observed=observed, now=now)
        status = with_traffic(structs.replace(status, candidate=candidate), status, situation)
    points: tuple[TrafficPoint, ...] = status.traffic
    assert len(points) <= MAX_TRAFFIC_POINTS
    assert all(one.at < other.at for one, other in pairwise(points))
    assert points[-1].desired == steps[-1][1] or steps[-1][1] == steps[-2][1]
