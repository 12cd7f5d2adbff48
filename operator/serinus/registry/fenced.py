"""The fence around a registry's store: of several processes only the leader commits."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, nullcontext

from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.engine.audit.chain import ChainOwner, StoredRecord
from serinus.engine.audit.contents import StoredContents
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.versions.catalogue import Query, VersionEntry
from serinus.ports.registry_store import Commit, RegistryStore, Restoration
from serinus.ports.services import Guard


class FencedStore:
    """A ``RegistryStore`` that calls ``may_write`` before each change, each retry included; reads pass."""

    def __init__(
        self,
        store: RegistryStore,
        may_write: Guard,
        tracking: Callable[[], AbstractContextManager[None]] = nullcontext,
    ) -> None:
        """Put the fence around this store; ``tracking`` is entered while a commit is under way."""
        self._store = store
        self._may_write = may_write
        self._tracking = tracking

    async def read_head(self, model: ObjectKey) -> Head:
        """Return the model's head."""
        return await self._store.read_head(model)

    async def read_version(self, model: ObjectKey, version: str) -> VersionEntry | None:
        """Return one version; None where it is not registered."""
        return await self._store.read_version(model, version)

    async def read_registered(self, model: ObjectKey, head: Head, version: str) -> RegisteredVersion | None:
        """Return what the records up to this head say of a version."""
        return await self._store.read_registered(model, head, version)

    def list_versions(self, model: ObjectKey, query: Query) -> AsyncIterator[VersionEntry]:
        """Yield the model's versions."""
        return self._store.list_versions(model, query)

    def find_versions(self, query: Query) -> AsyncIterator[tuple[ObjectKey, VersionEntry]]:
        """Yield the versions of all models that have the query's digest or data digest."""
        return self._store.find_versions(query)

    def list_models(self) -> AsyncIterator[tuple[ObjectKey, Head]]:
        """Yield all models with their heads."""
        return self._store.list_models()

    async def owner(self) -> ChainOwner:
        """Return the cluster whose heads and chains these are."""
        return await self._store.owner()

    async def clusters(self) -> tuple[str, ...]:
        """Return the names of all clusters that have heads in the store."""
        return await self._store.clusters()

    async def check_owner(self) -> None:
        """Raise ClusterTakenError where the name of this cluster belongs to another one."""
        await self._store.check_owner()

    async def commit(self, step: Commit) -> None:
        """Store the step; NotLeaderError where this process must not."""
        self._may_write()
        with self._tracking():
            await self._store.commit(step)

    async def find_record(self, model: ObjectKey, head: Head, record_id: str) -> int | None:
        """Return the sequence number of the record with this id, or None."""
        return await self._store.find_record(model, head, record_id)

    def read_records(
        self, model: ObjectKey, *, after: int = 0, through: int | None = None
    ) -> AsyncIterator[StoredRecord]:
        """Yield the chain's records in order."""
        return self._store.read_records(model, after=after, through=through)

    async def inspect(self, model: ObjectKey) -> StoredContents:
        """Return everything that the store shows of a model beside its chain."""
        return await self._store.inspect(model)

    def list_chains(self) -> AsyncIterator[ObjectKey]:
        """Yield each model that has a record."""
        return self._store.list_chains()

    async def restore(self, model: ObjectKey, restoration: Restoration) -> None:
        """Store what is missing or differs; NotLeaderError where this process must not."""
        self._may_write()
        await self._store.restore(model, restoration)

    async def remove_records(self, model: ObjectKey, through: int) -> int:
        """Delete the records up to this one; NotLeaderError where this process must not."""
        self._may_write()
        return await self._store.remove_records(model, through)

    async def close(self) -> None:
        """Release connections and threads."""
        await self._store.close()
