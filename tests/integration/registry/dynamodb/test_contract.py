"""The registry in DynamoDB keeps the contract of all stores, on a real process."""

from support.dynamodb.place import DynamoDbPlace
from support.registry.concurrency import rivals
from support.registry.contract import RegistryContract


class TestDynamoDbLocal(RegistryContract):
    """The whole suite against DynamoDB Local."""


async def test_of_several_specs_registered_at_once_under_one_number_one_is_registered(place: DynamoDbPlace) -> None:
    await rivals(place, place.fresh_model())
