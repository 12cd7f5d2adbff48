"""What follows the deletion of a Rollout."""

from serinus.api.rollout_status import Phase
from serinus.errors import AmbiguousError, ConflictError, TransientError
from serinus.ports.cluster_state import RolloutRecord
from support.records import MISSPELT, key, rollout
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until


@in_virtual_time
async def test_a_deleted_rollout_leaves_no_candidate_with_traffic() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.weight("2.0.0") == 0, why="the candidate's weight to go", within=1)
        assert rig.queue._timers == {}
        assert rig.queue._retries == {}


@in_virtual_time
async def test_the_traffic_of_a_deleted_rollouts_candidate_is_taken_back_however_often_that_fails_at_first() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.router.faults.before.extend([TransientError("no"), ConflictError("no"), AmbiguousError("no")])
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.weight("2.0.0") == 0, why="the candidate's weight to go", within=5)


@in_virtual_time
async def test_a_spoilt_spec_is_no_reason_to_leave_the_candidate_its_traffic_on_deletion() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.put(rollout(spec=MISSPELT, status=rig.status()))
        await until(lambda: rig.status().phase is Phase.INVALID, why="the spec to be read")
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.weight("2.0.0") == 0, why="the candidate's weight to go", within=1)


@in_virtual_time
async def test_a_rollout_that_is_being_deleted_has_its_candidate_without_traffic_and_its_status_untouched() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        stored = rig.cluster.rollout(key())
        rig.cluster.put(rollout(spec=stored.spec, status=stored.status, deleting=True))
        await until(lambda: rig.weight("2.0.0") == 0, why="the candidate's weight to go", within=1)
        assert rig.status() == stored.status


@in_virtual_time
async def test_a_rollout_that_turns_out_to_be_gone_is_dropped_and_not_tried_for_ever() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.deaf = True
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.cache.rollout(key()) is None, why="the loss to be noticed by a write", within=120)
        assert rig.weight("2.0.0") == 0
