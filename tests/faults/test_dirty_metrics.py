"""Metrics that are dirty, incomplete or late, in mid-canary: no weight changes for them, and nothing bad stays."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from demo.behaviour import Behaviour
from demo.observe import wait_for
from localcluster.client import Cluster
from serinus.api.names import Command
from serinus.api.rollout_status import Phase, RollbackReason, RolloutStatus, RunResult, StageState
from support.e2e.fixtures import BAD, GOOD, STABLE, program_environment
from support.e2e.load import traffic_to
from support.e2e.manifests import (
    ERRORS,
    MODEL,
    backend_of,
    backend_ref,
    canary,
    envoy_cluster_of,
    production,
    route,
    rule,
    staging,
)
from support.e2e.operator import OperatorControl, setup_in
from support.e2e.place import LONG, SOON, Place, condition, shares_seen
from support.e2e.scraping import DippingScrapes, Scraping, dipping, scraping
from support.e2e.watch import Seen, watching
from support.servers.faultproxy import Change, Fault, FaultProxy, Hang, Pass, Request

FAILING = Behaviour(failing_share=1.0)
PLAN = (staging(), canary("30s"), production("3s"))

WELL_COUNTED = 50
"""Requests of the candidate after which the ticks surely count: those soon after a rollback do not."""

MANY_FAILURES = 50
"""A version that was charged with these in its second run would be rolled back at once."""

UNSEEN = 60
"""Requests of the candidate in twelve seconds, longer than the canary of that test."""

FEW_TICKS = 50
"""Requests of the candidate in ten ticks."""

FEW = 20
"""Requests of the candidate in four ticks, too few for a canary of 10 s to end."""


@pytest.fixture
async def scrapes(cluster: Cluster) -> AsyncIterator[Scraping]:
    async with scraping(cluster) as control:
        yield control


@pytest.fixture
async def prometheus(cluster: Cluster) -> AsyncIterator[FaultProxy]:
    parts = urlsplit(cluster.prometheus_url)
    async with FaultProxy(parts.hostname or "", parts.port or 80) as proxy:
        yield proxy


@pytest.fixture
async def behind_proxy(
    cluster: Cluster, place: Place, prometheus: FaultProxy, tmp_path: Path
) -> AsyncIterator[OperatorControl]:
    """An operator that reaches Prometheus through the proxy."""
    setup = replace(setup_in(cluster), prometheus_url=prometheus.url)
    control = OperatorControl(program_environment(cluster), setup, tmp_path)
    try:
        await control.start()
        yield control
    finally:
        await control.stop()


def watching_route(place: Place) -> AbstractAsyncContextManager[Seen]:
    """Watch the Rollout's own route."""
    return watching(place.api, place.path("HTTPRoute"), fieldSelector=f"metadata.name={MODEL}")


async def more_requests(place: Place, version: str, number: int) -> None:
    """Wait until Envoy has counted so many more requests to a version."""
    before = await place.counted(version)

    async def look() -> int:
        return await place.counted(version) - before

    await wait_for(look, lambda more: more >= number, within=LONG, what=f"{number} more requests to {version}")


async def mended_and_retried(place: Place) -> None:
    """Roll a bad version back, mend it, retry it, and come to the middle of its canary: its counters have failures."""
    await place.servers[BAD].behave(FAILING)
    await served_before(place, BAD, MANY_FAILURES)
    await place.want(BAD)
    first = await place.until_ended(BAD)
    assert first.rollback is not None
    assert first.rollback.condition == ERRORS
    await place.servers[BAD].behave(Behaviour())
    await place.annotate(Command.RETRY, "the cache was mended")
    await place.until(lambda seen: seen.status.run == 2, within=SOON, what="run 2")
    await place.until_stage("canary", StageState.ANALYZING)
    await more_requests(place, BAD, WELL_COUNTED)


def promoted_at_the_second_run(status: RolloutStatus, routes: Seen) -> None:
    assert (status.phase, status.run, status.rollback) == (Phase.HEALTHY, 2, None)
    assert [past.result for past in status.history] == [RunResult.PROMOTED, RunResult.ROLLED_BACK]
    assert shares_seen(routes, backend_of(BAD)) == [0, 5, 0, 5, 100]


def causes(status: dict[str, Any]) -> dict[str, str]:
    """The messages of a status's evidence, by cause."""
    return {one["cause"]: one["message"] for one in status.get("evidence", []) if one.get("cause")}


def in_canary(status: dict[str, Any]) -> bool:
    return (status["phase"], status["stage"]["name"]) == (Phase.PROGRESSING.value, "canary")


async def dipped_once_more(scrapes: DippingScrapes, rollouts: Seen) -> str:
    """Dip until a tick has seen it, which one between two ticks is not; return what the status said of it."""
    after = len(rollouts.states)

    async def look() -> list[str]:
        statuses = [raw["status"] for _, raw in rollouts.states[after:]]
        assert all(in_canary(one) for one in statuses), statuses[-1]["summary"]
        said = [causes(one).get("Ambiguous", "") for one in statuses]
        if not any(said):
            scrapes.dip()
        return [message for message in said if message]

    return (await wait_for(look, bool, within=SOON, what="an ambiguous tick"))[0]


async def test_a_counter_that_dips_by_one_does_not_bring_back_the_failures_of_an_earlier_run(
    operator: OperatorControl, place: Place, scrapes: Scraping
) -> None:
    await place.stand(PLAN, STABLE, BAD)
    async with (
        dipping(envoy_cluster_of(place.namespace, BAD)) as (dips, proxy),
        place.traffic(),
        watching_route(place) as routes,
        place.watching("Rollout") as rollouts,
    ):
        await scrapes.through(proxy)
        await mended_and_retried(place)
        message = await dipped_once_more(dips, rollouts)
        status = await place.until_ended(BAD)

    assert dip_in(message) == 1, message
    promoted_at_the_second_run(status, routes)


def dip_in(message: str) -> int:
    """By how much the counters fell, as the message says."""
    found = re.search(
        r"counters that fell from ([\d,]+) to ([\d,]+), while at most [\d,]+ requests are plausible", message
    )
    assert found, message
    before, after = (int(figure.replace(",", "")) for figure in found.groups())
    return before - after


async def served_before(place: Place, version: str, requests: int) -> None:
    """Let a version answer requests over a route of its own, as a model that two teams use."""
    hostname = f"other.{place.hostname}"
    direct = rule("other", backend_ref(backend_of(version), 1))
    await place.create(route(place.namespace, hostname, direct, model="other"))
    async with traffic_to(place.cluster.gateway_url, [hostname], 200.0):
        await more_requests(place, version, requests)


async def test_a_counter_that_dips_by_one_does_not_make_up_for_missing_requests(
    operator: OperatorControl, place: Place, scrapes: Scraping
) -> None:
    await place.stand((staging(), canary("2s", minRequests=400), production("3s")), STABLE, GOOD)
    await served_before(place, GOOD, 500)
    async with (
        dipping(envoy_cluster_of(place.namespace, GOOD)) as (dips, proxy),
        place.traffic(),
        place.watching("Rollout") as rollouts,
    ):
        await scrapes.through(proxy)
        # Some scrapes later no tick of the stage reaches back to what was served before.
        await more_requests(place, STABLE, 500)
        earlier = await place.counted(GOOD)
        await place.want(GOOD)
        await place.until_stage("canary", StageState.ANALYZING)
        await more_requests(place, GOOD, 20)
        message = await dipped_once_more(dips, rollouts)
        held = await place.until(lambda seen: seen.status.reason == "TooFewRequests", what="TooFewRequests")
        of_the_stage = await place.counted(GOOD) - earlier

    assert dip_in(message) == 1, message
    assert held.stage is not None
    assert (held.stage.name, held.stage.state, held.rollback) == ("canary", StageState.ANALYZING, None)
    assert await place.weights() == {backend_of(STABLE): 9500, backend_of(GOOD): 500}
    # A dip by one makes the growth after it greater by one.
    assert all(one.requests <= of_the_stage + dips.dips for one in held.evidence), (held.evidence, of_the_stage)


@pytest.mark.parametrize("labels", [{"node": "worker-1"}, {"instance": "envoy-0"}], ids=["a new label", "a new name"])
async def test_relabelled_targets_do_not_bring_back_the_failures_of_an_earlier_run(
    operator: OperatorControl, place: Place, scrapes: Scraping, labels: dict[str, str]
) -> None:
    await place.stand(PLAN, STABLE, BAD)
    async with place.traffic(), watching_route(place) as routes:
        await mended_and_retried(place)
        await scrapes.relabel(**labels)
        status = await place.until_ended(BAD)

    promoted_at_the_second_run(status, routes)


async def test_an_emptied_prometheus_does_not_bring_back_the_failures_of_an_earlier_run(
    operator: OperatorControl, place: Place, scrapes: Scraping
) -> None:
    await place.stand(PLAN, STABLE, BAD)
    async with place.traffic(), watching_route(place) as routes:
        await mended_and_retried(place)
        scrapes.restart_empty()
        status = await place.until_ended(BAD)

    promoted_at_the_second_run(status, routes)


def without_failures(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer of a store of which a part, with the series of the failures, did not answer."""
    rows = answer["data"]["result"]
    kept = [row for row in rows if row["metric"].get("envoy_response_code_class") != "5"]
    return answer | {"isPartial": True, "data": answer["data"] | {"result": kept}}


@pytest.mark.parametrize("measured", [FEW, 0], ids=["in the middle of a stage", "from before a stage"])
async def test_failures_that_an_incomplete_answer_leaves_out_are_counted_once_it_is_complete(
    behind_proxy: OperatorControl, place: Place, prometheus: FaultProxy, measured: int
) -> None:
    await place.stand((staging(), canary("10s"), production("3s")), STABLE, BAD)
    async with place.traffic(), watching_route(place) as routes:
        if measured == 0:
            prometheus.always(Change(without_failures))
        await place.want(BAD)
        await place.until_stage("canary", StageState.ANALYZING)
        await more_requests(place, BAD, max(measured, 1))
        prometheus.always(Change(without_failures))
        await place.servers[BAD].behave(Behaviour(failing_share=0.5))
        await place.until(
            lambda seen: condition(seen.status, "MetricsAvailable") == ("False", "ProviderDown"),
            what="MetricsAvailable=False",
        )
        # A source that is believed lets the version pass meanwhile.
        await more_requests(place, BAD, UNSEEN)
        held = await place.status()
        await place.servers[BAD].behave(Behaviour())
        await more_requests(place, BAD, 5)
        prometheus.always(Pass())
        status = await place.until_ended(BAD)

    assert "warns that its answer may be incomplete" in held.next_action, held.next_action
    assert held.stage is not None
    assert (held.stage.name, held.stage.state, held.rollback) == ("canary", StageState.ANALYZING, None)
    assert status.rollback is not None
    assert (status.rollback.condition, status.rollback.reason) == (ERRORS, RollbackReason.METRIC_BREACHED)
    assert UNSEEN <= status.rollback.requests <= await place.counted(BAD)
    assert shares_seen(routes, backend_of(BAD)) == [0, 5, 0]


def range_queries_hang(request: Request) -> Fault:
    return Hang() if request.path.endswith("/query_range") else Pass()


async def test_a_restarted_operator_whose_range_queries_hang_sees_a_version_turn_bad(
    behind_proxy: OperatorControl, place: Place, prometheus: FaultProxy
) -> None:
    await place.stand((staging(), canary("10s"), production("3s")), STABLE, BAD)
    async with place.traffic(), watching_route(place) as routes:
        await place.want(BAD)
        await place.until_stage("canary", StageState.ANALYZING)
        await more_requests(place, BAD, 20)
        await behind_proxy.kill()
        prometheus.plan = range_queries_hang
        await behind_proxy.start()
        held = await place.until(lambda seen: seen.status.reason == "ProviderDown", what="a past that is not read")
        await place.servers[BAD].behave(FAILING)
        status = await place.until_ended(BAD)

    assert "could not be read again" in held.next_action, held.next_action
    assert "a breach from now on is found all the same" in held.next_action, held.next_action
    assert status.rollback is not None
    assert (status.rollback.condition, status.rollback.reason) == (ERRORS, RollbackReason.METRIC_BREACHED)
    assert status.rollback.requests <= FEW_TICKS
    assert shares_seen(routes, backend_of(BAD)) == [0, 5, 0]
