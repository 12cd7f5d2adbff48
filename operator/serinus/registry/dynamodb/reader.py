"""The registry for serving code: synchronous reads, without a cluster and without an event loop."""

from collections.abc import Iterator
from functools import partial
from types import TracebackType
from typing import Self

from serinus.api.audit_record import AuditRecordSpec
from serinus.api.model import ProductionVersion
from serinus.api.names import ObjectKey
from serinus.api.parsing import decode
from serinus.engine.versions.catalogue import Query, VersionEntry, select
from serinus.errors import InvalidObjectError, NotFoundError
from serinus.registry.dynamodb.client import Clients
from serinus.registry.dynamodb.clusters import ClusterDirectory
from serinus.registry.dynamodb.names import TableNames
from serinus.registry.dynamodb.reads import PageSizes, Reads, pages
from serinus.settings import DynamoDbSettings


class DynamoDbReader:
    """:class:`serinus.registry.address.RegistryReader` over DynamoDB, in the caller's thread."""

    def __init__(
        self, settings: DynamoDbSettings, namespace: str, clients: Clients, *, sizes: PageSizes | None = None
    ) -> None:
        """Initialize without sending a request; ``namespace`` is the default for models named without one."""
        self._namespace, self._clients = namespace, clients
        self._directory = ClusterDirectory(settings, clients)
        self._reads = Reads(clients.reads, TableNames.of(settings), self._directory, sizes or PageSizes())

    def production(self, model: str) -> ProductionVersion | None:
        """Return the production version: one strongly consistent GetItem."""
        return self._reads.head(self._key(model)).production

    def get(self, model: str, version: str) -> VersionEntry:
        """Return one version; NotFoundError where it is not registered."""
        entry = self._reads.version(self._key(model), version.removeprefix("v"))
        if entry is None:
            raise NotFoundError(f"{self._key(model)} {version} is not registered: see list({model!r})")
        return entry

    def list(self, model: str, query: Query | None = None) -> list[VersionEntry]:
        """Return the versions that match the query in SemVer order, newest first."""
        filters, key = query or Query(), self._key(model)
        head = self._reads.head(key)
        return select(pages(partial(self._reads.versions, key, filters)), head, filters)

    def history(self, model: str, *, after: int = 0) -> Iterator[AuditRecordSpec]:
        """Yield the audit trail in order."""
        for stored in pages(partial(self._reads.records, self._key(model), after, None)):
            yield decode(AuditRecordSpec, dict(stored.content), "spec")

    def clusters(self) -> tuple[str, ...]:
        """Return the names of the clusters that have heads in these tables."""
        return tuple(claim.name for claim in self._directory.claims())

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _key(self, model: str) -> ObjectKey:
        namespace, slash, name = model.rpartition("/")
        if not name or "/" in namespace:
            raise InvalidObjectError("model", f"{model!r} is neither a name nor namespace/name")
        return ObjectKey(namespace if slash else self._namespace, name)
