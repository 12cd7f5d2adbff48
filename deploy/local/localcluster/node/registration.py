"""The Node object and its heartbeat."""

import asyncio
import os
from datetime import UTC, datetime
from typing import Final

import aiohttp

from localcluster.addresses import KUBELET_PORT, NODE, POD_NETWORK
from localcluster.api import Api, ApiError, Manifest
from localcluster.console import say
from localcluster.node.records import stamp
from localcluster.programs.catalogue import KUBERNETES

NAME: Final = "local"
_HEARTBEAT_SECONDS: Final = 10.0
_LEASE_SECONDS: Final = 40
_CAPACITY: Final = {"pods": "500", "memory": "64Gi", "ephemeral-storage": "100Gi"}


async def register(api: Api) -> None:
    """Create the Node object and report it ready.

    Raises:
        ApiError: The API server rejected it.
    """
    labels = {"kubernetes.io/hostname": NAME, "kubernetes.io/os": "linux", "serinus.dev/local": "true"}
    node = {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NAME, "labels": labels}}
    await api.apply(node | {"spec": {"podCIDR": POD_NETWORK, "podCIDRs": [POD_NETWORK]}})
    await api.merge(f"/api/v1/nodes/{NAME}/status", {"status": _status()})


async def beat(api: Api) -> None:
    """Renew the lease for ever; the controllers mark a node with an expired lease NotReady."""
    while True:
        try:
            await api.apply(_lease())
            await asyncio.sleep(_HEARTBEAT_SECONDS)
        except (ApiError, aiohttp.ClientError, TimeoutError) as error:
            say(f"heartbeat: {error}; retrying")
            await asyncio.sleep(1)


def _lease() -> Manifest:
    spec = {
        "holderIdentity": NAME,
        "leaseDurationSeconds": _LEASE_SECONDS,
        "renewTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    metadata = {"name": NAME, "namespace": "kube-node-lease"}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _status() -> Manifest:
    now = stamp(datetime.now(UTC))
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "the local node is running"}
    resources = _CAPACITY | {"cpu": str(os.cpu_count() or 1)}
    return {
        "capacity": resources,
        "allocatable": resources,
        "conditions": [ready | {"lastHeartbeatTime": now, "lastTransitionTime": now}],
        "addresses": [{"type": "InternalIP", "address": NODE}, {"type": "Hostname", "address": NAME}],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": KUBELET_PORT}},
        "nodeInfo": {
            "machineID": NAME,
            "systemUUID": NAME,
            "bootID": NAME,
            "kernelVersion": os.uname().release,
            "osImage": "localcluster: processes of this machine",
            "containerRuntimeVersion": "process://1",
            "kubeletVersion": KUBERNETES,
            "kubeProxyVersion": "",
            "operatingSystem": "linux",
            "architecture": {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine),
        },
    }
