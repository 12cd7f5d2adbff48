"""Reads and lists the cluster's objects as records."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from typing import Final, Protocol

from serinus.api.names import HTTP_ROUTE, NAMESPACE, ROLLOUT, ObjectKey
from serinus.backoff import Backoff
from serinus.errors import InvalidObjectError, NotFoundError, SerinusError
from serinus.kube.client import Raw, Requests
from serinus.kube.kinds import SOURCE_OF, SOURCES, Source, collection_path, object_path
from serinus.kube.pages import Page, Pages
from serinus.kube.records import rollout_record
from serinus.kube.routes import route_record
from serinus.kube.texts import SharedTexts
from serinus.ports.cluster_state import NamespaceRecord, Record, RolloutRecord, RouteRecord

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

    def __init__(self, client: Client, namespaces: Sequence[str] = ()) -> None:
        """Read these namespaces; all namespaces if none is given."""
        self._client = client
        self._namespaces = tuple(namespaces)

    async def list_all(self, kind: type[Record]) -> Sequence[Record]:
        """Return every object of this kind, read in pages of 500.

        A malformed object is skipped and logged: it must not hide the others.

        Raises:
            TransientError: a page failed, or the list took so long that its continue token expired: start over.
            NotFoundError: the API server does not serve the kind.
            RefusedError: the service account may not list it.
        """
        source, records, texts = SOURCE_OF[kind], list[Record](), SharedTexts()
        raws = self._read_namespaces() if kind is NamespaceRecord and self._namespaces else self._objects(source)
        async for raw in raws:
            texts.in_object(raw)
            record = _parsed(source, raw)
            if record is not None:
                records.append(record)
        return records

    async def read_rollout(self, key: ObjectKey) -> RolloutRecord:
        """Return the current Rollout; raises as :meth:`KubernetesClient.request` for a read."""
        return rollout_record(await self._client.request("GET", object_path(ROLLOUT, key)))

    async def read_route(self, key: ObjectKey) -> RouteRecord:
        """Return the current route; raises as :meth:`KubernetesClient.request` for a read."""
        return route_record(await self._client.request("GET", object_path(HTTP_ROUTE, key)))

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
        for source in SOURCES:
            kind = source.kind
            root = f"/apis/{kind.api_version}" if kind.group else f"/api/{kind.version}"
            try:
                served = (await self._client.request("GET", root)).get("resources", [])
            except NotFoundError:
                served = []
            if kind.plural not in {resource.get("name") for resource in served}:
                missing.append(f"{kind.plural}.{kind.group}" if kind.group else kind.plural)
        return missing

    async def _objects(self, source: Source) -> AsyncIterator[Raw]:
        """Yield all objects of a kind; the event loop has turns between them."""
        for namespace in self._namespaces or ("",):
            async for page in self._pages(source, namespace):
                for number, raw in enumerate(page.objects(), start=1):
                    yield raw
                    if number % _AT_ONCE == 0:
                        await asyncio.sleep(0)

    async def _pages(self, source: Source, namespace: str) -> AsyncIterator[Page]:
        path = collection_path(source.kind, namespace if source.namespaced else "")
        query = {"limit": _PAGE} | ({"labelSelector": source.label} if source.label else {})
        while True:
            page = await self._client.read_page(path, query, _LIST_TIMEOUT)
            yield page
            if not page.token:
                return
            query |= {"continue": page.token}

    async def _read_namespaces(self) -> AsyncIterator[Raw]:
        # A Role can allow reading a namespace by name, but not listing namespaces.
        for name in self._namespaces:
            try:
                yield await self._client.request("GET", object_path(NAMESPACE, ObjectKey("", name)))
            except NotFoundError:
                logger.warning("namespace %s is configured but does not exist", name)


def _parsed(source: Source, raw: Raw) -> Record | None:
    try:
        return source.parse(raw)
    except InvalidObjectError as problem:
        metadata = raw.get("metadata") or {}
        logger.warning("%s %s/%s: %s", source.kind.kind, metadata.get("namespace"), metadata.get("name"), problem)
        return None
