"""What follows the deletion of a Rollout: in every mode, with the operator and the registry up and down."""

import asyncio
from dataclasses import replace

import pytest

from serinus.api.names import Command
from serinus.api.rollout import RolloutSpec
from serinus.api.rollout_status import Phase, RunResult
from serinus.engine.rollout.observation import InvalidSpec
from serinus.errors import AmbiguousError, ConflictError, NotFoundError, RefusedError, SerinusError, TransientError
from serinus.ports.cluster_state import RolloutRecord
from support.builders import CANARY, PRODUCTION, STAGING
from support.records import MISSPELT, key, rollout, spec_for
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until


def stored_events(rig: Rig) -> list[object]:
    return [record["event"] for record in rig.cluster.registry._data[key()].records.values()]


def is_gone(rig: Rig) -> bool:
    return (RolloutRecord, key()) not in rig.cluster.objects


async def recorded(rig: Rig) -> list[str]:
    return [record.event.value async for record in rig.registry.history(key())]


@in_virtual_time
async def test_a_rollout_that_is_deleted_in_mid_canary_is_gone_once_its_candidate_is_drained_and_all_is_recorded() -> (
    None
):
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.delete(key())
        await until(lambda: not rig.weight("2.0.0"), why="the candidate's weight to go", within=1)
        await until(lambda: is_gone(rig), why="the Rollout to go", within=5)
        assert "RunCancelled" in await recorded(rig)
        await until(lambda: len(rig.memory) == 0, why="everything about it to be forgotten", within=1)
        assert (len(rig.queue._timers), len(rig.queue._safety_timers)) == (0, 0)
        assert rig.queue._retries == {}


@in_virtual_time
async def test_the_end_of_the_run_is_in_the_status_while_the_registry_is_down_and_the_traffic_is_gone_at_once() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        await until(lambda: not rig.status().records, why="the records so far to be delivered")
        rig.audit_log.problem = TransientError("no table")
        rig.cluster.delete(key())
        await until(lambda: not rig.weight("2.0.0"), why="the candidate's weight to go", within=1)
        await until(lambda: rig.status().history, why="the status to say so", within=5)
        assert rig.status().history[0].result is RunResult.CANCELLED
        await until(lambda: rig.clock.monotonic() > 600, why="ten minutes", within=700)
        assert not is_gone(rig)
        rig.audit_log.problem = None
        await until(lambda: is_gone(rig), why="the Rollout to go", within=40)
        assert (await recorded(rig)).count("RunCancelled") == 1


@pytest.mark.parametrize("registry", ["up", "down"])
@in_virtual_time
async def test_a_rollout_that_is_deleted_while_no_operator_runs_is_drained_by_the_next_one(registry: str) -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
    rig.cluster.delete(key())
    successor = Rig(rig.cluster)
    successor.audit_log.problem = None if registry == "up" else TransientError("no table")
    async with successor.running():
        await until(lambda: not successor.weight("2.0.0"), why="the candidate's weight to go", within=1)
        successor.audit_log.problem = None
        await until(lambda: is_gone(successor), why="the Rollout to go", within=40)
        assert "RunCancelled" in await recorded(successor)


async def in_rollback(rig: Rig) -> None:
    rig.cluster.accepting = False
    rig.source.bad = {"2.0.0": 1.0}
    await rig.reaches(Phase.ROLLING_BACK)
    rig.cluster.accepting = True


@pytest.mark.parametrize("mode", ["healthy", "rolled back", "paused", "rolling back", "invalid", "stranded"])
@in_virtual_time
async def test_in_every_mode_a_deleted_rollout_goes_and_leaves_no_version_on_trial_with_traffic(mode: str) -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        match mode:
            case "healthy":
                await rig.reaches(Phase.HEALTHY)
            case "rolled back":
                rig.source.bad = {"2.0.0": 1.0}
                await rig.reaches(Phase.ROLLED_BACK)
            case "paused":
                rig.cluster.put(replace(rig.cluster.rollout(key()), commands={Command.PAUSE.value: "wait"}))
                await rig.reaches(Phase.PAUSED)
            case "rolling back":
                await in_rollback(rig)
            case "invalid":
                rig.cluster.put(replace(rig.cluster.rollout(key()), spec=MISSPELT))
                await rig.reaches(Phase.INVALID)
            case _:
                await until(lambda: rig.weight("2.0.0") == 10_000, why="all the traffic", within=700)
        rig.cluster.delete(key())
        await until(lambda: is_gone(rig), why="the Rollout to go", within=20)
        assert not rig.weight("2.0.0") or mode == "healthy"


@in_virtual_time
async def test_a_rollout_that_somebody_forces_away_has_its_candidate_drained_all_the_same() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: not rig.weight("2.0.0"), why="the candidate's weight to go", within=1)
        await until(lambda: len(rig.memory) == 0, why="everything about it to be forgotten", within=1)
        await until(lambda: stored_events(rig)[-1] == "RunCancelled", why="the end to be recorded", within=5)


@in_virtual_time
async def test_the_end_of_a_run_without_traffic_is_recorded_though_nobody_is_named_for_the_deletion() -> None:
    rig = Rig()
    rig.checks.open.clear()
    rig.model("fraud", {**STAGING, "tests": [{"name": "smoke", "http": {"path": "/ready"}}]}, CANARY, PRODUCTION)
    async with rig.running():
        await rig.reaches_stage("staging")
        await until(lambda: not rig.cluster.rollout(key()).has_finalizer, why="the finalizer to be gone")
        rig.cluster.delete(key())
        await until(lambda: is_gone(rig), why="the Rollout to go", within=5)
        await until(lambda: "RunCancelled" in stored_events(rig), why="the end to be recorded", within=5)
        records = [record async for record in rig.registry.history(key())]
        cancelled = next(record for record in records if record.event.value == "RunCancelled")
        assert (cancelled.actor.name, cancelled.actor.authentication.value) == ("unverified", "None")
        assert (cancelled.version, cancelled.on_behalf_of) == ("2.0.0", None)
        assert cancelled.after.candidate == ""


@in_virtual_time
async def test_the_candidate_of_a_forced_away_rollout_is_drained_however_often_that_fails_at_first() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.router.faults.before.extend([TransientError("no"), ConflictError("no"), AmbiguousError("no")])
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: not rig.weight("2.0.0"), why="the candidate's weight to go", within=2)


@in_virtual_time
async def test_a_new_rollout_of_the_same_name_has_the_route_and_nothing_more_is_drained_for_the_old_one() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.router.faults.always["fraud"] = TransientError("no")
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: len(rig.memory) == 1, why="the drain to be tried", within=1)
        rig.cluster.put(rollout(uid="uid-2"))
        rig.router.faults.always.clear()
        await until(lambda: len(rig.memory) == 0, why="the drain to be given up", within=5)
        await rig.reaches_canary()


@in_virtual_time
async def test_a_spoilt_spec_is_no_reason_to_leave_the_candidate_its_traffic_on_deletion() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.put(replace(rig.cluster.rollout(key()), spec=MISSPELT))
        await until(lambda: rig.status().phase is Phase.INVALID, why="the spec to be read")
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: not rig.weight("2.0.0"), why="the candidate's weight to go", within=1)


@in_virtual_time
async def test_a_rollout_that_turns_out_to_be_gone_is_dropped_and_not_tried_for_ever() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.deaf = True
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.cache.rollout(key()) is None, why="the loss to be noticed by a write", within=120)
        await until(lambda: not rig.weight("2.0.0"), why="the candidate's weight to go", within=1)


async def seen_again(rig: Rig, within: float) -> bool:
    """Return whether the Rollout was in the cache at any time within so many seconds."""
    end, there = rig.clock.monotonic() + within, set[bool]()
    while rig.clock.monotonic() < end:
        there.add(rig.cache.rollout(key()) is not None)
        await asyncio.sleep(0.01)
    return True in there


@in_virtual_time
async def test_a_rollout_that_is_gone_before_its_last_write_is_answered_does_not_come_back() -> None:
    """It would keep its route from the next Rollout until the cluster is listed again."""
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        rig.statuses.faults.latency = 2.0
        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={Command.PAUSE.value: "wait"}))
        await until(lambda: rig.status().paused is not None, why="the status to be written")
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.cache.rollout(key()) is None, why="the watch to tell of it", within=0.5)
        assert not await seen_again(rig, within=1.5)


@in_virtual_time
async def test_a_rollout_that_is_gone_before_it_was_read_again_does_not_come_back() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        as_it_was, sent = rig.cluster.rollout(key()), len(rig.statuses.sent)
        rig.statuses.faults.before.append(ConflictError("changed"))
        rig.statuses.faults.latency = rig.cluster.read_latency = 2.0
        rig.cluster.put(replace(as_it_was, commands={Command.PAUSE.value: "wait"}))
        await until(lambda: len(rig.statuses.sent) > sent, why="the write that fails")
        rig.cluster.put(as_it_was)
        await until(lambda: rig.cluster.reads_under_way > 0, why="the Rollout to be read again")
        rig.cluster.remove(RolloutRecord, key())
        await until(lambda: rig.cache.rollout(key()) is None, why="the watch to tell of it", within=0.5)
        assert not await seen_again(rig, within=2.5)
        assert rig.cluster.reads_under_way == 0


async def replaced(rig: Rig, spec: RolloutSpec | InvalidSpec, *, told: bool) -> None:
    """Somebody forces a Rollout away and applies another one of its name; the watch tells of both, or of neither."""
    rig.cluster.deaf = not told
    rig.cluster.remove(RolloutRecord, key())
    rig.cluster.put(rollout(spec=spec, uid="uid-2"))
    rig.cluster.deaf = False
    if not told:
        rig.controller.on_relist(RolloutRecord)


@pytest.mark.parametrize("told", [True, False], ids=["the watch tells", "only a list shows it"])
@pytest.mark.parametrize("spec", [spec_for("other"), MISSPELT], ids=["another model", "an unreadable spec"])
@in_virtual_time
async def test_the_candidate_of_a_rollout_is_drained_whatever_another_one_of_its_name_wants(
    spec: RolloutSpec | InvalidSpec, *, told: bool
) -> None:
    rig = Rig()
    rig.model()
    rig.model("other")
    rig.cluster.remove(RolloutRecord, key("other"))
    async with rig.running():
        await rig.reaches_canary()
        await replaced(rig, spec, told=told)
        await until(lambda: not rig.weight("2.0.0"), why="the candidate's weight to go", within=1)
        await until(lambda: stored_events(rig)[-1] == "RunCancelled", why="the end to be recorded", within=5)
        await until(lambda: len(rig.memory) == 0, why="the one that is gone to be forgotten", within=1)


@in_virtual_time
async def test_a_drain_that_fails_for_long_keeps_a_new_rollout_on_another_route_from_nothing() -> None:
    rig = Rig()
    rig.model()
    rig.model("other")
    rig.cluster.remove(RolloutRecord, key("other"))
    async with rig.running():
        await rig.reaches_canary()
        rig.router.faults.always["fraud"] = TransientError("no")
        await replaced(rig, spec_for("other"), told=True)
        await until(lambda: rig.weight("2.0.0", "other"), why="the new one's canary")
        rig.source.bad = {"2.0.0": 1.0}
        await until(lambda: not rig.weight("2.0.0", "other"), why="its rollback", within=60)
        assert rig.weight("2.0.0")
        rig.router.faults.always.clear()
        await until(lambda: not rig.weight("2.0.0"), why="the drain", within=30)


@in_virtual_time
async def test_the_end_of_a_run_is_recorded_though_only_a_list_shows_that_its_rollout_was_made_anew() -> None:
    rig = Rig()
    rig.checks.open.clear()
    rig.model("fraud", {**STAGING, "tests": [{"name": "smoke", "http": {"path": "/ready"}}]}, CANARY, PRODUCTION)
    async with rig.running():
        await rig.reaches_stage("staging")
        await until(lambda: not rig.cluster.rollout(key()).has_finalizer, why="the finalizer to be gone")
        await replaced(rig, spec_for("fraud"), told=False)
        await rig.reaches_canary()
        await until(lambda: "RunCancelled" in stored_events(rig), why="the end to be recorded", within=5)


# ---- the finalizer ------------------------------------------------------------------------------


@in_virtual_time
async def test_a_rollout_at_rest_has_no_finalizer_and_one_in_canary_has() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        assert rig.cluster.rollout(key()).has_finalizer
        await rig.reaches(Phase.HEALTHY)
        await until(lambda: not rig.cluster.rollout(key()).has_finalizer, why="it to be taken off", within=5)


@pytest.mark.parametrize(
    "problem", [TransientError("down"), AmbiguousError("timed out"), ConflictError("changed"), NotFoundError("what?")]
)
@in_virtual_time
async def test_no_version_gets_weight_before_the_finalizer_is_on(problem: SerinusError) -> None:
    rig = Rig()
    rig.model()
    rig.finalizers.faults.always["fraud"] = problem
    async with rig.running():
        await until(lambda: rig.clock.monotonic() > 900, why="more than the stage's time", within=1000)
        assert not rig.weight("2.0.0")
        rig.finalizers.faults.always.clear()
        await rig.reaches_canary()
        journal = rig.cluster.journal
        assert journal.index(("finalizer", "fraud")) < journal.index(("weights", "fraud"))


@in_virtual_time
async def test_a_finalizer_that_is_refused_is_said_in_the_status_and_nothing_advances() -> None:
    rig = Rig()
    rig.model()
    rig.finalizers.faults.always["fraud"] = RefusedError("rollouts is forbidden: cannot patch")
    async with rig.running():
        await until(lambda: "cannot patch" in rig.status().next_action, why="the status to say so")
        await until(lambda: rig.clock.monotonic() > 900, why="more than the stage's time", within=1000)
        assert (rig.status().run, rig.weight("2.0.0")) == (0, None)


@in_virtual_time
async def test_a_finalizer_that_somebody_takes_off_is_put_on_again_before_anything_advances() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches_canary()
        rig.cluster.put(replace(rig.cluster.rollout(key()), has_finalizer=False))
        await until(lambda: rig.cluster.rollout(key()).has_finalizer, why="it to be put on again", within=1)
        await rig.reaches(Phase.HEALTHY)


@in_virtual_time
async def test_a_rollback_is_in_the_status_although_the_finalizer_is_refused() -> None:
    rig = Rig()
    rig.model("fraud", STAGING, CANARY, PRODUCTION)
    async with rig.running():
        await rig.reaches_canary()
        # As an older release, which had no right to finalizers, has left it.
        rig.cluster.put(replace(rig.cluster.rollout(key()), has_finalizer=False))
        rig.finalizers.faults.always["fraud"] = RefusedError("forbidden")
        rig.source.bad = {"2.0.0": 1.0}
        await rig.reaches(Phase.ROLLED_BACK, within=30)
        assert not rig.weight("2.0.0")
