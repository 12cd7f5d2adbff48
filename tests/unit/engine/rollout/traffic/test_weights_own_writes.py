"""What the operator wrote itself before it crashed is never told as somebody else's doing."""

from dataclasses import replace

from serinus.api.names import FIELD_MANAGER
from serinus.api.rollout_status import Phase
from support.world import World


def a_world_that_crashed_after_writing(weight: int, *, written_by: str) -> World:
    """The route has the candidate's next weight; the status, which comes after it, was never written."""
    world = World().run(Phase.PROGRESSING)
    for _ in range(200):
        ahead = world.fork()
        ahead.look(crash="between")
        if ahead.weight("2.0.0") == weight:
            ahead.gateway()
            ahead.route = replace(ahead.route, written_by=written_by)
            return ahead
        world.look()
        world.gateway()
        world.measure()
    raise AssertionError(f"the weight {weight} was never written")


def test_a_weight_that_a_crash_left_before_its_status_is_put_right_without_accusing_anybody() -> None:
    world = a_world_that_crashed_after_writing(10_000, written_by=FIELD_MANAGER)
    world.settle()
    assert "WeightDriftCorrected" not in world.reasons()
    assert world.run(Phase.HEALTHY).weight("2.0.0") == 10_000


def test_the_same_weight_written_by_somebody_else_is_told() -> None:
    world = a_world_that_crashed_after_writing(10_000, written_by="kubectl-edit")
    # The evidence of the stage before is here; the operator begins with none after a crash.
    world.evidence.clear()
    world.settle()
    assert "WeightDriftCorrected" in world.reasons()
