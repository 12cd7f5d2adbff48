"""Services that somebody deletes: their entries leave the rule once, and no later run is stuck on them."""

from dataclasses import replace

from serinus.api.names import Command, ObjectKey
from serinus.api.rollout_status import Phase
from serinus.ports.cluster_state import EndpointsRecord
from support.builders import CANARY, STAGING, a_stage
from support.records import NAMESPACE, endpoints, key, model_version, spec_for
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

LATENCY = 0.2
"""Seconds of a write to the route: writes without end take time, so that a test of them ends."""

QUICK = (STAGING, {**CANARY, "duration": "1m"}, a_stage("production", "100%", bake="1m"))


def delete_service(rig: Rig, version: str) -> None:
    """With a Service its EndpointSlices go."""
    rig.cluster.remove(EndpointsRecord, ObjectKey(NAMESPACE, endpoints("fraud", version).meta.key.name))


async def minutes(rig: Rig, number: int) -> None:
    end = rig.clock.monotonic() + 60 * number
    await until(lambda: rig.clock.monotonic() >= end, why=f"{number} minutes", within=60 * number + 1)


@in_virtual_time
async def test_the_old_versions_entry_leaves_the_rule_once_and_the_next_run_is_promoted() -> None:
    rig = Rig()
    rig.model("fraud", *QUICK)
    rig.router.faults.latency = LATENCY
    async with rig.running(resync_every=60):
        await rig.reaches(Phase.HEALTHY)
        written = len(rig.router.sent)
        delete_service(rig, "1.0.0")
        await until(lambda: rig.weight("1.0.0") is None, why="the entry to go", within=5)
        await minutes(rig, 10)
        assert len(rig.router.sent) == written + 1
        rig.cluster.put(model_version("3.0.0"))
        rig.cluster.put(endpoints("fraud", "3.0.0"))
        wanted = spec_for("fraud", "3.0.0", *QUICK)
        rig.cluster.put(replace(rig.cluster.rollout(key()), spec=wanted, generation=2))
        await until(lambda: rig.weight("3.0.0") == 10_000, why="the next version", within=600)


@in_virtual_time
async def test_the_bad_versions_entry_leaves_the_rule_once_when_its_service_is_deleted_in_the_midst_of_a_rollback() -> (
    None
):
    rig = Rig()
    rig.model("fraud", *QUICK)
    rig.router.faults.latency = LATENCY
    async with rig.running(resync_every=60):
        await rig.reaches_canary()
        rig.cluster.accepting = False
        rig.cluster.put(replace(rig.cluster.rollout(key()), commands={Command.ABORT.value: "users complain"}))
        await rig.reaches(Phase.ROLLING_BACK, within=5)
        delete_service(rig, "2.0.0")
        rig.cluster.accepting = True
        await until(lambda: rig.weight("2.0.0") is None, why="the entry to go", within=5)
        await rig.reaches(Phase.ROLLED_BACK, within=5)
        written = len(rig.router.sent)
        await minutes(rig, 10)
        assert len(rig.router.sent) == written
        assert (rig.weight("1.0.0"), rig.weight("2.0.0")) == (10_000, None)
