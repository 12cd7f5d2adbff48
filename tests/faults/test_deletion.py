"""A Rollout that is deleted in mid-canary leaves no bad version with traffic, whoever runs at that moment."""

import re
from pathlib import Path
from typing import Any

from aiohttp import web

from demo.behaviour import Behaviour
from demo.observe import wait_for
from localcluster.api import ApiError
from serinus.api.names import FINALIZER
from serinus.api.rollout_status import StageState
from support.e2e.apiproxy import undisturbed
from support.e2e.exposure import after_the_last_exposure, agrees, now_sent, reached
from support.e2e.fixtures import BAD, STABLE, operator_behind_proxy
from support.e2e.manifests import MODEL, canary, production, staging
from support.e2e.operator import OperatorControl
from support.e2e.place import LONG, SOON, Place, condition


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


async def recorded(place: Place) -> list[str]:
    records = await place.all("AuditRecord")
    return [record["spec"]["event"] for record in sorted(records, key=lambda record: record["spec"]["sequence"])]


async def test_a_bad_versions_rollout_that_is_deleted_in_mid_canary_is_drained_and_recorded_before_it_goes(
    operator: OperatorControl, place: Place
) -> None:
    await in_canary(place)
    async with place.traffic() as log, place.watching("HTTPRoute") as routes:
        await place.servers[BAD].behave(Behaviour(failing_share=1.0))
        await delete(place)
        await until_gone(place, within=SOON)
        afterwards = await after_the_last_exposure(place, log, routes, BAD)

    assert reached(afterwards, BAD) == []
    assert [record for record in afterwards if record.failed] == []
    # Either the deletion or the breach came first.
    assert (await recorded(place))[-1] in {"RunCancelled", "RolledBack"}


async def test_a_rollout_that_is_deleted_while_no_operator_runs_waits_for_the_next_one_and_is_drained_by_it(
    operator: OperatorControl, place: Place
) -> None:
    await in_canary(place)
    async with place.traffic() as log, place.watching("HTTPRoute") as routes:
        await operator.kill()
        await place.servers[BAD].behave(Behaviour(failing_share=1.0))
        await delete(place)
        assert (await place.get("Rollout"))["metadata"]["finalizers"] == [FINALIZER]
        agrees(await place.status(), await now_sent(log))
        await operator.start()
        await until_gone(place, within=LONG)
        afterwards = await after_the_last_exposure(place, log, routes, BAD)

    assert reached(afterwards, BAD) == []
    assert [record for record in afterwards if record.failed] == []
    assert (await recorded(place))[-1] == "RunCancelled"


async def test_a_rollout_that_is_deleted_while_the_registry_refuses_every_write_is_drained_and_waits_to_be_recorded(
    place: Place, tmp_path: Path
) -> None:
    async with operator_behind_proxy(place.cluster, tmp_path) as (operator, proxy):
        await operator.start()
        await in_canary(place)
        async with place.traffic() as log, place.watching("HTTPRoute") as routes:
            proxy.disturb = refuse_records
            await place.servers[BAD].behave(Behaviour(failing_share=1.0))
            await delete(place)
            afterwards = await after_the_last_exposure(place, log, routes, BAD)
            # It is there still, and says what clients see.
            status = await place.until(
                lambda seen: condition(seen.status, "TrafficConfirmed")[0] == "True", within=SOON, what="the truth"
            )
            agrees(status, await now_sent(log))
            assert (await place.get("Rollout"))["metadata"]["finalizers"] == [FINALIZER]
            assert status.records
            proxy.disturb = undisturbed
            await until_gone(place, within=LONG)

    assert reached(afterwards, BAD) == []
    assert [record for record in afterwards if record.failed] == []
    assert status.summary.startswith(f"Serving {STABLE} at 100%"), status.summary
    assert (await recorded(place))[-1] in {"RunCancelled", "RolledBack"}


async def refuse_records(request: web.Request, _: bytes) -> web.Response | None:
    """Refuse what the registry writes, as a policy engine may."""
    if request.method == "GET" or not re.search("/(auditrecords|models)", request.path):
        return None
    body = {"kind": "Status", "status": "Failure", "reason": "Forbidden", "code": 403, "message": "a policy forbids it"}
    return web.json_response(body, status=403)
