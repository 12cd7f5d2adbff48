"""Worlds in a certain state, and what their status says."""

from typing import Any, Final

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


def in_canary(**fields: Any) -> World:
    """A run in its canary stage, at 5 %, under analysis; ``fields`` are the world's."""
    return _under_analysis(World(**fields), "canary")


def in_production(**fields: Any) -> World:
    """A run in its last stage, at 100 %, under analysis."""
    return _under_analysis(World(**fields), "production")


def _under_analysis(world: World, stage: str) -> World:
    for _ in range(100):
        world.settle()
        current = world.status.stage
        if current is not None and (current.name, current.state) == (stage, StageState.ANALYZING):
            return world
        world.measure()
    raise AssertionError(f"never in {stage}")
