"""The fence around the writes of a process that is cut off from its Lease, and from nothing else, in mid-retry."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiohttp import web

from localcluster.client import Cluster
from serinus.api.modelversion import BackendRef
from serinus.api.names import ObjectKey
from serinus.api.quantities import WEIGHT_SCALE
from serinus.api.route import RouteKind, RuleId
from serinus.engine.rollout.actions import BackendShare, SetWeights
from serinus.errors import NotLeaderError
from serinus.kube.client import KubernetesClient
from serinus.kube.fence import fence_of
from serinus.kube.lease import LeaseElection, LeaseTimes
from serinus.kube.raw import metadata_of
from serinus.kube.status import ApiStatusWriter
from serinus.routers.gateway_api import GatewayApiRouter
from support.e2e.apiproxy import ApiProxy, api_proxy
from support.e2e.fixtures import program_environment
from support.kube.client import SystemClock, create
from support.kube.objects import backend_ref, http_route, without_identity
from support.manifests.builders import model_version

QUICK = LeaseTimes(duration=3.0, renew_every=0.3, call=0.5, give_up=2.0, retry_every=0.1)
SLOW_ANSWER = 0.25
"""Seconds: 20 tries take 5, longer than the Lease lasts."""

BACKEND = BackendRef(name="fraud-v1", port=80)
TO_SAFETY = SetWeights(
    route=RuleId(RouteKind.HTTP_ROUTE, "fraud-detector", "predict"),
    shares=(BackendShare(BACKEND, WEIGHT_SCALE),),
    ours=frozenset(),
    towards_safety=True,
)


def refused(code: int, reason: str, **headers: str) -> web.Response:
    body = {"kind": "Status", "status": "Failure", "reason": reason, "code": code, "message": "not now"}
    return web.json_response(body, status=code, headers=headers)


@dataclass(slots=True)
class Cut:
    """A leader that goes through the proxy; its renewals hang from ``begin`` on, and each of its writes is refused."""

    proxy: ApiProxy
    client: KubernetesClient
    first: LeaseElection
    second: LeaseElection

    def begin(self, refuse: Callable[[], Awaitable[web.Response]]) -> None:
        async def disturb(request: web.Request, _: bytes) -> web.StreamResponse | None:
            if "/leases/" in request.path:
                await asyncio.Event().wait()
            return None if request.method == "GET" else await refuse()

        self.proxy.disturb = disturb

    async def until_the_other_leads(self) -> int:
        """Return how many requests the first one has sent by then."""
        await asyncio.wait_for(self.second.elected(), 60)
        assert self.first.epoch is None
        return len(self.proxy.asked)


@pytest.fixture
async def cut(cluster: Cluster, api: KubernetesClient, namespace: str, tmp_path: Path) -> AsyncIterator[Cut]:
    async with (
        api_proxy(cluster, program_environment(cluster), tmp_path) as proxy,
        await KubernetesClient.open(proxy.kubeconfig) as client,
    ):
        key = ObjectKey(namespace, "serinus")
        first = LeaseElection(client, SystemClock(), key, "first", times=QUICK)
        second = LeaseElection(api, SystemClock(), key, "second", times=QUICK)
        client.fence(fence_of(first))
        tasks = [asyncio.create_task(first.run())]
        await asyncio.wait_for(first.elected(), 60)
        tasks.append(asyncio.create_task(second.run()))
        yield Cut(proxy, client, first, second)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def test_a_deposed_leaders_loop_of_retries_ends_before_another_leads(
    cut: Cut, api: KubernetesClient, namespace: str
) -> None:
    rule = {"name": "predict", "backendRefs": [backend_ref("fraud-v1", 1)]}
    await create(api, without_identity(http_route(rule)), "httproutes", namespace)

    async def conflict() -> web.Response:
        await asyncio.sleep(SLOW_ANSWER)
        return refused(409, "Conflict")

    cut.begin(conflict)
    writing = asyncio.create_task(GatewayApiRouter(cut.client).set_weights(namespace, TO_SAFETY))
    asked = await cut.until_the_other_leads()
    with pytest.raises(NotLeaderError):
        await writing
    assert cut.proxy.writes(asked) == []
    assert len(cut.proxy.writes()) > 1


async def test_a_write_that_the_api_server_was_too_busy_for_is_not_tried_again_by_a_deposed_leader(
    cut: Cut, api: KubernetesClient, namespace: str
) -> None:
    """The client itself tries again, beneath every loop of the operator."""
    manifest = model_version()
    meta = metadata_of(await create(api, manifest, "modelversions", namespace)).meta

    async def too_busy() -> web.Response:
        return refused(429, "TooManyRequests", **{"Retry-After": "5"})

    cut.begin(too_busy)
    writing = asyncio.create_task(ApiStatusWriter(cut.client).write_model_version(meta, stage="Staging", traffic="0%"))
    asked = await cut.until_the_other_leads()
    with pytest.raises(NotLeaderError):
        await writing
    assert cut.proxy.writes(asked) == []
    assert len(cut.proxy.writes()) == 1
