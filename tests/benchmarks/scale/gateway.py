"""A stand-in for the gateway: it accepts every route as soon as it sees it, and notes when.

It also tells the generator of series which backends a route has and with what weights, as a gateway would send them
requests.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from benchmarks.scale.objects import NAMESPACE, candidate_of
from localcluster.api import Api, ApiError, Manifest
from support.e2e.manifests import collection_of, weights_in

SERIES_PORT: Final = 9100
_CONTROLLER: Final = "example.org/stand-in-gateway"
_PAUSE: Final = 0.05
_TRANSIENT: Final = (TimeoutError, aiohttp.ClientError, ApiError)
"""A busy API server: asked again after a pause."""


@dataclass(slots=True)
class Moments:
    """When the candidate of a route lost its weight: as written, and as accepted (seconds since 1970)."""

    written: float = 0.0
    accepted: float = 0.0


@dataclass(slots=True)
class Gateway:
    """The state of all routes.

    Attributes:
        without: when the candidate of each route had no weight, since ``watch_candidates`` was called.
        writes: how many statuses were written.
        quiet: whether routes with one backend have no series: their versions' traffic is not generated.
    """

    api: Api
    session: aiohttp.ClientSession
    quiet: bool = False
    weights: dict[str, dict[str, int]] = field(default_factory=dict)
    without: dict[str, Moments] = field(default_factory=dict)
    writes: int = 0
    _accepting: dict[str, int] = field(default_factory=dict)
    _changed: set[str] = field(default_factory=set)
    _writing: set[asyncio.Task[None]] = field(default_factory=set)

    def watch_candidates(self) -> None:
        """Forget the moments; note those from now on."""
        self.without = {}

    def see(self, raw: Manifest) -> None:
        """Take in one state of a route; accept it if it is not."""
        now = time.time()
        name = raw["metadata"]["name"]
        weights = weights_in(raw)
        if self.weights.get(name) != weights:
            self.weights[name] = weights
            self._changed.add(name)
        accepted = _is_accepted(raw)
        if not weights.get(candidate_of(name)):
            moments = self.without.setdefault(name, Moments(written=now))
            if accepted and not moments.accepted:
                moments.accepted = now
        else:
            self.without.pop(name, None)
        generation = raw["metadata"]["generation"]
        if not accepted and self._accepting.get(name) != generation:
            self._accepting[name] = generation
            task = asyncio.create_task(self._accept(raw))
            self._writing.add(task)
            task.add_done_callback(self._writing.discard)

    async def _accept(self, raw: Manifest) -> None:
        name, generation = raw["metadata"]["name"], raw["metadata"]["generation"]
        path = f"{collection_of('HTTPRoute', NAMESPACE)}/{name}/status"
        change = {"status": {"parents": [_accepting(ref, raw) for ref in raw["spec"]["parentRefs"]]}}
        while self._accepting.get(name) == generation:
            self.writes += 1
            with suppress(*_TRANSIENT):
                await self.api.merge(path, change)
                return
            await asyncio.sleep(_PAUSE)

    async def follow(self) -> None:
        """Watch all routes for ever."""
        while True:
            with suppress(*_TRANSIENT):
                await self._follow_once()
            await asyncio.sleep(_PAUSE)

    async def _follow_once(self) -> None:
        listed = await self.api.request("GET", collection_of("HTTPRoute", NAMESPACE))
        for item in listed["items"]:
            self.see(item)
        async for event in self.api.watch(collection_of("HTTPRoute", NAMESPACE), listed["metadata"]["resourceVersion"]):
            if event["type"] in {"ADDED", "MODIFIED"}:
                self.see(event["object"])

    async def tell_weights(self) -> None:
        """Tell the generator of every change, for ever."""
        while True:
            await asyncio.sleep(_PAUSE)
            changed, self._changed = self._changed, set()
            routes = {name: _shares(self.weights[name]) for name in sorted(changed)}
            if self.quiet:
                routes = {name: shares for name, shares in routes.items() if candidate_of(name) in shares}
            if routes:
                await self.post("weights", routes)

    async def post(self, what: str, body: object) -> float:
        """Send a change to the generator; return when it was made (seconds since 1970)."""
        async with self.session.post(f"http://127.0.0.1:{SERIES_PORT}/{what}", json=body) as response:
            assert response.status == 200, await response.text()
            return float(await response.text())


@asynccontextmanager
async def accepting(api: Api, session: aiohttp.ClientSession, *, quiet: bool = False) -> AsyncIterator[Gateway]:
    """Run the stand-in until the block ends."""
    gateway = Gateway(api, session, quiet)
    tasks = [asyncio.create_task(gateway.follow()), asyncio.create_task(gateway.tell_weights())]
    try:
        yield gateway
        for task in tasks:
            assert not task.done(), f"the stand-in gateway failed: {task.exception()!r}"
    finally:
        for task in tasks:
            task.cancel()
            with suppress(asyncio.CancelledError, Exception):
                await task


def _shares(weights: dict[str, int]) -> dict[str, float]:
    total = sum(weights.values())
    return {name: weight / total if total else 0.0 for name, weight in weights.items()}


def _is_accepted(raw: Manifest) -> bool:
    generation = raw["metadata"]["generation"]
    parents = raw.get("status", {}).get("parents", [])
    return bool(parents) and all(
        condition["status"] == "True" and condition.get("observedGeneration", 0) >= generation
        for parent in parents
        for condition in parent["conditions"]
    )


def _accepting(reference: Manifest, raw: Manifest) -> Manifest:
    common: dict[str, Any] = {
        "status": "True",
        "observedGeneration": raw["metadata"]["generation"],
        "lastTransitionTime": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "message": "",
    }
    conditions = [{"type": kind, "reason": kind, **common} for kind in ("Accepted", "ResolvedRefs", "Programmed")]
    return {"parentRef": reference, "controllerName": _CONTROLLER, "conditions": conditions}
