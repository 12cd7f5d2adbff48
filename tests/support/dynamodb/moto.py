"""DynamoDB emulated by moto in a thread of the tests' process: quick, but without its limits and races."""

from collections.abc import AsyncIterator, Iterator

import pytest
from moto.server import ThreadedMotoServer

from serinus.settings import DynamoDbSettings
from support.dynamodb.place import DynamoDbPlace, credentials, make_tables, settings_at


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        credentials(patch)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        yield f"http://{host}:{port}"
        server.stop()


@pytest.fixture
def tables(moto: str) -> DynamoDbSettings:
    settings = settings_at(moto)
    make_tables(settings)
    return settings


@pytest.fixture
async def place(tables: DynamoDbSettings) -> AsyncIterator[DynamoDbPlace]:
    dynamodb = DynamoDbPlace(tables)
    yield dynamodb
    await dynamodb.close()
