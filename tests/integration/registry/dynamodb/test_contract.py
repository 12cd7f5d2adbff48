"""The registry in DynamoDB keeps the contract of all stores, on a real process."""

from support.registry.contract import RegistryContract


class TestDynamoDbLocal(RegistryContract):
    """The whole suite against DynamoDB Local."""
