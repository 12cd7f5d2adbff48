"""Reads and lists the cluster's objects as records."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Final

from serinus.api.names import HTTP_ROUTE, NAMESPACE, ROLLOUT, ObjectKey
from serinus.errors import InvalidObjectError, NotFoundError, TransientError
from serinus.kube.client import Raw, Requests
from serinus.kube.kinds import SOURCE_OF, SOURCES, Source, collection_path, object_path
from serinus.kube.records import rollout_record
from serinus.kube.routes import route_record
from serinus.ports.cluster_state import Listed, NamespaceRecord, Record, RolloutRecord, RouteRecord

_PAGE: Final = "500"
_LIST_TIMEOUT: Final = 30.0
_AT_ONCE: Final = 50
"""Objects that are parsed before the event loop does something else: a ModelVersion may take a millisecond."""

logger = logging.getLogger(__name__)


class ApiCluster:
    """Implements the port ``Cluster`` over the Kubernetes API."""

    def __init__(self, client: Requests, namespaces: Sequence[str] = ()) -> None:
        """Read these namespaces; all namespaces if none is given."""
        self._client = client
        self._namespaces = tuple(namespaces)

    async def list_all(self, kind: type[Record]) -> Listed:
        """Return every object of this kind, read in pages of 500.

        A malformed object is skipped and logged: it must not hide the others.

        Raises:
            TransientError: a page failed, or the list took so long that its continue token expired: start over.
            NotFoundError: the API server does not serve the kind.
            RefusedError: the service account may not list it.
        """
        source = SOURCE_OF[kind]
        if kind is NamespaceRecord and self._namespaces:
            return Listed(_parsed_all(source, await self._read_namespaces()), None)
        records, versions = list[Record](), list[int]()
        for namespace in self._namespaces or ("",):
            async for page in self._pages(source, namespace):
                versions.append(_version(page))
                raws = page.get("items") or ()
                # What is parsed can go, and the event loop has turns between.
                for first in range(0, len(raws), _AT_ONCE):
                    records += _parsed_all(source, raws[first : first + _AT_ONCE])
                    await asyncio.sleep(0)
        return Listed(records, min(versions))

    async def read_rollout(self, key: ObjectKey) -> RolloutRecord:
        """Return the current Rollout; raises as :meth:`KubernetesClient.request` for a read."""
        return rollout_record(await self._client.request("GET", object_path(ROLLOUT, key)))

    async def read_route(self, key: ObjectKey) -> RouteRecord:
        """Return the current route; raises as :meth:`KubernetesClient.request` for a read."""
        return route_record(await self._client.request("GET", object_path(HTTP_ROUTE, key)))

    async def missing_kinds(self) -> Sequence[str]:
        """Return the kinds, as ``plural.group``, that the API server does not serve (yet).

        kopf discovers resources only once, when it starts, so do not start it before this is empty.
        """
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

    async def _pages(self, source: Source, namespace: str) -> AsyncIterator[Raw]:
        path = collection_path(source.kind, namespace if source.namespaced else "")
        query = {"limit": _PAGE} | ({"labelSelector": source.label} if source.label else {})
        while True:
            page = await self._client.request("GET", path, query=query, timeout=_LIST_TIMEOUT)
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            query |= {"continue": token}

    async def _read_namespaces(self) -> Sequence[Raw]:
        # A Role can allow reading a namespace by name, but not listing namespaces.
        found = list[Raw]()
        for name in self._namespaces:
            try:
                found.append(await self._client.request("GET", object_path(NAMESPACE, ObjectKey("", name))))
            except NotFoundError:
                logger.warning("namespace %s is configured but does not exist", name)
        return found


def _version(page: Raw) -> int:
    """Return the resource version of a page of a list.

    Raises:
        TransientError: it has none, so it is no answer of an API server.
    """
    version = (page.get("metadata") or {}).get("resourceVersion")
    if not isinstance(version, str) or not version.isdecimal():
        raise TransientError(f"a list has the resourceVersion {version!r}: not an answer of the API server")
    return int(version)


def _parsed_all(source: Source, raws: Iterable[Raw]) -> list[Record]:
    return [record for record in (_parsed(source, raw) for raw in raws) if record is not None]


def _parsed(source: Source, raw: Raw) -> Record | None:
    try:
        return source.parse(raw)
    except InvalidObjectError as problem:
        metadata = raw.get("metadata") or {}
        logger.warning("%s %s/%s: %s", source.kind.kind, metadata.get("namespace"), metadata.get("name"), problem)
        return None
