"""A fresh operator over a spec that an earlier release let in: its run is watched, aborted and contained."""

from dataclasses import replace

import pytest

from serinus.api.conditions import ConditionStatus, ConditionType, find_condition
from serinus.api.names import Command
from serinus.api.rollout_status import Phase
from serinus.engine.rollout.observation import InvalidSpec
from support.records import key, spec_for
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until

TWINS = "spec.stages[1].abortOn[1] 'error_rate>1%' is 'error_rate > 1%' in another spelling"
REFUSED = InvalidSpec("spec.stages[1].abortOn[1]", "success_rate: did you mean error_rate?")


async def upgraded(spec: InvalidSpec) -> Rig:
    """An operator of a newer release, which refuses the spec, over a run in its canary stage."""
    old = Rig()
    old.model()
    async with old.running():
        await old.reaches_canary()
    new = Rig(old.cluster, old.source, epoch=8)
    new.cluster.put(replace(new.cluster.rollout(key()), spec=spec))
    return new


@pytest.mark.parametrize(("cause", "known"), [("breach", True), ("abort", True), ("abort", False)])
@in_virtual_time
async def test_a_run_whose_spec_only_the_new_release_refuses_is_still_guarded(cause: str, *, known: bool) -> None:
    rig = await upgraded(replace(REFUSED, last=spec_for("fraud") if known else None))
    async with rig.running():
        await until(lambda: rig.status().phase is Phase.INVALID, why="it to be said", within=5)
        assert "did you mean error_rate?" in rig.status().next_action
        began = rig.clock.monotonic()
        await until(lambda: rig.clock.monotonic() > began + 900, why="longer than the stage", within=901)
        assert rig.weight("2.0.0") == 500
        if cause == "abort":
            rig.cluster.put(replace(rig.cluster.rollout(key()), commands={Command.ABORT.value: "users complain"}))
        else:
            rig.source.bad = {"2.0.0": 1.0}
        await until(lambda: rig.weight("2.0.0") == 0, why="its weight to go", within=60)
        await rig.reaches(Phase.ROLLED_BACK, within=60)


@in_virtual_time
async def test_conditions_that_were_merged_are_said_as_long_as_the_spec_has_them() -> None:
    rig = Rig()
    rig.cluster.put(replace(rig.model(), merged_conditions=TWINS))
    async with rig.running():
        await rig.reaches_canary()
        said = find_condition(rig.status().conditions, ConditionType.CONDITIONS_MERGED)
        assert said is not None
        assert (said.status, said.reason) == (ConditionStatus.TRUE, "TwoSpellings")
        assert TWINS in said.message
        rig.cluster.put(replace(rig.cluster.rollout(key()), merged_conditions="", generation=2))
        await until(
            lambda: find_condition(rig.status().conditions, ConditionType.CONDITIONS_MERGED) is None, why="its end"
        )
