"""The registry's contract in DynamoDB, real or emulated."""

import asyncio
import itertools
import uuid
from collections.abc import Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import ReadTimeoutError
from msgspec import structs

from serinus.api.names import ObjectKey
from serinus.api.quantities import Duration
from serinus.registry.dynamodb.client import Clients, connect
from serinus.registry.dynamodb.names import TableNames
from serinus.registry.dynamodb.reads import PageSizes
from serinus.registry.dynamodb.store import DynamoDbStore
from serinus.registry.dynamodb.tables import create
from serinus.settings import DynamoDbSettings
from support.boto_session import new_session
from support.dynamodb.scripted import Scripted, error
from support.registry.place import PAGE, Crash, Fault

REGION: Final = "eu-central-1"
CLUSTER: Final = "prod-1"

Exchange = Callable[[Any, Callable[[Any], AWSResponse]], AWSResponse | None]
"""Handles a request instead of the network, given the function that sends it; None lets the request pass."""


def credentials(patch: pytest.MonkeyPatch) -> None:
    """Give boto3 invalid credentials, and hide the machine's own settings."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        patch.delenv(name, raising=False)
    patch.setenv("AWS_ACCESS_KEY_ID", "test")
    patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    patch.setenv("AWS_REGION", REGION)
    patch.setenv("AWS_CONFIG_FILE", "/dev/null")
    patch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


def fresh_prefix() -> str:
    """Return an unused table prefix."""
    return f"t{uuid.uuid4().hex[:12]}"


def settings_at(endpoint: str, **fields: Any) -> DynamoDbSettings:
    usual = {"region": REGION, "endpoint": endpoint, "table_prefix": fresh_prefix(), "timeout": Duration("5s")}
    return DynamoDbSettings(**{**usual, "cluster": CLUSTER, **fields})


def make_tables(settings: DynamoDbSettings) -> None:
    clients = connect(settings, new_session())
    try:
        list(create(clients.reads, TableNames.of(settings), protect=False))
    finally:
        clients.close()


def boto_clients(clients: Clients) -> tuple[Any, Any]:
    """Return both clients with everything that boto3 gives them, such as event hooks."""
    return clients.reads, clients.commits


def intercept(clients: Clients, exchange: Exchange) -> None:
    """Call ``exchange`` for every request of both clients, at the point where botocore sends it."""
    for client in boto_clients(clients):
        send = client._endpoint.http_session.send

        def before_send(request: Any, send: Callable[[Any], AWSResponse] = send, **_: Any) -> AWSResponse | None:
            return exchange(request, send)

        client.meta.events.register("before-send.dynamodb", before_send)


class DynamoDbPlace:
    """One pair of tables; :meth:`close` closes all stores."""

    def __init__(self, settings: DynamoDbSettings) -> None:
        self.settings = settings
        self._session = new_session()
        self._opened: dict[DynamoDbStore, Clients] = {}

    def open(
        self,
        *,
        page_size: int = PAGE,
        exchange: Exchange | None = None,
        cluster: str | None = None,
        identity: str | None = None,
    ) -> DynamoDbStore:
        """Open a store of the place's cluster or of another one, as the operator of the cluster with this identity."""
        settings = self.settings if cluster is None else structs.replace(self.settings, cluster=cluster)
        clients = connect(settings, self._session)
        if exchange is not None:
            intercept(clients, exchange)
        pages = PageSizes(versions=page_size, records=page_size, index=page_size)
        identify = _identified_as(identity) if identity is not None else None
        store = DynamoDbStore(settings, clients, pages=pages, identify=identify)
        self._opened[store] = clients
        return store

    def clients(self, store: DynamoDbStore) -> Clients:
        """Return the clients of a store."""
        return self._opened[store]

    def fresh_model(self) -> ObjectKey:
        return ObjectKey("ml", f"m{uuid.uuid4().hex[:10]}")

    def crashing(self, after: int, **opened: Any) -> DynamoDbStore:
        count = itertools.count(1)

        def exchange(request: Any, send: Callable[[Any], AWSResponse]) -> AWSResponse | None:
            if next(count) != after:
                return None
            send(request)
            raise Crash

        return self.open(exchange=exchange, **opened)

    def crashing_before(self, request: int) -> DynamoDbStore:
        count = itertools.count(1)

        def exchange(_: Any, __: Callable[[Any], AWSResponse]) -> AWSResponse | None:
            if next(count) == request:
                raise Crash
            return None

        return self.open(exchange=exchange)

    def failing(self, *faults: Fault | None) -> DynamoDbStore:
        return self.open(exchange=faulty(faults))

    async def close(self) -> None:
        await asyncio.gather(*(store.close() for store in self._opened))
        self._opened.clear()


def _identified_as(identity: str) -> Callable[[], Awaitable[str]]:
    async def identify() -> str:
        return identity

    return identify


def faulty(faults: Iterable[Fault | None]) -> Exchange:
    """Let the first requests fail so, one by one."""
    ahead: Iterator[Fault | None] = iter(faults)

    def exchange(request: Any, send: Callable[[Any], AWSResponse]) -> AWSResponse | None:
        match next(ahead, None):
            case Fault.THROTTLED:
                return Scripted(error("ThrottlingException"))(request, send)
            case Fault.TIMED_OUT_BEFORE:
                raise ReadTimeoutError(endpoint_url=request.url)
            case Fault.TIMED_OUT_AFTER:
                send(request)
                raise ReadTimeoutError(endpoint_url=request.url)
            case _:
                return None

    return exchange


@contextmanager
def counted(clients: Clients) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    """Collect the name and the parameters of every API call."""
    calls: list[tuple[str, dict[str, Any]]] = []

    def note(params: dict[str, Any], model: Any, **_: Any) -> None:
        calls.append((model.name, params))

    for client in boto_clients(clients):
        client.meta.events.register("provide-client-params.dynamodb", note)
    yield calls
    for client in boto_clients(clients):
        client.meta.events.unregister("provide-client-params.dynamodb", note)
