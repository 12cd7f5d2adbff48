"""An in-memory API server with the interface of the client, for tests of single adapters."""

import asyncio
import copy
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from serinus.errors import ConflictError, NotFoundError, SerinusError
from serinus.kube.answers import AlreadyExistsError
from serinus.kube.client import JSON_PATCH

Raw = dict[str, Any]

CREATED_AT = "2026-11-01T10:00:00Z"
"""The creationTimestamp of what is created here."""


class MemoryApi:
    """Objects by path; every write increments the resourceVersion; faults can be scheduled.

    Attributes:
        objects: the stored objects, by path.
        calls: every call as ``METHOD path``.
        before: errors raised instead of the next calls; None lets one pass.
        after: errors raised after a write has been applied, as when the response is lost.
        hanging: while set, every call waits until it is cancelled.
    """

    def __init__(self) -> None:
        self.objects: dict[str, Raw] = {}
        self.calls: list[str] = []
        self.queries: list[Mapping[str, str]] = []
        self.bodies: list[Any] = []
        self.before: deque[SerinusError | None] = deque()
        self.after: deque[SerinusError | None] = deque()
        self.hanging = False
        self._version = 100

    async def request(  # noqa: PLR0913 - signature of the client
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        timeout: float = 10.0,  # noqa: ARG002, ASYNC109 - signature of the client
        urgent: bool = False,  # noqa: ARG002 - signature of the client
        guard: Callable[[], None] | None = None,
        fenced: bool = True,  # noqa: ARG002 - signature of the client
    ) -> Raw:
        if guard is not None:
            guard()
        self.calls.append(f"{method} {path}")
        self.queries.append(query or {})
        self.bodies.append(copy.deepcopy(body))
        if self.hanging:
            await asyncio.Event().wait()
        if self.before and (fault := self.before.popleft()) is not None:
            raise fault
        result = self._apply(method, path, copy.deepcopy(body), content_type)
        if method != "GET" and self.after and (fault := self.after.popleft()) is not None:
            raise fault
        return copy.deepcopy(result)

    def put(self, path: str, raw: Raw) -> Raw:
        """Store an object as another client would."""
        self._version += 1
        metadata = {"uid": f"uid-{self._version}", **raw["metadata"], "resourceVersion": str(self._version)}
        self.objects[path] = {**raw, "metadata": metadata}
        return self.objects[path]

    def writes(self) -> list[str]:
        return [call for call in self.calls if not call.startswith("GET")]

    def _apply(self, method: str, path: str, body: Any, content_type: str) -> Raw:
        match method:
            case "GET":
                return self._get(path)
            case "POST":
                target = f"{path}/{body['metadata']['name']}"
                if target in self.objects:
                    raise AlreadyExistsError(target)
                return self.put(target, body | {"metadata": {"creationTimestamp": CREATED_AT, **body["metadata"]}})
            case "PUT":
                if body["metadata"].get("resourceVersion") != self._get(path)["metadata"]["resourceVersion"]:
                    raise ConflictError(path)
                return self.put(path, body)
            case "PATCH":
                old = self._get(path)
                if content_type == JSON_PATCH:
                    return self.put(path, json_patch(old, body))
                if _version(body, old) != _version(old, old):
                    raise ConflictError(path)
                return self.put(path, merge(old, body))
            case _:
                raise AssertionError(method)

    def _get(self, path: str) -> Raw:
        if path not in self.objects:
            raise NotFoundError(path)
        return self.objects[path]


def _version(body: Raw, old: Raw) -> str:
    """Return the resourceVersion in a body; that of the stored object where it has none."""
    return str(body.get("metadata", {}).get("resourceVersion", old["metadata"]["resourceVersion"]))


def merge(old: Any, change: Any) -> Any:
    """Apply a JSON Merge Patch (RFC 7396)."""
    if not isinstance(change, dict):
        return change
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in change.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), value)
    return merged


def json_patch(old: Raw, patch: list[Raw]) -> Raw:
    """Apply a JSON Patch (RFC 6902) without move and copy; one that does not apply is a conflict, as in Kubernetes."""
    new = copy.deepcopy(old)
    try:
        for operation in patch:
            _apply(new, operation)
    except (KeyError, IndexError, ValueError) as problem:
        raise ConflictError(f"{patch}: {problem!r}") from problem
    return new


def _apply(document: Raw, operation: Raw) -> None:
    *parents, last = (part.replace("~1", "/").replace("~0", "~") for part in operation["path"].split("/")[1:])
    target: Any = document
    for part in parents:
        target = target[int(part)] if isinstance(target, list) else target[part]
    key: Any = last
    if isinstance(target, list):
        key = len(target) if last == "-" else int(last)
    match operation["op"]:
        case "test":
            if target[key] != operation["value"]:
                raise ValueError(f"{operation['path']} is {target[key]!r}")
        case "add" if isinstance(target, list):
            target.insert(key, operation["value"])
        case "add":
            target[key] = operation["value"]
        case "replace":
            target[key] = operation["value"] if target[key] is not None else None
        case "remove":
            del target[key]
        case other:
            raise AssertionError(other)
