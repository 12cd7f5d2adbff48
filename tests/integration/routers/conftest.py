"""Fixtures of the API server's tests, and each kind of route with its CRD."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from http import HTTPStatus
from typing import Final

import pytest
import pytest_asyncio

from localcluster.api import Api, ApiError, Manifest
from localcluster.client import Cluster
from localcluster.programs import crds
from serinus.kube.client import KubernetesClient
from support.e2e.fixtures import program_environment
from support.e2e.operator import OperatorControl, setup_in
from support.kube.client import api, cluster, eventually, namespace
from support.routers.planes import PLANES, Plane

__all__ = ["api", "cluster", "namespace"]

_CRDS: Final = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def kinds(cluster: Cluster) -> None:
    """The CRDs of all kinds of routes, from the modules of their projects."""
    manifests = [*crds.of_istio(), *crds.of_kserve(), *crds.of_inference_pools()]
    async with Api(cluster.kubeconfig) as client:
        # One by one: that of KServe has two megabytes, which a busy API server takes long to take in.
        for manifest in manifests:
            await eventually(partial(_established, client, manifest), why="a CRD", within=180)


async def _established(client: Api, manifest: Manifest) -> bool:
    """Create a CRD where it does not exist: to apply two megabytes to what is there takes half a minute."""
    try:
        current = await client.request("GET", f"{_CRDS}/{manifest['metadata']['name']}")
    except ApiError as problem:
        if problem.status != HTTPStatus.NOT_FOUND:
            raise
        with suppress(TimeoutError, ApiError):  # it may have been created all the same
            await client.request("POST", _CRDS, manifest)
        return False
    except TimeoutError:
        return False
    return crds.is_true(current, "Established")


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
