"""The quick part of the registry's contract on moto; crashes, crowds and sizes need DynamoDB Local."""

from support.dynamodb_moto import moto, place, tables
from support.registry_contract_moves import MovesContract
from support.registry_contract_versions import VersionsContract

__all__ = ["moto", "place", "tables"]


class TestMoto(VersionsContract, MovesContract):
    pass
