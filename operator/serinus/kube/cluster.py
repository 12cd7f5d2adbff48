"""Reads and lists the cluster's objects as records."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Final

from serinus.api.names import NAMESPACE, ROLLOUT, ObjectKey
from serinus.api.route import RouteKind
from serinus.errors import InvalidObjectError, NotFoundError
from serinus.kube.client import Raw, Requests
from serinus.kube.kinds import HTTP_ROUTES, Source, collection_path, object_path, sources_with
from serinus.kube.records import rollout_record
from serinus.ports.cluster_state import ROUTE_RECORDS, NamespaceRecord, Record, RolloutRecord, RouteRecord

_PAGE: Final = "500"
_LIST_TIMEOUT: Final = 30.0
_AT_ONCE: Final = 50
"""Objects that are parsed before the event loop does something else: a ModelVersion may take a millisecond."""

logger = logging.getLogger(__name__)


class ApiCluster:
    """Implements the port ``Cluster`` over the Kubernetes API."""

    def __init__(
        self, client: Requests, namespaces: Sequence[str] = (), routes: Sequence[Source] = (HTTP_ROUTES,)
    ) -> None:
        """Read these namespaces, all of them if none is given, and these kinds of routes."""
        self._client = client
        self._sources = {source.record: source for source in sources_with(routes)}
        self._namespaces = tuple(namespaces)

    async def list_all(self, kind: type[Record]) -> Sequence[Record]:
        """Return every object of this kind, read in pages of 500.

        A malformed object is skipped and logged: it must not hide the others.

        Raises:
            TransientError: a page failed, or the list took so long that its continue token expired: start over.
            NotFoundError: the API server does not serve the kind.
            RefusedError: the service account may not list it.
        """
        source, records = self._sources[kind], list[Record]()
        parts = self._read_namespaces() if kind is NamespaceRecord and self._namespaces else self._parts(source)
        async for raws in parts:
            records += [record for record in (_parsed(source, raw) for raw in raws) if record is not None]
        return records

    async def read_rollout(self, key: ObjectKey) -> RolloutRecord:
        """Return the current Rollout; raises as :meth:`KubernetesClient.request` for a read."""
        return rollout_record(await self._client.request("GET", object_path(ROLLOUT, key)))

    async def read_route(self, kind: RouteKind, key: ObjectKey) -> RouteRecord:
        """Return the current route; raises as :meth:`KubernetesClient.request` for a read."""
        source = self._sources[ROUTE_RECORDS[kind]]
        route = source.parse(await self._client.request("GET", object_path(source.kind, key)))
        if not isinstance(route, RouteRecord):
            raise TypeError(f"the source of {kind} gives {type(route).__name__}")
        return route

    async def missing_kinds(self) -> Sequence[str]:
        """Return the kinds, as ``plural.group``, that the API server does not serve (yet).

        kopf discovers resources only once, when it starts, so do not start it before this is empty.
        """
        missing = []
        for source in self._sources.values():
            kind = source.kind
            root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
            try:
                served = (await self._client.request("GET", root)).get("resources", [])
            except NotFoundError:
                served = []
            if kind.plural not in {resource.get("name") for resource in served}:
                missing.append(f"{kind.plural}.{kind.group}" if kind.group else kind.plural)
        return missing

    async def _parts(self, source: Source) -> AsyncIterator[Sequence[Raw]]:
        """Yield all objects of a kind, some at a time: what is parsed can go, and the event loop has turns between."""
        for namespace in self._namespaces or ("",):
            async for page in self._pages(source, namespace):
                for first in range(0, len(page), _AT_ONCE):
                    yield page[first : first + _AT_ONCE]
                    await asyncio.sleep(0)

    async def _pages(self, source: Source, namespace: str) -> AsyncIterator[Sequence[Raw]]:
        path = collection_path(source.kind, namespace if source.namespaced else "")
        query = {"limit": _PAGE} | ({"labelSelector": source.label} if source.label else {})
        while True:
            page = await self._client.request("GET", path, query=query, timeout=_LIST_TIMEOUT)
            yield page.get("items") or ()
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            query |= {"continue": token}

    async def _read_namespaces(self) -> AsyncIterator[Sequence[Raw]]:
        # A Role can allow reading a namespace by name, but not listing namespaces.
        for name in self._namespaces:
            try:
                yield [await self._client.request("GET", object_path(NAMESPACE, ObjectKey("", name)))]
            except NotFoundError:
                logger.warning("namespace %s is configured but does not exist", name)


def _parsed(source: Source, raw: Raw) -> Record | None:
    try:
        return source.parse(raw)
    except InvalidObjectError as problem:
        metadata = raw.get("metadata") or {}
        logger.warning("%s %s/%s: %s", source.kind.kind, metadata.get("namespace"), metadata.get("name"), problem)
        return None
