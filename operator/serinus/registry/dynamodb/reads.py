"""All reads from DynamoDB, synchronous, for the threads of the store and for plain scripts.

Everything that decisions are based on is read strongly consistent. The three indexes, which cannot be, only yield keys,
whose items are then read strongly consistent.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.backoff import Backoff
from serinus.engine.audit.chain import StoredRecord
from serinus.engine.audit.registrations import RegisteredVersion
from serinus.engine.versions.catalogue import Query, VersionEntry
from serinus.errors import RefusedError, TransientError
from serinus.registry.dynamodb.api import DynamoDbApi
from serinus.registry.dynamodb.client import read
from serinus.registry.dynamodb.clusters import ClusterDirectory
from serinus.registry.dynamodb.items import (
    ARTIFACT_INDEX,
    DATA_INDEX,
    FLEET_INDEX,
    LAST_SEQUENCE,
    entry_of,
    head_of,
    registered_of,
    stored_record,
)
from serinus.registry.dynamodb.keys import Item, Key, Keys, sequence_text, text, versions_begin
from serinus.registry.dynamodb.names import TableNames

T = TypeVar("T")

_BATCH: Final = 25
"""Keys of one BatchGetItem: heads and versions have a few KB, so that a response stays far below its 16 MB."""
_BATCH_TRIES: Final = 5
_BACKOFF: Final = Backoff(first=0.05, longest=0.4)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of results; ``cursor`` is the position of the next page, None after the last."""

    results: Sequence[T]
    cursor: Key | None


@dataclass(frozen=True, slots=True)
class PageSizes:
    """The number of items of one page; DynamoDB ends a page at 1 MB in any case.

    Attributes:
        versions: of a model.
        records: of a chain.
        index: entries of an index.
    """

    versions: int = 100
    records: int = 250
    index: int = 100


class Reads:
    """The read operations. Every method blocks for at most a few time-outs; errors as of ports.RegistryStore."""

    def __init__(self, client: DynamoDbApi, tables: TableNames, directory: ClusterDirectory, pages: PageSizes) -> None:
        """Read the models of the directory's cluster from these tables through this client."""
        self._client, self._tables, self._pages = client, tables, pages
        self._directory = directory

    @property
    def _keys(self) -> Keys:
        return self._directory.keys()

    def head(self, model: ObjectKey) -> Head:
        """Return the head: one strongly consistent GetItem, half a read unit for each KB of it."""
        return head_of(self._get(self._keys.head(model), "head"), model)

    def version(self, model: ObjectKey, version: str) -> VersionEntry | None:
        """Return one version; None where it is not registered or not SemVer."""
        try:
            key = self._keys.version(model, version)
        except ValueError:
            return None
        item = self._get(key)
        return entry_of(item) if item is not None else None

    def registered(self, model: ObjectKey, version: str) -> RegisteredVersion | None:
        """Return what was registered: a version's item is created once, in one transaction with its record."""
        try:
            key = self._keys.version(model, version)
        except ValueError:
            return None
        item = self._get(key)
        return registered_of(item) if item is not None else None

    def number_elsewhere(self, model: ObjectKey, version: str) -> list[tuple[str, str]]:
        """Return the spec hash under which each other cluster of the fleet has a version, with the cluster's name."""
        own = self._keys
        places = {claim.keys.prefix: claim for claim in self._directory.claims() if claim.keys.prefix != own.prefix}
        keys = [claim.keys.version(model, version) for claim in places.values()]
        names = {key["pk"]["S"]: claim.name for key, claim in zip(keys, places.values(), strict=True)}
        return [(names[item["pk"]["S"]], item.get("specHash", {}).get("S", "")) for item in self._batch(keys)]

    def partition(self, model: ObjectKey, cursor: Key | None) -> Page[Item]:
        """Return a page of everything that the registry's table has of a model."""
        items, following = self._page(
            self._tables.registry,
            "pk = :pk",
            {":pk": text(self._keys.of_model(model))},
            self._pages.versions,
            cursor,
            ConsistentRead=True,
        )
        return Page(items, following)

    def chains(self, cursor: Key | None) -> Page[ObjectKey]:
        """Return the models of this cluster that have a record in a page of the audit table, with repetitions."""
        more = {"ExclusiveStartKey": cursor} if cursor is not None else {}
        answer = read(
            self._client.scan,
            TableName=self._tables.audit,
            ProjectionExpression="pk",
            FilterExpression="begins_with(pk, :scope)",
            ExpressionAttributeValues={":scope": text(self._keys.prefix)},
            **more,
        )
        keys = self._keys
        models = dict.fromkeys(keys.model_of(item) for item in answer["Items"])
        return Page(list(models), answer.get("LastEvaluatedKey"))

    def existing_sequence(self, model: ObjectKey, record_id: str) -> int | None:
        """Return the number of the record with this id; None where there is none, or it has expired."""
        item = self._get(self._keys.record_id(model, record_id))
        return int(item["seq"]["N"]) if item is not None else None

    def versions(self, model: ObjectKey, query: Query, cursor: Key | None) -> Page[VersionEntry]:
        """Return a page of a model's versions, only those with the query's major number where it has one."""
        begin = text(versions_begin(query.major))
        items, following = self._page(
            self._tables.registry,
            "pk = :pk AND begins_with(sk, :begin)",
            {":pk": text(self._keys.of_model(model)), ":begin": begin},
            self._pages.versions,
            cursor,
            ConsistentRead=True,
        )
        return Page([entry_of(item) for item in items], following)

    def records(self, model: ObjectKey, after: int, through: int | None, cursor: Key | None) -> Page[StoredRecord]:
        """Return a page of the chain, after record ``after`` or, from the second page on, from the cursor."""
        last = LAST_SEQUENCE if through is None else through
        if after >= last:
            return Page((), None)
        items, following = self._page(
            self._tables.audit,
            "pk = :pk AND sk BETWEEN :first AND :last",
            {
                ":pk": text(self._keys.of_model(model)),
                ":first": text(sequence_text(after + 1)),
                ":last": text(sequence_text(last)),
            },
            self._pages.records,
            cursor,
            ConsistentRead=True,
        )
        return Page(list(_stored_records(items, after)), following)

    def models(self, cursor: Key | None) -> Page[tuple[ObjectKey, Head]]:
        """Return a page of the fleet: the models by the index, their heads by a consistent read."""
        entries, following = self._page(
            self._tables.registry,
            "fleet = :fleet",
            {":fleet": text(self._keys.fleet)},
            self._pages.index,
            cursor,
            IndexName=FLEET_INDEX,
        )
        heads = self._batch({"pk": entry["pk"], "sk": entry["sk"]} for entry in entries)
        models = [(self._keys.model_of(item), item) for item in heads]
        return Page([(model, head_of(item, model)) for model, item in models], following)

    def matching(self, query: Query, cursor: Key | None) -> Page[tuple[ObjectKey, VersionEntry]]:
        """Return a page of all models' versions with the query's digest or data digest.

        Raises:
            RefusedError: the query names neither.
        """
        index, attribute, digest = _index_for(query)
        entries, following = self._page(
            self._tables.registry,
            "#digest = :digest AND begins_with(pk, :scope)",
            {":digest": text(digest), ":scope": text(self._keys.prefix)},
            self._pages.index,
            cursor,
            IndexName=index,
            ExpressionAttributeNames={"#digest": attribute},
        )
        items = self._batch(self._keys.version_at(entry) for entry in entries)
        return Page([(self._keys.model_of(item), entry_of(item)) for item in items], following)

    # ---- requests ------------------------------------------------------------------------------

    def _get(self, key: Key, attribute: str | None = None) -> Item | None:
        more = {"ProjectionExpression": attribute} if attribute else {}
        answer = read(self._client.get_item, TableName=self._tables.registry, Key=key, ConsistentRead=True, **more)
        item: Item | None = answer.get("Item")
        return item

    def _page(
        self,
        table: str,
        condition: str,
        values: Key,
        size: int,
        cursor: Key | None,
        **more: object,
    ) -> tuple[list[Item], Key | None]:
        if cursor is not None:
            more["ExclusiveStartKey"] = cursor
        answer = read(
            self._client.query,
            TableName=table,
            KeyConditionExpression=condition,
            ExpressionAttributeValues=values,
            Limit=size,
            **more,
        )
        return answer["Items"], answer.get("LastEvaluatedKey")

    def _batch(self, keys: Iterable[Key]) -> Iterator[Item]:
        # An index may refer to one version twice, and BatchGetItem refuses duplicate keys.
        unique = list({(key["pk"]["S"], key["sk"]["S"]): key for key in keys}.values())
        for start in range(0, len(unique), _BATCH):
            yield from self._all_of(unique[start : start + _BATCH])

    def _all_of(self, keys: list[Key]) -> Iterator[Item]:
        table, pauses = self._tables.registry, iter(_BACKOFF)
        for attempt in range(_BATCH_TRIES):
            if attempt:
                time.sleep(next(pauses))
            answer = read(self._client.batch_get_item, RequestItems={table: {"Keys": keys, "ConsistentRead": True}})
            yield from answer["Responses"].get(table, ())
            keys = answer.get("UnprocessedKeys", {}).get(table, {}).get("Keys", [])
            if not keys:
                return
        raise TransientError(f"DynamoDB is too busy to read {len(keys)} items of {table}: try again later")


def pages(fetch: Callable[[Key | None], Page[T]]) -> Iterator[T]:
    """Yield the results of all pages."""
    cursor: Key | None = None
    while True:
        page = fetch(cursor)
        yield from page.results
        cursor = page.cursor
        if cursor is None:
            return


def has_digests(entry: VersionEntry, query: Query) -> bool:
    """Return whether a version has the query's digests: an index may be a moment behind."""
    return query.digest in {None, entry.digest} and (
        query.data_digest is None or query.data_digest in entry.data_digests
    )


def _index_for(query: Query) -> tuple[str, str, str]:
    if query.digest is not None:
        return ARTIFACT_INDEX, "artifact", query.digest
    if query.data_digest is not None:
        return DATA_INDEX, "dataHash", query.data_digest
    raise RefusedError("versions of all models are found by a digest only: name the artifact's or a data set's")


def _stored_records(items: Iterable[Item], after: int) -> Iterator[StoredRecord]:
    for item in items:
        stored = stored_record(item, after)
        after = stored.sequence
        yield stored
