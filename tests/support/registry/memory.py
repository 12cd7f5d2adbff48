"""The registry's store in memory: every call is one request and a commit is atomic, as the port requires."""

import asyncio
import uuid
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from msgspec import json

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode, encode
from serinus.engine.audit.chain import ChainOwner, StoredRecord
from serinus.engine.audit.contents import StoredContents, StoredVersion
from serinus.engine.audit.registrations import RegisteredVersion, RegisteredVersions
from serinus.engine.versions.catalogue import Query, VersionEntry, spec_hash
from serinus.errors import (
    AmbiguousError,
    ConflictError,
    NotFoundError,
    RefusedError,
    TransientError,
    VersionTakenError,
)
from serinus.ports.registry_store import Commit, Restoration
from support.registry.place import PAGE, Crash, Fault

T = TypeVar("T")

_LARGEST = 1_000_000


@dataclass(slots=True)
class ModelData:
    """The stored data of one model."""

    head: Head = field(default_factory=Head)
    versions: dict[str, VersionEntry] = field(default_factory=dict)
    records: dict[int, dict[str, Any]] = field(default_factory=dict)
    numbers: dict[str, int] = field(default_factory=dict)


Data = dict[ObjectKey, ModelData]


class MemoryStore:
    """The port ``RegistryStore`` over dictionaries that several of them may share.

    Args:
        data: the stored data.
        page_size: the number of objects of one request.
        faults: the faults of the next requests; None for a success.
        dies_before, dies_after: the number of the request at which the process dies.
    """

    def __init__(
        self,
        data: Data,
        *,
        page_size: int = PAGE,
        faults: Iterable[Fault | None] = (),
        dies_before: int = 0,
        dies_after: int = 0,
    ) -> None:
        self._data = data
        self._page = page_size
        self._faults = deque(faults)
        self._dies_before = dies_before
        self._dies_after = dies_after
        self._requests = 0

    async def _request(self, effect: Callable[[], T]) -> T:
        """Apply an effect like a remote request: other tasks run in between, and the response may be lost."""
        self._requests += 1
        await asyncio.sleep(0)
        fault = self._faults.popleft() if self._faults else None
        if self._requests == self._dies_before:
            raise Crash
        if fault is Fault.THROTTLED:
            raise TransientError("too many requests")
        if fault is Fault.TIMED_OUT_BEFORE:
            raise AmbiguousError("no answer")
        answer = effect()
        await asyncio.sleep(0)
        if self._requests == self._dies_after:
            raise Crash
        if fault is Fault.TIMED_OUT_AFTER:
            raise AmbiguousError("no answer")
        return answer

    def _of(self, model: ObjectKey) -> ModelData:
        return self._data.setdefault(model, ModelData())

    async def read_head(self, model: ObjectKey) -> Head:
        return await self._request(lambda: self._of(model).head)

    async def read_version(self, model: ObjectKey, version: str) -> VersionEntry | None:
        return await self._request(lambda: self._of(model).versions.get(version))

    async def read_registered(self, model: ObjectKey, head: Head, version: str) -> RegisteredVersion | None:
        def registered() -> RegisteredVersion | None:
            versions = RegisteredVersions()
            for number, content in sorted(self._of(model).records.items()):
                if number <= head.audit.sequence:
                    versions.add(decode(AuditRecordSpec, content, "spec"))
            return versions.get(version)

        return await self._request(registered)

    async def list_versions(self, model: ObjectKey, query: Query) -> AsyncIterator[VersionEntry]:
        async for entry in self._pages(lambda: list(self._of(model).versions.values())):
            if query.digest in {None, entry.digest}:
                yield entry

    async def find_versions(self, query: Query) -> AsyncIterator[tuple[ObjectKey, VersionEntry]]:
        for model in list(self._data):
            async for entry in self.list_versions(model, Query(digest=query.digest)):
                if query.data_digest is None or query.data_digest in entry.data_digests:
                    yield model, entry

    async def list_models(self) -> AsyncIterator[tuple[ObjectKey, Head]]:
        async for model in self._pages(lambda: list(self._data)):
            yield model, self._of(model).head

    async def owner(self) -> ChainOwner:
        return ChainOwner()

    async def clusters(self) -> tuple[str, ...]:
        return ()

    async def check_owner(self) -> None:
        return

    async def commit(self, step: Commit) -> None:
        await self._request(lambda: self._commit(step))

    def _commit(self, step: Commit) -> None:
        data, record = self._of(step.model), step.record
        if record.id in data.numbers:
            return
        content = encode(record)
        if max(len(json.encode(content)), len(json.encode(step.registers.spec)) if step.registers else 0) > _LARGEST:
            raise RefusedError("the step is too large for the store: leave out details")
        if data.head.audit != step.before.audit:
            raise ConflictError("the head has moved")
        if step.serves:
            _may_serve(data, step)
        if (new := step.registers) is not None:
            if (old := data.versions.get(new.version)) is not None and old.spec_hash != new.spec_hash:
                raise VersionTakenError(f"{new.version} is registered with another spec")
            data.versions.setdefault(new.version, new)
        if (yank := step.yanks) is not None:
            if yank.version not in data.versions:
                raise NotFoundError(f"{yank.version} is not registered")
            data.versions[yank.version] = replace(data.versions[yank.version], yanked=yank.reason)
        data.head = step.after
        data.records[record.sequence] = content
        data.numbers[record.id] = record.sequence

    async def find_record(self, model: ObjectKey, head: Head, record_id: str) -> int | None:
        for recent in head.recent:
            if recent.id == record_id:
                return recent.sequence
        return await self._request(lambda: self._of(model).numbers.get(record_id))

    async def read_records(
        self, model: ObjectKey, *, after: int = 0, through: int | None = None
    ) -> AsyncIterator[StoredRecord]:
        def wanted() -> list[StoredRecord]:
            records = sorted(self._of(model).records.items())
            return [StoredRecord(n, c) for n, c in records if n > after and (through is None or n <= through)]

        async for record in self._pages(wanted):
            yield record

    async def inspect(self, model: ObjectKey) -> StoredContents:
        def seen() -> StoredContents:
            data = self._of(model)
            versions = tuple(
                StoredVersion(
                    version=version,
                    spec_hash=spec_hash(entry.spec),
                    labels=dict(entry.labels),
                    registered_at=entry.registered_at,
                    yanked=entry.yanked,
                )
                for version, entry in sorted(data.versions.items())
            )
            return StoredContents(versions=versions, has_head=data.head.audit.sequence > 0)

        return await self._request(seen)

    async def list_chains(self) -> AsyncIterator[ObjectKey]:
        async for model in self._pages(lambda: [key for key, data in self._data.items() if data.records]):
            yield model

    async def restore(self, model: ObjectKey, restoration: Restoration) -> None:
        def restored() -> None:
            data = self._of(model)
            for record in restoration.records:
                data.records.setdefault(record.sequence, encode(record))
            data.versions |= {entry.version: entry for entry, _ in restoration.versions}
            data.head = restoration.head

        await self._request(restored)

    async def remove_records(self, model: ObjectKey, through: int) -> int:
        def remove() -> int:
            data = self._of(model)
            if through > data.head.audit.pruned_through:
                raise RefusedError(f"record {through} is not pruned")
            gone = [number for number in data.records if number <= through]
            for number in gone:
                del data.records[number]
            return len(gone)

        return await self._request(remove)

    async def close(self) -> None:
        return

    async def _pages(self, read: Callable[[], list[T]]) -> AsyncIterator[T]:
        begin = 0
        while True:
            page = (await self._request(read))[begin : begin + self._page]
            for item in page:
                yield item
            if len(page) < self._page:
                return
            begin += self._page


def _may_serve(data: ModelData, step: Commit) -> None:
    entry = data.versions.get(step.serves)
    if entry is None:
        raise NotFoundError(f"{step.serves} is not registered")
    if entry.yanked:
        raise RefusedError(f"{step.serves} is yanked: {entry.yanked}")
    if entry.digest != step.digest:
        raise RefusedError(f"{step.serves} has another digest")


class MemoryPlace:
    """The registry's contract in memory."""

    def __init__(self) -> None:
        self._data: Data = {}

    def open(self, *, page_size: int = PAGE) -> MemoryStore:
        return MemoryStore(self._data, page_size=page_size)

    def fresh_model(self) -> ObjectKey:
        return ObjectKey("ml", f"m{uuid.uuid4().hex[:10]}")

    def crashing(self, after: int) -> MemoryStore:
        return MemoryStore(self._data, dies_after=after)

    def crashing_before(self, request: int) -> MemoryStore:
        return MemoryStore(self._data, dies_before=request)

    def failing(self, *faults: Fault | None) -> MemoryStore:
        return MemoryStore(self._data, faults=faults)
