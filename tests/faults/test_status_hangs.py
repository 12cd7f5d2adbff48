"""Nothing that is written about a rollback is before the rollback: the status may hang for as long as it likes."""

import asyncio
from pathlib import Path

from aiohttp import web

from demo.behaviour import Behaviour
from demo.observe import wait_for
from serinus.api.rollout_status import Phase, RolloutStatus, StageState
from support.e2e.fixtures import BAD, STABLE, operator_behind_proxy
from support.e2e.load import ManyHosts, traffic_to
from support.e2e.manifests import backend_of, canary, production, staging, weights_in
from support.e2e.many import NEW, Model, statuses_of, until_all
from support.e2e.place import LONG, SOON, Place

MODELS = [Model(f"model-{number:02}", BAD) for number in range(20)]
RATE = 8.0 * len(MODELS)
PLAN = (staging(), canary("10m", traffic="20%"), production())


def in_canary(status: RolloutStatus) -> bool:
    return status.stage is not None and (status.stage.name, status.stage.state) == ("canary", StageState.ANALYZING)


async def exposed(place: Place) -> list[str]:
    """The routes that give the new version any weight."""
    routes = {raw["metadata"]["name"]: weights_in(raw) for raw in await place.all("HTTPRoute")}
    return [name for name, weights in routes.items() if weights.get(backend_of(NEW, name))]


async def failures_stop(load: ManyHosts) -> None:
    """Among 400 answers, sent once Envoy has the routes, there is none of the bad versions."""
    await good_answers(load, RATE)
    failed = load.statuses[500]
    await good_answers(load, 400)
    assert load.statuses[500] - failed == 0
    assert load.statuses[0] == 0


async def good_answers(load: ManyHosts, number: float) -> None:
    """Wait for so many more."""
    before = load.statuses[200]

    async def more() -> int:
        return load.statuses[200] - before

    await wait_for(more, lambda good: good >= number, within=SOON, what=f"{number:g} good answers")


async def test_twenty_breaches_at_once_end_with_all_routes_at_0_although_no_status_write_is_ever_answered(
    place: Place, tmp_path: Path
) -> None:
    async with operator_behind_proxy(place.cluster, tmp_path) as (operator, proxy):
        hanging, hung = False, 0

        async def hang_status(request: web.Request, _: bytes) -> None:
            nonlocal hung
            if hanging and request.method != "GET" and request.path.endswith("/status"):
                hung += 1
                await asyncio.Event().wait()

        proxy.disturb = hang_status
        await operator.start()
        await asyncio.gather(*(model.stand(place, PLAN) for model in MODELS))
        await until_all(place, MODELS, lambda status: status.phase is Phase.HEALTHY, within=LONG, what="adopted")
        hostnames = [model.hostname(place.namespace) for model in MODELS]
        async with traffic_to(place.cluster.gateway_url, hostnames, RATE) as load:
            await asyncio.gather(*(model.want_the_new_version(place) for model in MODELS))
            await until_all(place, MODELS, in_canary, within=LONG, what="the canary")
            assert len(await exposed(place)) == len(MODELS)
            hanging = True
            await place.servers[BAD].behave(Behaviour(failing_share=1.0))
            await wait_for(lambda: exposed(place), lambda names: not names, within=SOON, what="all routes at 0")
            unwritten = await statuses_of(place)
            await failures_stop(load)

            hanging = False
            statuses = await until_all(
                place, MODELS, lambda status: status.phase is Phase.ROLLED_BACK, within=LONG, what="RolledBack"
            )
            assert await exposed(place) == []

    assert hung > 0
    assert {name for name, status in unwritten.items() if not in_canary(status)} == set()
    for status in statuses.values():
        assert status.summary.startswith(f"Serving {STABLE} at 100%. {NEW} was rolled back at"), status.summary
