"""A version whose Service does not exist: its entry goes from the rule, once, and does not come back by itself."""

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.names import ObjectKey
from serinus.api.rollout_status import Phase
from serinus.ports.cluster_state import EndpointsRecord
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until


def weights_written(rig: Rig) -> int:
    return rig.cluster.journal.count(("weights", "fraud"))


@in_virtual_time
async def test_a_candidate_whose_service_is_deleted_leaves_the_rule_and_nothing_is_written_any_more() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.remove(EndpointsRecord, ObjectKey("ml", "fraud-v2-0-0-abc"))
        await until(lambda: rig.status().phase is Phase.ROLLED_BACK, why="no ready endpoint for 30 s", within=60)
        await until(lambda: rig.weight("2.0.0") is None, why="the entry to go", within=5)
        written, now = weights_written(rig), rig.clock.monotonic()
        await until(lambda: rig.clock.monotonic() > now + 60, why="a minute", within=61)
        assert weights_written(rig) == written
        confirmed = find_condition(rig.status().conditions, ConditionType.TRAFFIC_CONFIRMED)
        assert confirmed is not None
        assert confirmed.status is ConditionStatus.TRUE


@in_virtual_time
async def test_a_version_that_is_wanted_before_its_service_exists_is_not_put_into_the_rule_until_it_does() -> None:
    rig = Rig()
    rig.model()
    rig.cluster.remove(EndpointsRecord, ObjectKey("ml", "fraud-v2-0-0-abc"))
    async with rig.running():
        await until(lambda: rig.status().phase is Phase.PENDING and rig.status().run == 1, why="the run", within=5)
        now = rig.clock.monotonic()
        await until(lambda: rig.clock.monotonic() > now + 60, why="a minute", within=61)
        # The one write that brings the weight 1 of the team to ten-thousandths.
        assert weights_written(rig) == 1
        assert rig.weight("2.0.0") is None
