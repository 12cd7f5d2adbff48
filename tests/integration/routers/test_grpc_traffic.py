"""Real gRPC calls through the gateway follow the weights of a GRPCRoute."""

import asyncio
from collections import Counter
from typing import Any, Final

from localcluster.addresses import GATEWAY, GATEWAY_PORT
from serinus.engine.rollout.actions import BackendShare, SetWeights
from serinus.engine.rollout.traffic.facts import backend_key
from serinus.kube.client import KubernetesClient
from serinus.routers import Routers, load_router
from support.kube.client import create, eventually
from support.routers.grpc_calls import PORT, answers, serving
from support.routers.planes import NEW, OLD, ROUTE, GrpcRoutePlane

ADDRESSES: Final = {OLD: "198.18.251.1", NEW: "198.18.251.2"}
PLANE: Final = GrpcRoutePlane()


def grpc_backend(name: str, address: str) -> tuple[dict[str, Any], dict[str, Any]]:
    port = {"name": "grpc", "port": 80, "targetPort": PORT, "appProtocol": "kubernetes.io/h2c"}
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": {"ports": [port]}}
    endpoints = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "ports": [{"name": "grpc", "port": PORT}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}}],
    }
    return service, endpoints


async def test_calls_follow_the_weights(api: KubernetesClient, namespace: str) -> None:
    host = f"{namespace}.grpc.local"
    for version, address in ADDRESSES.items():
        service, endpoints = grpc_backend(PLANE.service(version), address)
        await create(api, service, "services", namespace)
        await create(api, endpoints, "endpointslices", namespace)
    route = PLANE.manifest({OLD: 1})
    route["spec"]["hostnames"] = [host]
    await create(api, route, "grpcroutes", namespace)
    router = Routers(api, [load_router("grpcRoute")])

    async def share(new: int) -> None:
        old_backend, new_backend = PLANE.backend(OLD), PLANE.backend(NEW)
        action = SetWeights(
            route=PLANE.id,
            shares=(BackendShare(old_backend, 10_000 - new), BackendShare(new_backend, new)),
            ours=frozenset(map(backend_key, (old_backend, new_backend))),
        )
        await router.set_weights(namespace, action)

    async def calls(count: int = 40) -> Counter[str]:
        authority = [("grpc.default_authority", host)]
        return await asyncio.to_thread(answers, f"{GATEWAY}:{GATEWAY_PORT}", count, authority)

    async def only(version: str) -> bool:
        return set(await calls()) == {version}

    async def both() -> bool:
        return set(await calls()) == {OLD, NEW}

    with serving(ADDRESSES):
        await eventually(lambda: only(OLD), why="every call is answered by the version that serves", within=180)
        await share(5000)
        await eventually(both, why="both versions answer")
        await share(10_000)
        await eventually(lambda: only(NEW), why="every call is answered by the new version")
        await share(0)
        await eventually(lambda: only(OLD), why="every call is answered by the old version again")

        async def accepted() -> bool:
            record = PLANE.record(await api.request("GET", f"{PLANE.collection(namespace)}/{ROUTE}"))
            current = [parent.observed_generation >= record.generation for parent in record.parents]
            return current == [True] and record.parents[0].accepted and record.parents[0].resolved

        await eventually(accepted, why="Contour says that it carries the route")
