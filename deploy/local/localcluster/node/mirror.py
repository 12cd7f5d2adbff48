"""A local copy of a collection of the API server, kept up to date by list and watch."""

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp

from localcluster.api import Api, ApiError, Manifest
from localcluster.console import say

_RETRY_SECONDS: Final = 0.5
_GONE: Final = 410

Key = tuple[str, str]


class Mirror:
    """The latest state of all objects of one path."""

    def __init__(
        self, api: Api, path: str, changed: Callable[[Manifest], None], gone: Callable[[Manifest], None]
    ) -> None:
        self._api = api
        self._path = path
        self._changed = changed
        self._gone = gone
        self._objects: dict[Key, Manifest] = {}

    @property
    def objects(self) -> Mapping[Key, Manifest]:
        """All objects by namespace and name; read-only."""
        return self._objects

    async def run(self) -> None:
        """Follow the collection for ever; retry while the API server is unavailable."""
        while True:
            try:
                await self._follow(await self._list())
            except ApiError as error:
                if error.status != _GONE:
                    say(f"{error}; retrying")
                    await asyncio.sleep(_RETRY_SECONDS)
            except (aiohttp.ClientError, TimeoutError, OSError):
                await asyncio.sleep(_RETRY_SECONDS)

    async def _list(self) -> str:
        listing = await self._api.request("GET", self._path)
        listed = {key_of(item): item for item in listing["items"]}
        for key in self._objects.keys() - listed.keys():
            self._gone(self._objects.pop(key))
        for key, item in listed.items():
            self._objects[key] = item
            self._changed(item)
        version: str = listing["metadata"]["resourceVersion"]
        return version

    async def _follow(self, version: str) -> None:
        while True:
            async for event in self._api.watch(self._path, version):
                item = event["object"]
                version = item["metadata"]["resourceVersion"]
                match event["type"]:
                    case "ADDED" | "MODIFIED":
                        self._objects[key_of(item)] = item
                        self._changed(item)
                    case "DELETED":
                        self._objects.pop(key_of(item), None)
                        self._gone(item)
                    case _:
                        # A bookmark only advances the version.
                        continue


def key_of(manifest: Manifest) -> Key:
    """Return an object's namespace and name."""
    return manifest["metadata"].get("namespace", ""), manifest["metadata"]["name"]
