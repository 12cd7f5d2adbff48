"""The kinds of routes whose CRDs the local cluster does not have by itself."""

from contextlib import suppress
from functools import partial
from http import HTTPStatus
from typing import Final

import pytest_asyncio

from localcluster.api import Api, ApiError, Manifest
from localcluster.client import Cluster
from localcluster.programs import crds
from support.kube.client import eventually

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
