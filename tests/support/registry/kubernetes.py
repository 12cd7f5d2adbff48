"""The registry's contract in the Kubernetes API: a real API server, or one in memory that supports lists."""

import asyncio
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from serinus.api.names import AUDIT_RECORD, MODEL, MODEL_VERSION, ObjectKey
from serinus.errors import AmbiguousError, SerinusError, TransientError
from serinus.kube.client import Requests
from serinus.registry.kubernetes.store import KubernetesStore
from support.kube.memory import MemoryApi, Raw
from support.registry.place import PAGE, Crash, Fault

_COLLECTIONS: Final = {kind.plural for kind in (MODEL, MODEL_VERSION, AUDIT_RECORD)}


class MeddledRequests:
    """A client with injected faults: requests that fail, or a crash of the process at one of them.

    Attributes:
        seen: every request in order, as ``METHOD path``.
    """

    def __init__(
        self, client: Requests, *, faults: Iterable[Fault | None] = (), dies_before: int = 0, dies_after: int = 0
    ) -> None:
        self._client = client
        self._faults = deque(faults)
        self._dies_before = dies_before
        self._dies_after = dies_after
        self.seen: list[str] = []

    async def request(self, method: str, path: str, **more: Any) -> Raw:
        self.seen.append(f"{method} {path}")
        fault = self._faults.popleft() if self._faults else None
        if len(self.seen) == self._dies_before:
            raise Crash
        if fault is Fault.THROTTLED:
            raise TransientError(f"{method} {path}: 429")
        if fault is Fault.TIMED_OUT_BEFORE:
            raise _unanswered(method, path)
        number = len(self.seen)
        try:
            return await self._client.request(method, path, **more)
        finally:
            # Also after an error response: it is lost.
            if number == self._dies_after:
                raise Crash
            if fault is Fault.TIMED_OUT_AFTER:
                raise _unanswered(method, path)


def _unanswered(method: str, path: str) -> SerinusError:
    kind = TransientError if method == "GET" else AmbiguousError
    return kind(f"{method} {path}: no answer within 10 s")


class KubernetesPlace:
    """Any API server; ``connect`` returns a new client."""

    def __init__(self, connect: Callable[[], Requests], namespace: str) -> None:
        self._connect = connect
        self._namespace = namespace

    def open(self, *, page_size: int = PAGE) -> KubernetesStore:
        return self._store(self._connect(), page_size)

    def fresh_model(self) -> ObjectKey:
        return ObjectKey(self._namespace, f"m{uuid.uuid4().hex[:10]}")

    def crashing(self, after: int) -> KubernetesStore:
        return self._store(MeddledRequests(self._connect(), dies_after=after))

    def crashing_before(self, request: int) -> KubernetesStore:
        return self._store(MeddledRequests(self._connect(), dies_before=request))

    def failing(self, *faults: Fault | None) -> KubernetesStore:
        return self._store(MeddledRequests(self._connect(), faults=faults))

    def _store(self, client: Requests, page_size: int = PAGE) -> KubernetesStore:
        return KubernetesStore(client, namespaces=(self._namespace,), page_size=page_size)


class ListingApi(MemoryApi):
    """The API server in memory, with the registry's kinds: lists in pages, the status subresource, deletion."""

    async def request(self, method: str, path: str, **more: Any) -> Raw:
        await asyncio.sleep(0)  # other tasks run in between, as with every request
        collection = path.rsplit("/", 1)[-1]
        if method == "GET" and collection in _COLLECTIONS:
            self.calls.append(f"GET {path}")
            return self._page(path, more.get("query") or {})
        return await super().request(method, path.removesuffix("/status"), **more)

    def put(self, path: str, raw: Raw) -> Raw:
        dated = {"creationTimestamp": "2026-11-01T12:00:00Z", **raw["metadata"]}
        return super().put(path, {**raw, "metadata": dated})

    def _apply(self, method: str, path: str, body: Any, content_type: str) -> Raw:
        if method == "DELETE":
            self._get(path)
            return self.objects.pop(path)
        return super()._apply(method, path, body, content_type)

    def _page(self, path: str, query: Mapping[str, str]) -> Raw:
        wanted = dict(part.split("=") for part in query.get("labelSelector", "").split(",") if part)
        matching = [
            object_path
            for object_path, raw in sorted(self.objects.items())
            if object_path.startswith(f"{path}/") and object_path > query.get("continue", "")
            if wanted.items() <= raw["metadata"].get("labels", {}).items()
        ]
        page, rest = matching[: int(query["limit"])], matching[int(query["limit"]) :]
        # The token names the last object, so that deletions between two pages hide nothing.
        items = [self.objects[object_path] for object_path in page]
        return {"metadata": {"continue": page[-1]} if rest else {}, "items": items}
