"""Fixtures of the API server's tests, and each kind of route with its CRD."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio

from localcluster.client import Cluster
from serinus.kube.client import KubernetesClient
from support.e2e.fixtures import program_environment
from support.e2e.operator import OperatorControl, setup_in
from support.kube.client import api, cluster, namespace
from support.routers.kinds import kinds
from support.routers.planes import PLANES, Plane

__all__ = ["api", "cluster", "kinds", "namespace"]


@pytest.fixture(params=PLANES)
async def plane(
    request: pytest.FixtureRequest, kinds: None, api: KubernetesClient, namespace: str
) -> AsyncIterator[Plane]:
    """Each kind of route, followed by the stand-in of its controller where no real one runs."""
    plane = PLANES[request.param]
    ended = asyncio.Event()
    standing_in = asyncio.create_task(plane.stand_in(api, namespace, ended))
    yield plane
    ended.set()
    await standing_in


# Not for the whole session: it would reconcile the Rollouts of the tests that come after these.
@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def operator(
    kinds: None, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[OperatorControl]:
    """A running operator with every router switched on."""
    routers = list(dict.fromkeys(plane.kind.field for plane in PLANES.values()))
    # What is said of a subset's requests, which no preset can tell apart.
    queries = {"drift": {"promql": 'max by (version) (drift{namespace="$namespace"})', "groupBy": "version"}}
    source = {"url": cluster.prometheus_url, "scrapeInterval": cluster.settings.scrape_interval, "queries": queries}
    setup = replace(setup_in(cluster), settings={"routers": routers, "sources": {"default": source}})
    control = OperatorControl(program_environment(cluster), setup, tmp_path_factory.mktemp("operator"))
    try:
        await control.start()
        yield control
    finally:
        await control.stop()
