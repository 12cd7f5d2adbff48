"""The registry for serving code: which version of a model to load, without a cluster and without an event loop."""

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
from serinus.registry.dynamodb.items import Keys
from serinus.registry.dynamodb.names import TableNames, checked_scope
from serinus.registry.dynamodb.reads import PageSizes, Reads, pages
from serinus.settings import DynamoDbSettings


class DynamoDbReader:
    """The protocol :class:`serinus.registry.address.RegistryReader` over DynamoDB, in the caller's own thread."""

    def __init__(
        self, settings: DynamoDbSettings, namespace: str, clients: Clients, *, sizes: PageSizes | None = None
    ) -> None:
        """Prepare; nothing is sent. ``namespace`` is that of models that are named without one."""
        self._namespace, self._clients = namespace, clients
        keys = Keys(checked_scope(settings))
        self._reads = Reads(clients.reads, TableNames.of(settings), keys, sizes or PageSizes())

    def production(self, model: str) -> ProductionVersion | None:
        """Return the version that serves: one strongly consistent GetItem."""
        return self._reads.head(self._key(model)).production

    def get(self, model: str, version: str) -> VersionEntry:
        """Return one version."""
        found = self._reads.version(self._key(model), version.removeprefix("v"))
        if found is None:
            raise NotFoundError(f"{self._key(model)} {version} is not registered: see list({model!r})")
        return found

    def list(self, model: str, query: Query | None = None) -> list[VersionEntry]:
        """Return the versions that the query wants, the newest first in the order of SemVer."""
        wanted, key = query or Query(), self._key(model)
        head = self._reads.head(key)
        return select(pages(partial(self._reads.versions, key, wanted)), head, wanted)

    def history(self, model: str, *, after: int = 0) -> Iterator[AuditRecordSpec]:
        """Yield the audit trail in order."""
        for stored in pages(partial(self._reads.records, self._key(model), after, None)):
            yield decode(AuditRecordSpec, dict(stored.content), "spec")

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
