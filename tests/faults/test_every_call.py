"""A fault at one call after the other: a sample of what ``make test-faults`` tries."""

import os
from pathlib import Path
from typing import Final

from localcluster.client import Cluster
from support.e2e.fixtures import program_environment
from support.faultpoints.campaign import Campaign, all_undisturbed
from support.faultpoints.plans import points_of, sampled
from support.faultpoints.run import world_in

SEED: Final = int(os.environ.get("SERINUS_FAULTS_SEED", "1"))
POINTS: Final = 36
TOGETHER: Final = 6
PARALLEL: Final = 6


async def test_a_run_that_is_disturbed_at_any_call_ends_as_an_undisturbed_one(cluster: Cluster, tmp_path: Path) -> None:
    told: list[str] = []
    async with world_in(cluster, program_environment(cluster), tmp_path, keep=False) as world:
        expected = await all_undisturbed(world)
        points = [point for story, outcome in expected.items() for point in points_of(story, outcome.calls)]
        campaign = Campaign(world, expected, PARALLEL, told.append, save=lambda _: None)
        await campaign.run(sampled(points, POINTS, SEED), TOGETHER, SEED)

    assert campaign.failed == {}, told
    assert len(campaign.passed) > POINTS // 2
