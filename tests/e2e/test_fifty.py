"""Fifty rollouts at once on one operator: each ends as it should, and they cost Prometheus no more than one does."""

import asyncio
import json
import re
from collections.abc import Mapping

import aiohttp

from demo.behaviour import Behaviour
from demo.observe import wait_for
from serinus.api.rollout_status import Phase
from support.e2e.fixtures import BAD, GOOD, SPARE
from support.e2e.load import traffic_to
from support.e2e.manifests import Manifest, backend_of, canary, production, staging, weights_in
from support.e2e.many import NEW, OLD, Model, until_all
from support.e2e.operator import OperatorControl
from support.e2e.place import LONG, Place

MODELS = 50
# 4 requests a second for each route: at 20 % a candidate has its 8 requests after 10 s.
RATE = 4.0 * MODELS
PLAN = (staging(), canary("8s", traffic="20%", minRequests=8), production("3s", minRequests=10))
MOST_QUERIES_PER_TICK = 8.0
"""All rollouts share them: the requests by response, the latency buckets, the requests that ended (for the guards), the
series' freshness and what is displayed; the buckets' bounds are read in the place of the last (metrics.reader). Of the
first three, the backends whose counters are new are asked about once more at some ticks."""
RECEIVED = r"prometheus_http_requests_total\{"

KINDS = ((GOOD, Phase.HEALTHY), (BAD, Phase.ROLLED_BACK), (GOOD, Phase.HEALTHY), (SPARE, Phase.ROLLED_BACK))
"""By which process the new version is served, and how its run must end."""


def fifty() -> dict[Model, Phase]:
    """Half of them good, a quarter failing, a quarter slow; how the run of each must end."""
    kinds = ((number, *KINDS[number % 4]) for number in range(MODELS))
    return {Model(f"model-{number:02}", process): expected for number, process, expected in kinds}


async def test_fifty_rollouts_at_once_end_as_planned_for_the_queries_of_one(
    operator: OperatorControl, place: Place
) -> None:
    models = fifty()
    await asyncio.gather(*(model.stand(place, PLAN) for model in models))
    await until_all(place, models.keys(), lambda status: status.phase is Phase.HEALTHY, within=LONG, what="adopted")
    await place.servers[BAD].behave(Behaviour(failing_share=1.0))
    await place.servers[SPARE].behave(Behaviour(latency_seconds=0.9))

    hostnames = [model.hostname(place.namespace) for model in models]
    async with traffic_to(place.cluster.gateway_url, hostnames, RATE) as load:
        await wait_for(
            lambda: answered(load.statuses), lambda good: good >= 2 * MODELS, within=LONG, what="answers of all routes"
        )
        before = await asked_so_far(place, operator)
        await asyncio.gather(*(model.want_the_new_version(place) for model in models))
        ended = {Phase.HEALTHY, Phase.ROLLED_BACK}
        statuses = await until_all(
            place, models.keys(), lambda status: status.run == 1 and status.phase in ended, within=180, what="the end"
        )
        after = await asked_so_far(place, operator)

    assert {name: status.phase for name, status in statuses.items()} == {m.name: models[m] for m in models}
    ticks, instant, ranged = (now - then for now, then in zip(after, before, strict=True))
    # The readings are not in step with the ticks: in so many ticks' time one more may have begun.
    assert instant <= MOST_QUERIES_PER_TICK * (ticks + 1), f"{instant:g} queries in {ticks:g} ticks"
    # Range queries read what no tick of this process has followed: the past after a restart or an outage, and the hour
    # before the first stage where it does not set ``burst``. Here is none of these, however late a status is stored.
    assert ranged == 0, f"{ranged:g} range queries"
    assert load.statuses[0] == 0
    await the_traffic_is_where_it_should_be(place, models)
    await nothing_is_left_on_the_objects(place)


async def asked_so_far(place: Place, operator: OperatorControl) -> tuple[float, float, float]:
    """The operator's ticks, and the instant and range queries that Prometheus has received by its own count."""
    async with aiohttp.ClientSession() as session, session.get(f"{place.cluster.prometheus_url}/metrics") as answer:
        page = await answer.text()
    instant, ranged = (
        sum(
            float(value)
            for value in re.findall(rf'^{RECEIVED}[^}}]*handler="{path}"[^}}]*}} (\S+)$', page, re.MULTILINE)
        )
        for path in ("/api/v1/query", "/api/v1/query_range")
    )
    return await operator.counter("serinus_metric_ticks_total"), instant, ranged


async def answered(statuses: dict[int, int]) -> int:
    return statuses.get(200, 0)


async def the_traffic_is_where_it_should_be(place: Place, models: Mapping[Model, Phase]) -> None:
    routes: dict[str, Manifest] = {raw["metadata"]["name"]: raw for raw in await place.all("HTTPRoute")}
    for model, expected in models.items():
        serving = NEW if expected is Phase.HEALTHY else OLD
        weights = weights_in(routes[model.name])
        assert {name for name, weight in weights.items() if weight} == {backend_of(serving, model.name)}


async def nothing_is_left_on_the_objects(place: Place) -> None:
    """Our finalizer goes once the last records are delivered, and kopf has never written anything."""
    await wait_for(
        lambda: place.all("Rollout"),
        lambda raws: not any(raw["metadata"].get("finalizers") for raw in raws),
        within=LONG,
        what="the delivery of all records",
    )
    for kind in ("Rollout", "ModelVersion", "HTTPRoute", "Service", "EndpointSlice"):
        for raw in await place.all(kind):
            assert "kopf" not in json.dumps(raw)
            assert "finalizers" not in raw["metadata"]
