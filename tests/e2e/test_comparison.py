"""Comparisons with the stable version on real parts: what both suffer aborts nothing, what one suffers does."""

import pytest

from demo.behaviour import Behaviour
from serinus.api.rollout_status import Phase, RollbackReason
from support.e2e.fixtures import BAD, GOOD, STABLE
from support.e2e.manifests import backend_of, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import Place, shares_seen

SLOWER = "latency_p95 > 1.2x stable"
FAILS_MORE = "error_rate > stable + 1%"
PLAN = (
    staging(),
    canary("10s", traffic="30%", abortOn=[SLOWER, FAILS_MORE]),
    # At 100 % there is nothing to compare with.
    production("3s", abortOn=["error_rate > 50%"]),
)


@pytest.mark.parametrize(
    ("fault", "broken"),
    [(Behaviour(latency_seconds=0.9), SLOWER), (Behaviour(failing_share=0.2), FAILS_MORE)],
    ids=["slower", "fails more often"],
)
async def test_a_version_that_is_worse_than_the_stable_one_is_rolled_back(
    operator: OperatorControl, place: Place, fault: Behaviour, broken: str
) -> None:
    await place.stand(PLAN, STABLE, BAD)
    await place.servers[BAD].behave(fault)
    async with place.traffic(), place.watching("HTTPRoute") as routes:
        await place.want(BAD)
        status = await place.until_ended(BAD)

    assert status.rollback is not None
    assert (status.rollback.reason, status.rollback.condition) == (RollbackReason.METRIC_BREACHED, broken)
    assert shares_seen(routes, backend_of(BAD)) == [0, 30, 0]


async def test_an_outage_that_both_versions_suffer_aborts_no_good_one(operator: OperatorControl, place: Place) -> None:
    await place.stand(PLAN, STABLE, GOOD)
    async with place.traffic(), place.watching("HTTPRoute") as routes:
        for version in (STABLE, GOOD):
            await place.servers[version].behave(Behaviour(failing_share=0.2, latency_seconds=0.3, slow_share=0.5))
        await place.want(GOOD)
        status = await place.until_ended(GOOD)

    assert (status.phase, status.rollback) == (Phase.HEALTHY, None)
    assert shares_seen(routes, backend_of(GOOD)) == [0, 30, 100]
