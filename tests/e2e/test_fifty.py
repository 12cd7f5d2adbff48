"""Fifty rollouts at once on one operator: each ends as it should, and they cost Prometheus no more than one does."""

import asyncio
import json
import re
from collections.abc import Callable
from dataclasses import dataclass

import aiohttp

from demo.behaviour import Behaviour
from demo.observe import wait_for
from serinus.api.names import FINALIZER
from serinus.api.parsing import decode
from serinus.api.rollout_status import Phase, RolloutStatus
from support.e2e.fixtures import BAD, GOOD, SPARE, STABLE
from support.e2e.load import traffic_to
from support.e2e.manifests import (
    Manifest,
    backend_of,
    canary,
    endpoints,
    model_version,
    production,
    rollout,
    route,
    service,
    staging,
    weights_in,
)
from support.e2e.manifests import model as policy
from support.e2e.operator import OperatorControl
from support.e2e.place import Place

MODELS = 50
OLD, NEW = "1.0.0", "2.0.0"
# 4 requests a second for each route: at 20 % a candidate has its 8 requests after 10 s.
RATE = 4.0 * MODELS
PLAN = (staging(), canary("8s", traffic="20%", minRequests=8), production("3s", minRequests=10))
MOST_QUERIES_PER_TICK = 4.0
RECEIVED = r"prometheus_http_requests_total\{"


@dataclass(frozen=True, slots=True)
class Model:
    """One of the fifty: which of the shared processes serves its new version, and how its run must end."""

    name: str
    process: str
    expected: Phase

    def hostname(self, namespace: str) -> str:
        return f"{self.name}.{namespace}.local"


def fifty() -> list[Model]:
    """Half of them good, a quarter failing, a quarter slow."""
    kinds = ((GOOD, Phase.HEALTHY), (BAD, Phase.ROLLED_BACK), (GOOD, Phase.HEALTHY), (SPARE, Phase.ROLLED_BACK))
    return [Model(f"model-{number:02}", *kinds[number % 4]) for number in range(MODELS)]


async def test_fifty_rollouts_at_once_end_as_planned_for_the_queries_of_one(
    operator: OperatorControl, place: Place
) -> None:
    models = fifty()
    await asyncio.gather(*(stand(place, model) for model in models))
    await until_all(place, models, lambda status: status.phase is Phase.HEALTHY, within=60, what="adopted")
    await place.servers[BAD].behave(Behaviour(failing_share=1.0))
    await place.servers[SPARE].behave(Behaviour(latency_seconds=0.9))

    hostnames = [model.hostname(place.namespace) for model in models]
    async with traffic_to(place.cluster.gateway_url, hostnames, RATE) as load:
        await wait_for(
            lambda: answered(load.statuses), lambda good: good >= 2 * MODELS, within=30, what="answers of all routes"
        )
        before = await asked_so_far(place, operator)
        await asyncio.gather(*(want(place, model) for model in models))
        ended = {Phase.HEALTHY, Phase.ROLLED_BACK}
        statuses = await until_all(
            place, models, lambda status: status.run == 1 and status.phase in ended, within=180, what="the end"
        )
        after = await asked_so_far(place, operator)

    assert {name: status.phase for name, status in statuses.items()} == {m.name: m.expected for m in models}
    ticks, instant, ranged = (now - then for now, then in zip(after, before, strict=True))
    # The readings are not in step with the ticks: in so many ticks' time one more may have begun.
    assert instant <= MOST_QUERIES_PER_TICK * (ticks + 1), f"{instant:g} queries in {ticks:g} ticks"
    # What no tick has followed is read by range queries; they are made up for in the ticks that follow.
    assert instant + ranged <= MOST_QUERIES_PER_TICK * (ticks + 2), f"{instant + ranged:g} queries in {ticks:g} ticks"
    assert load.statuses[0] == 0
    await the_traffic_is_where_it_should_be(place, models)
    await kopf_has_written_nothing(place)


async def stand(place: Place, model: Model) -> None:
    """Serve both versions and let the route give everything to the old one."""
    await place.create(policy(place.namespace, model.name))
    for version, process in ((OLD, STABLE), (NEW, model.process)):
        name = backend_of(version, model.name)
        await place.create(service(place.namespace, name))
        await place.create(endpoints(place.namespace, name, place.servers[process].address))
        await place.create(model_version(place.namespace, version, model.name))
    await place.create(route(place.namespace, model.hostname(place.namespace), model=model.name, stable=OLD))
    await place.create(rollout(place.namespace, OLD, PLAN, model=model.name))


async def want(place: Place, model: Model) -> None:
    await place.api.merge(f"{place.path('Rollout')}/{model.name}", {"spec": {"version": NEW}})


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


async def until_all(
    place: Place, models: list[Model], fits: Callable[[RolloutStatus], bool], *, within: float, what: str
) -> dict[str, RolloutStatus]:
    """Wait until the status of every Rollout fits, and return them by name."""

    async def look() -> dict[str, RolloutStatus]:
        found = await place.all("Rollout")
        return {raw["metadata"]["name"]: decode(RolloutStatus, raw.get("status", {}), "status") for raw in found}

    return await wait_for(
        look,
        lambda seen: len(seen) == len(models) and all(fits(status) for status in seen.values()),
        within=within,
        what=f"fifty times {what}",
        describe=lambda seen: "; ".join(f"{name} {one.phase}" for name, one in seen.items() if not fits(one)),
        every=0.5,
    )


async def the_traffic_is_where_it_should_be(place: Place, models: list[Model]) -> None:
    routes: dict[str, Manifest] = {raw["metadata"]["name"]: raw for raw in await place.all("HTTPRoute")}
    for model in models:
        serving = NEW if model.expected is Phase.HEALTHY else OLD
        weights = weights_in(routes[model.name])
        assert {name for name, weight in weights.items() if weight} == {backend_of(serving, model.name)}


async def kopf_has_written_nothing(place: Place) -> None:
    for kind in ("Rollout", "ModelVersion", "HTTPRoute", "Service", "EndpointSlice"):
        for raw in await place.all(kind):
            assert "kopf" not in json.dumps(raw)
            # Our own goes once the last records are delivered.
            assert set(raw["metadata"].get("finalizers", [])) <= {FINALIZER}
