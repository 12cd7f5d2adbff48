"""Fixtures of the tests on DynamoDB Local: one process for all of them, tables of its own for each test."""

from collections.abc import AsyncIterator, Iterator

import pytest

from localcluster.programs.dynamodb import dynamodb_local
from serinus.settings import DynamoDbSettings
from support.dynamodb.place import DynamoDbPlace, credentials, make_tables, settings_at


@pytest.fixture(scope="session")
def dynamodb() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        credentials(patch)
        with dynamodb_local() as endpoint:
            yield endpoint


@pytest.fixture
def tables(dynamodb: str) -> DynamoDbSettings:
    settings = settings_at(dynamodb)
    make_tables(settings)
    return settings


@pytest.fixture
async def place(tables: DynamoDbSettings) -> AsyncIterator[DynamoDbPlace]:
    one = DynamoDbPlace(tables)
    yield one
    await one.close()
