"""The loop on fakes: a whole run, a rollback, and what is written in which order."""

from serinus.api.rollout_status import Phase
from support.rig import Rig
from support.virtual_loop import in_virtual_time, until


@in_virtual_time
async def test_a_good_version_goes_through_all_stages_and_is_said_to_be_in_production() -> None:
    rig = Rig()
    rig.model()
    async with rig.running():
        await rig.reaches(Phase.HEALTHY)
        assert rig.status().stable is not None
        assert rig.status().stable.version == "2.0.0"
        assert rig.weight("2.0.0") is not None
        await until(lambda: rig.store.versions("ml", "fraud")[-1].stage == "Production", why="the version to say it")
