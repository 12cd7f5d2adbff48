"""Worlds in a certain state, and what their status says."""

from typing import Final

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.rollout_status import StageState
from support.world import World

HTTP_TEST: Final = {"name": "answers", "http": {"path": "/"}}
JOB_TEST: Final = {"name": "contract", "job": {"template": {"spec": {}}}}


def condition(world: World, kind: ConditionType) -> tuple[ConditionStatus, str]:
    """Status and reason of a condition that must be there."""
    found = find_condition(world.status.conditions, kind)
    assert found is not None
    return found.status, found.reason


def in_canary() -> World:
    """A run in its canary stage, at 5 %, under analysis."""
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
