"""Two Rollouts of one route: who has a run keeps the route, and the other one can neither disturb nor protect it."""

from collections.abc import Awaitable, Callable

import pytest

from demo.behaviour import Behaviour
from demo.observe import wait_for
from serinus.api.parsing import decode
from serinus.api.rollout_status import Phase, RolloutStatus, StageState
from support.e2e.exposure import after_the_last_exposure, agrees, reached
from support.e2e.fixtures import BAD, GOOD, STABLE
from support.e2e.manifests import MODEL, Manifest, backend_of, canary, production, rollout, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import SOON, Place, condition, shares_seen

RIVAL = "the-rival"
ELSEWHERE = "another-model"


def rival_of(place: Place) -> Manifest:
    manifest = rollout(place.namespace, GOOD, (staging(), canary("10m"), production()))
    manifest["metadata"]["name"] = RIVAL
    return manifest


def elsewhere(place: Place) -> Manifest:
    """The same, of a model and a route that do not exist."""
    manifest = rival_of(place)
    manifest["spec"]["model"] = ELSEWHERE
    manifest["spec"]["route"]["httpRoute"]["name"] = ELSEWHERE
    return manifest


async def the_rival(place: Place) -> RolloutStatus:
    raw = await place.get("Rollout", RIVAL)
    return decode(RolloutStatus, raw.get("status", {}), "status")


async def appears(place: Place) -> None:
    await place.create(rival_of(place))


async def is_edited(place: Place) -> None:
    """The older one: it was there before the one that has the run."""
    change = {"spec": {"route": rival_of(place)["spec"]["route"]}}
    await place.api.merge(f"{place.path('Rollout')}/{RIVAL}", change)


async def waits(place: Place) -> None:
    """The rival has been reconciled and knows whom it waits for."""

    async def look() -> RolloutStatus:
        return await the_rival(place)

    await wait_for(
        look, lambda status: status.reason == "Conflict", within=SOON, what="the conflict", describe=lambda s: s.reason
    )


@pytest.mark.parametrize("comes", [appears, is_edited], ids=["a newer one appears", "an older one is edited"])
async def test_a_rival_of_a_bad_versions_rollout_does_not_protect_the_version(
    operator: OperatorControl, place: Place, comes: Callable[[Place], Awaitable[None]]
) -> None:
    if comes is is_edited:
        await place.create(elsewhere(place))
    await place.stand((staging(), canary("10m"), production()), STABLE, BAD, GOOD)
    await place.want(BAD)
    await place.until_stage("canary", StageState.ANALYZING)
    async with place.traffic() as log, place.watching("HTTPRoute") as routes:
        await comes(place)
        await waits(place)
        await place.servers[BAD].behave(Behaviour(failing_share=1.0))
        status = await place.until_ended(BAD, within=SOON)
        afterwards = await after_the_last_exposure(place, log, routes, BAD)

    assert reached(afterwards, BAD) == []
    assert [record for record in afterwards if record.failed] == []
    assert shares_seen(routes, backend_of(BAD)) == [5, 0]
    assert shares_seen(routes, backend_of(GOOD)) == [0]
    assert status.rollback is not None
    assert (status.phase, status.rollback.condition) == (Phase.ROLLED_BACK, "error_rate > 0.5%")
    assert status.summary.startswith(f"Serving {STABLE} at 100%. {BAD} was rolled back at"), status.summary
    assert condition(status, "TrafficConfirmed") == ("True", "RouteAccepted")
    agrees(status, afterwards)
    rival = await the_rival(place)
    assert (rival.phase, rival.run, rival.stable) == (Phase.INVALID, 0, None), rival
    assert MODEL in rival.next_action
