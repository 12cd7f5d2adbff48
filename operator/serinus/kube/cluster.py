"""Reads and lists the cluster's objects as records."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from serinus.api.names import NAMESPACE, ROLLOUT, ObjectKey
from serinus.api.route import RouteKind
from serinus.backoff import Backoff
from serinus.errors import InvalidObjectError, NotFoundError, SerinusError
from serinus.kube.client import Raw, Requests
from serinus.kube.kinds import HTTP_ROUTES, Source, collection_path, object_path, sources_with
from serinus.kube.pages import Page, Pages
from serinus.kube.records import rollout_record
from serinus.kube.texts import SharedTexts
from serinus.ports.cluster_state import ROUTE_RECORDS, Listed, NamespaceRecord, Record, RolloutRecord, RouteRecord

_PAGE: Final = "500"
_LIST_TIMEOUT: Final = 30.0
_RETRY: Final = Backoff(first=0.2, longest=15.0)
_AT_ONCE: Final = 25
"""Objects that are decoded and parsed before the event loop does something else: one may take a millisecond."""

logger = logging.getLogger(__name__)


class Client(Requests, Pages, Protocol):
    """The part of the client that this adapter uses."""


class ApiCluster:
    """Implements the port ``Cluster`` over the Kubernetes API."""

    def __init__(
        self, client: Client, namespaces: Sequence[str] = (), routes: Sequence[Source] = (HTTP_ROUTES,)
    ) -> None:
        """Read these namespaces, all of them if none is given, and these kinds of routes."""
        self._client = client
        self._sources = {source.record: source for source in sources_with(routes)}
        self._namespaces = tuple(namespaces)

    async def list_all(self, kind: type[Record]) -> Listed:
        """Return every object of this kind, read in pages of 500.

        A malformed object is skipped and logged: it must not hide the others.

        Raises:
            TransientError: a page failed, or the list took so long that its continue token expired: start over.
            NotFoundError: the API server does not serve the kind.
            RefusedError: the service account may not list it.
        """
        source = self._sources[kind]
        if kind is NamespaceRecord and self._namespaces:
            found = [_parsed(source, raw) for raw in await self._read_namespaces()]
            return Listed([record for record in found if record is not None], None)
        records, versions, texts = list[Record](), list[int](), SharedTexts()
        for namespace in self._namespaces or ("",):
            async for page in self._pages(source, namespace):
                versions.append(page.version)
                records += [record async for record in _records(source, page, texts)]
        return Listed(records, min(versions))

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

    async def until_served(self) -> None:
        """Wait until the API server serves every kind: kopf discovers resources only once, when it starts."""
        for pause in _RETRY:
            try:
                missing = await self.missing_kinds()
            except SerinusError as problem:
                logger.warning("the API server could not be asked what it serves: %s; again in %g s", problem, pause)
            else:
                if not missing:
                    return
                logger.warning("the API server does not serve %s; asking again in %g s", ", ".join(missing), pause)
            await asyncio.sleep(pause)

    async def missing_kinds(self) -> Sequence[str]:
        """Return the kinds, as ``plural.group``, that the API server does not serve (yet)."""
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

    async def _pages(self, source: Source, namespace: str) -> AsyncIterator[Page]:
        path = collection_path(source.kind, namespace if source.namespaced else "")
        query = {"limit": _PAGE} | ({"labelSelector": source.label} if source.label else {})
        while True:
            page = await self._client.read_page(path, query, _LIST_TIMEOUT)
            yield page
            if not page.token:
                return
            query |= {"continue": page.token}

    async def _read_namespaces(self) -> Sequence[Raw]:
        # A Role can allow reading a namespace by name, but not listing namespaces.
        found = list[Raw]()
        for name in self._namespaces:
            try:
                found.append(await self._client.request("GET", object_path(NAMESPACE, ObjectKey("", name))))
            except NotFoundError:
                logger.warning("namespace %s is configured but does not exist", name)
        return found


async def _records(source: Source, page: Page, texts: SharedTexts) -> AsyncIterator[Record]:
    """Yield the records of a page, which share ``texts``; the event loop has turns between them."""
    for number, raw in enumerate(page.objects(), start=1):
        texts.in_object(raw)
        record = _parsed(source, raw)
        if record is not None:
            yield record
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)


def _parsed(source: Source, raw: Raw) -> Record | None:
    try:
        return source.parse(raw)
    except InvalidObjectError as problem:
        metadata = raw.get("metadata") or {}
        logger.warning("%s %s/%s: %s", source.kind.kind, metadata.get("namespace"), metadata.get("name"), problem)
        return None
