"""The gateway that accepts every route at once, and everything that was ever stored of routes and Rollouts."""

import asyncio
import json
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from demo.observe import wait_for
from localcluster.api import Api, ApiError
from localcluster.programs import crds

GATEWAY: Final = "stand-in"
ROUTES: Final = "/apis/gateway.networking.k8s.io/v1/httproutes"
ROLLOUTS: Final = "/apis/serinus.dev/v1alpha1/rollouts"
Raw = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stored:
    """One object as it was stored, and when that was seen (seconds since 1970)."""

    seen: float
    raw: Raw
    deleted: bool = False

    @property
    def version(self) -> int:
        return int(self.raw["metadata"]["resourceVersion"])


async def install_routes(api: Api) -> None:
    """Have the API server serve HTTPRoutes, where no gateway has brought them."""
    for manifest in json.loads(crds.provide().read_text(encoding="utf-8")):
        if manifest["metadata"]["name"] == "httproutes.gateway.networking.k8s.io":
            await api.apply(manifest)
    await wait_for(lambda: _is_served(api), lambda served: served, within=30, what="HTTPRoutes to be served")


async def _is_served(api: Api) -> bool:
    try:
        await api.request("GET", ROUTES)
    except ApiError as problem:
        if problem.status == 404:
            return False
        raise
    return True


def weights_of(route: Raw) -> dict[str, float]:
    """Return the share of each backend of the only rule."""
    refs = route["spec"]["rules"][0]["backendRefs"]
    total = sum(ref.get("weight", 1) for ref in refs) or 1
    return {ref["name"]: ref.get("weight", 1) / total for ref in refs}


@dataclass(slots=True)
class Histories:
    """By namespace, every stored version of its route and of its Rollout.

    Attributes:
        ready: set once everything from now on will be seen.
        on_weights: called with a namespace and the shares of its route as soon as the gateway has accepted them.
    """

    api: Api
    on_weights: Callable[[str, dict[str, float]], None]
    routes: dict[str, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    rollouts: dict[str, list[Stored]] = field(default_factory=lambda: defaultdict(list))
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    _versions: dict[str, str] = field(default_factory=dict)
    _changed: dict[str, asyncio.Event] = field(default_factory=lambda: defaultdict(asyncio.Event))
    _accepting: set["asyncio.Task[None]"] = field(default_factory=set)

    async def follow(self) -> None:
        """Follow both kinds until cancelled."""
        self._versions = {path: await self._newest(path) for path in (ROUTES, ROLLOUTS)}
        self.ready.set()
        async with asyncio.TaskGroup() as group:
            group.create_task(self._follow(ROUTES, self.routes))
            group.create_task(self._follow(ROLLOUTS, self.rollouts))

    async def until_changed(self, namespace: str, within: float) -> None:
        """Wait until something of the namespace has changed, at most so many seconds."""
        event = self._changed[namespace]
        event.clear()
        try:
            async with asyncio.timeout(within):
                await event.wait()
        except TimeoutError:
            pass

    def forget(self, namespace: str) -> None:
        """Forget a namespace."""
        for known in (self.routes, self.rollouts, self._changed):
            known.pop(namespace, None)

    async def _follow(self, path: str, into: dict[str, list[Stored]]) -> None:
        version = self._versions[path]
        while True:
            try:
                async for event in self.api.watch(path, version):
                    version = event["object"]["metadata"]["resourceVersion"]
                    if event["type"] != "BOOKMARK":
                        self._take(path, into, event)
            except (aiohttp.ClientError, TimeoutError):
                continue

    async def _newest(self, path: str) -> str:
        while True:
            try:
                return str((await self.api.request("GET", path))["metadata"]["resourceVersion"])
            except ApiError as problem:
                if problem.status != 429:  # the API server has just begun to serve the kind
                    raise
                await asyncio.sleep(0.1)  # the polling interval

    def _take(self, path: str, into: dict[str, list[Stored]], event: Raw) -> None:
        raw = event["object"]
        namespace = raw["metadata"]["namespace"]
        if not namespace.startswith("fp-"):
            return
        into[namespace].append(Stored(time.time(), raw, deleted=event["type"] == "DELETED"))
        self._changed[namespace].set()
        if path == ROUTES and event["type"] != "DELETED" and not _accepted(raw):
            task = asyncio.create_task(self._accept(raw))
            self._accepting.add(task)
            task.add_done_callback(self._accepting.discard)

    async def _accept(self, route: Raw) -> None:
        metadata = route["metadata"]
        self.on_weights(metadata["namespace"], weights_of(route))
        conditions = [
            {
                "type": kind,
                "status": "True",
                "reason": kind,
                "message": "",
                "observedGeneration": metadata["generation"],
                "lastTransitionTime": "2026-01-01T00:00:00Z",
            }
            for kind in ("Accepted", "ResolvedRefs")
        ]
        parent = {"parentRef": {"name": GATEWAY}, "controllerName": "serinus.dev/stand-in", "conditions": conditions}
        path = ROUTES.replace("httproutes", f"namespaces/{metadata['namespace']}/httproutes/{metadata['name']}/status")
        try:
            await self.api.merge(path, {"status": {"parents": [parent]}})
        except ApiError as problem:
            if problem.status != 404:
                raise


def _accepted(route: Raw) -> bool:
    parents = route.get("status", {}).get("parents", [])
    seen = [one.get("observedGeneration", 0) for parent in parents for one in parent["conditions"]]
    return bool(seen) and min(seen) >= route["metadata"]["generation"]
