"""The registry in DynamoDB: one table for the current state, one for the chain, every step one transaction.

A head is one strongly consistent GetItem whatever the number of versions; a step is one TransactWriteItems whose
conditions only one of several concurrent writers can meet. boto3 blocks, so it runs in the store's own threads.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Final, Self, TypeVar

from botocore.exceptions import ClientError

from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.engine.audit.chain import ChainOwner, StoredRecord
from serinus.engine.audit.contents import StoredContents
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.versions.catalogue import Query, VersionEntry
from serinus.errors import AmbiguousError, ConflictError, RefusedError, TransientError, VersionTakenError
from serinus.ports.registry_store import Commit, Restoration
from serinus.registry.dynamodb.client import (
    CONNECTIONS,
    READ_ATTEMPTS,
    Clients,
    ContendedError,
    connect,
    write,
)
from serinus.registry.dynamodb.clusters import ClusterDirectory
from serinus.registry.dynamodb.commit import Transaction, cancelled, taken_elsewhere, transaction
from serinus.registry.dynamodb.inspect import contents_of
from serinus.registry.dynamodb.keys import Key, Keys
from serinus.registry.dynamodb.names import TableNames
from serinus.registry.dynamodb.reads import Page, PageSizes, Reads, has_digests
from serinus.registry.dynamodb.restoring import restoring
from serinus.registry.dynamodb.tables import probe
from serinus.settings import DynamoDbSettings

T = TypeVar("T")

COMMIT_TRIES: Final = 6
_BACKOFF: Final = Backoff(first=0.02, longest=1.0, jitter=0.5)
_SLACK_SECONDS: Final = 5.0


class DynamoDbStore:
    """The port ``RegistryStore`` over DynamoDB."""

    def __init__(
        self,
        settings: DynamoDbSettings,
        clients: Clients,
        *,
        pages: PageSizes | None = None,
        patience: float | None = None,
        identify: Callable[[], Awaitable[str]] | None = None,
    ) -> None:
        """Initialize without sending a request; see :meth:`open`.

        Args:
            settings: the table prefix and the time-out.
            clients: of boto3; closed with the store.
            pages: the page sizes.
            patience: the most seconds for one request, including the wait for a thread.
            identify: returns the identity of the cluster that this process runs in; None for a client outside of it.
        """
        self._tables, self._directory = TableNames.of(settings), ClusterDirectory(settings, clients)
        self._clients, self._identify = clients, identify
        self._claimed: Keys | None = None
        self._reads = Reads(clients.reads, self._tables, self._directory, pages or PageSizes())
        # Every attempt may connect and read, and adaptive mode may pause in between.
        usual = READ_ATTEMPTS * settings.timeout.seconds + _SLACK_SECONDS
        self._patience = usual if patience is None else patience
        self._pool = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="dynamodb")
        self._running: set[asyncio.Future[Any]] = set()

    @classmethod
    async def open(cls, settings: DynamoDbSettings, *, pages: PageSizes | None = None) -> Self:
        """Connect and check that the tables and transactions are available.

        Raises:
            ConfigurationError: they are not, or the settings are invalid; the message has the remedy.
            RefusedError, TransientError: see serinus.errors.
        """
        # boto3 takes some tenths of a second to read its service description: once, at the start.
        store = cls(settings, connect(settings), pages=pages)
        try:
            await store.probe()
        except BaseException:
            await store.close()
            raise
        return store

    async def probe(self) -> None:
        """Check that the tables and transactions are available; errors as of :meth:`open`."""
        await self._read(partial(probe, self._clients.reads, self._tables))

    async def close(self) -> None:
        """Wait for running requests, then release threads and connections."""
        if self._running:
            await asyncio.wait(self._running, timeout=self._patience)
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._clients.close()

    # ---- reading -------------------------------------------------------------------------------

    async def read_head(self, model: ObjectKey) -> Head:
        """Return the model's head: one strongly consistent GetItem."""
        return await self._read(partial(self._reads.head, model))

    async def read_version(self, model: ObjectKey, version: str) -> VersionEntry | None:
        """Return one version, strongly consistent; None where it is not registered."""
        return await self._read(partial(self._reads.version, model, version))

    async def read_registered(self, model: ObjectKey, head: Head, version: str) -> RegisteredVersion | None:  # noqa: ARG002 - the item is as new as the head
        """Return what was registered, from the version's item, strongly consistent."""
        return await self._read(partial(self._reads.registered, model, version))

    async def list_versions(self, model: ObjectKey, query: Query) -> AsyncIterator[VersionEntry]:
        """Yield the model's versions; with a major number in the query only those are read."""
        async for entry in self._paged(partial(self._reads.versions, model, query)):
            yield entry

    async def find_versions(self, query: Query) -> AsyncIterator[tuple[ObjectKey, VersionEntry]]:
        """Yield the versions of all models of this cluster with the query's digest or data digest.

        Raises:
            RefusedError: the query names neither.
        """
        async for model, entry in self._paged(partial(self._reads.matching, query)):
            if has_digests(entry, query):
                yield model, entry

    async def list_models(self) -> AsyncIterator[tuple[ObjectKey, Head]]:
        """Yield all models of this cluster with their heads."""
        async for model_and_head in self._paged(self._reads.models):
            yield model_and_head

    async def find_record(self, model: ObjectKey, head: Head, record_id: str) -> int | None:
        """Return the sequence of the record with this id; after 30 days only the head's last 64 are known."""
        for recent in head.recent:
            if recent.id == record_id:
                return recent.sequence
        return await self._read(partial(self._reads.existing_sequence, model, record_id))

    async def read_records(
        self, model: ObjectKey, *, after: int = 0, through: int | None = None
    ) -> AsyncIterator[StoredRecord]:
        """Yield the chain's records in order, as stored, strongly consistent."""
        async for stored in self._paged(partial(self._reads.records, model, after, through)):
            yield stored

    async def inspect(self, model: ObjectKey) -> StoredContents:
        """Return everything that the registry's table shows of a model, strongly consistent."""
        items = [item async for item in self._paged(partial(self._reads.partition, model))]
        return contents_of(items, await self._read(self._directory.keys), model)

    async def list_chains(self) -> AsyncIterator[ObjectKey]:
        """Yield each model of this cluster that has a record: a scan of the whole audit table."""
        seen: set[ObjectKey] = set()
        async for model in self._paged(self._reads.chains):
            if model not in seen:
                seen.add(model)
                yield model

    async def owner(self) -> ChainOwner:
        """Return the cluster whose heads are read; the claim is looked up once."""
        keys = await self._read(self._directory.keys)
        return ChainOwner(keys.cluster, unnamed=keys.unnamed)

    async def clusters(self) -> tuple[str, ...]:
        """Return the names of all clusters of this scope."""
        return tuple(claim.name for claim in await self._read(self._directory.claims))

    async def check_owner(self) -> None:
        """Raise ClusterTakenError where the name of this process' cluster belongs to another one; write nothing."""
        identity = await self._identify() if self._identify is not None else ""
        await self._read(partial(self._directory.check, identity))

    # ---- writing -------------------------------------------------------------------------------

    async def claim(self) -> Keys:
        """Claim the cluster's name for this process' cluster, unless that is done, and return the keys.

        Raises:
            ClusterTakenError: another cluster has the name.
            ConfigurationError: no cluster is named.
        """
        if self._claimed is None:
            identity = await self._identify() if self._identify is not None else ""
            self._claimed = await self._write(partial(self._directory.claim, identity))
        return self._claimed

    async def commit(self, step: Commit) -> None:
        """Store the step in one transaction; errors as of ports.RegistryStore.

        On throttling and concurrent writes of the same items the request is repeated with the same token.
        """
        keys = await self.claim()
        if step.registers is not None:
            await self._read(partial(self._refuse_other_spec, step.model, step.registers))
        request = transaction(step, keys, self._tables)
        pauses = iter(_BACKOFF)
        for attempt in range(1, COMMIT_TRIES + 1):
            try:
                return await self._write(partial(self._send, request))
            except ContendedError:
                if attempt == COMMIT_TRIES:
                    raise
                await asyncio.sleep(next(pauses))
        raise AssertionError("the last attempt returns or raises")

    def _refuse_other_spec(self, model: ObjectKey, entry: VersionEntry) -> None:
        """Raise VersionTakenError where another cluster of the fleet has the version with another spec."""
        for cluster, spec_hash in self._reads.number_elsewhere(model, entry.version):
            if spec_hash != entry.spec_hash:
                raise VersionTakenError(taken_elsewhere(model, entry, cluster, spec_hash))

    def _send(self, step: Transaction) -> None:
        try:
            write(self._clients.commits.transact_write_items, **step.request)
        except ClientError as problem:
            error = cancelled(step, problem.response.get("CancellationReasons", []))
            if error is not None:
                raise error from problem

    async def restore(self, model: ObjectKey, restoration: Restoration) -> None:
        """Store the lost records and versions, then the head, each in a transaction of its own."""
        for actions in restoring(restoration, await self.claim(), self._tables, model):
            try:
                await self._write(partial(write, self._clients.commits.transact_write_items, TransactItems=actions))
            except ClientError as problem:
                raise ConflictError(
                    f"{model}: the head or a record was written meanwhile, or the last attempt has stored it: read "
                    f"everything again ({problem})"
                ) from problem

    async def remove_records(self, model: ObjectKey, through: int) -> int:
        """Delete the records up to this one, oldest first, and return their number.

        The operator's policy denies this: it needs the role of deploy/aws/retention-policy.json.

        Raises:
            RefusedError: they are not pruned according to the head, or the role may not delete.
            AmbiguousError: some may be deleted: retry.
        """
        head = await self.read_head(model)
        if through > head.audit.pruned_through:
            raise RefusedError(
                f"{model}: the head says that records up to {head.audit.pruned_through} are pruned, not {through}: "
                "record the pruning first"
            )
        removed = 0
        async for stored in self.read_records(model, through=through):
            await self._write(partial(self._remove, model, stored.sequence))
            removed += 1
        return removed

    def _remove(self, model: ObjectKey, sequence: int) -> None:
        key = self._directory.keys().record(model, sequence)
        write(self._clients.commits.delete_item, TableName=self._tables.audit, Key=key)

    # ---- threads -------------------------------------------------------------------------------

    async def _paged(self, fetch: Callable[[Key | None], Page[T]]) -> AsyncIterator[T]:
        cursor: Key | None = None
        while True:
            page = await self._read(partial(fetch, cursor))
            for result in page.results:
                yield result
            cursor = page.cursor
            if cursor is None:
                return

    async def _read(self, call: Callable[[], T]) -> T:
        try:
            return await self._in_thread(call)
        except TimeoutError as problem:
            raise TransientError(self._late("try again later")) from problem

    async def _write(self, call: Callable[[], T]) -> T:
        try:
            return await self._in_thread(call)
        except TimeoutError as problem:
            raise AmbiguousError(self._late("the step may be stored or not")) from problem

    async def _in_thread(self, call: Callable[[], T]) -> T:
        running = asyncio.get_running_loop().run_in_executor(self._pool, call)
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return await asyncio.wait_for(running, self._patience)

    def _late(self, meaning: str) -> str:
        return f"DynamoDB did not respond within {self._patience:g} s, including connecting and retries: {meaning}"
