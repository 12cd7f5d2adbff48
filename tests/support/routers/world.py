"""A namespace with a route of one kind, which a router writes."""

from collections.abc import Mapping
from typing import Any, Final

from serinus.engine.rollout.actions import BackendShare, SetWeights
from serinus.engine.rollout.traffic.facts import backend_key
from serinus.kube.client import JSON_PATCH, KubernetesClient
from serinus.routers import Routers, load_router
from support.kube.client import create, eventually
from support.routers.planes import NEW, OLD, ROUTE, Plane

Raw = dict[str, Any]

SOMEBODY: Final = {"fieldManager": "somebody"}


def shares(plane: Plane, new: int, *, safety: bool = False) -> SetWeights:
    return SetWeights(
        route=plane.id,
        shares=(BackendShare(plane.backend(OLD), 10_000 - new), BackendShare(plane.backend(NEW), new)),
        ours=frozenset(backend_key(plane.backend(member)) for member in (OLD, NEW)),
        filters_of=backend_key(plane.backend(OLD)),
        towards_safety=safety,
    )


class World:
    """One namespace with a route of one kind."""

    def __init__(self, api: KubernetesClient, namespace: str, plane: Plane) -> None:
        self.api, self.namespace, self.plane = api, namespace, plane
        self.router = Routers(api, [load_router(plane.kind.field)])
        self.path = f"{plane.collection(namespace)}/{ROUTE}"

    async def stand(self, weights: Mapping[str, int]) -> Raw:
        plural = self.plane.collection(self.namespace).rpartition("/")[2]
        stored = await create(self.api, self.plane.manifest(weights), plural, self.namespace)

        async def carried() -> bool:
            raw = await self.raw()
            parents, entries = self.plane.record(raw).parents, self.plane.record(raw).rules[-1].entries
            seen = all(one.observed_generation >= stored["metadata"]["generation"] for one in parents)
            # KServe's mode is in the status: until it is there, an InferenceService is taken for one of Standard mode.
            return seen and {self.plane.service(member) for member in weights} <= {one.key.name for one in entries}

        await eventually(carried, why="the route is carried")
        return await self.raw()

    async def raw(self) -> Raw:
        return await self.api.request("GET", self.path)

    async def shares(self) -> dict[str, float]:
        return self.plane.shares(await self.raw())

    async def until_shares(self, expected: Mapping[str, float], why: str) -> None:
        async def probe() -> bool:
            return await self.shares() == dict(expected)

        try:
            await eventually(probe, why=why)
        except AssertionError as problem:
            raise AssertionError(f"{why}: {await self.shares()}") from problem

    async def set(self, new: int, *, safety: bool = False) -> None:
        await self.router.set_weights(self.namespace, shares(self.plane, new, safety=safety))

    async def drift(self, weights: Mapping[str, int]) -> None:
        patch = self.plane.drift(await self.raw(), weights)
        await self.api.request("PATCH", self.path, body=patch, content_type=JSON_PATCH, query=SOMEBODY)
