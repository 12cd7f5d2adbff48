"""A Rollout that is deleted in mid-canary leaves no bad version with traffic, whoever runs at that moment."""

from typing import Any

from demo.behaviour import Behaviour
from demo.observe import wait_for
from localcluster.api import ApiError
from serinus.api.names import FINALIZER
from serinus.api.rollout_status import StageState
from support.e2e.fixtures import BAD, STABLE
from support.e2e.manifests import MODEL, backend_of, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import LONG, SOON, Place


async def in_canary(place: Place) -> None:
    await place.stand((staging(), canary("10m"), production()), STABLE, BAD)
    await place.want(BAD)
    await place.until_stage("canary", StageState.ANALYZING)


async def delete(place: Place) -> None:
    await place.kubectl.run(["delete", "mro", MODEL, "-n", place.namespace, "--wait=false"])


async def until_gone(place: Place, *, within: float) -> None:
    async def read() -> dict[str, Any] | None:
        try:
            return await place.get("Rollout")
        except ApiError as problem:
            if problem.status != 404:
                raise
            return None

    await wait_for(read, lambda raw: raw is None, within=within, what="the end of the Rollout")


async def until_drained(place: Place, *, within: float) -> None:
    await wait_for(place.weights, lambda weights: not weights.get(backend_of(BAD)), within=within, what="weight 0")


async def recorded(place: Place) -> list[str]:
    records = await place.all("AuditRecord")
    return [record["spec"]["event"] for record in sorted(records, key=lambda record: record["spec"]["sequence"])]


async def test_a_rollout_that_is_deleted_in_mid_canary_is_drained_and_recorded_before_it_goes(
    operator: OperatorControl, place: Place
) -> None:
    await in_canary(place)
    await delete(place)
    await until_drained(place, within=SOON)
    await until_gone(place, within=SOON)
    assert (await recorded(place))[-1] == "RunCancelled"


async def test_a_rollout_that_is_deleted_while_no_operator_runs_waits_for_the_next_one_and_is_drained_by_it(
    operator: OperatorControl, place: Place
) -> None:
    await in_canary(place)
    async with place.traffic():
        await operator.kill()
        await place.servers[BAD].behave(Behaviour(failing_share=1.0))
        await delete(place)
        waiting = await place.get("Rollout")
        assert waiting["metadata"]["finalizers"] == [FINALIZER]
        await operator.start()
        await until_drained(place, within=SOON)
        await until_gone(place, within=LONG)
        counted = await place.counted(BAD)
        before = await place.counted(STABLE)
        await wait_for(lambda: place.counted(STABLE), lambda now: now >= before + 200, within=SOON, what="200 requests")
        assert await place.counted(BAD) <= counted + 5, "requests that Envoy had already taken in"
    assert (await recorded(place))[-1] == "RunCancelled"
