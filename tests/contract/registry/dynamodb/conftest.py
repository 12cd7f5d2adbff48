"""DynamoDB emulated by moto: one server for each module, new tables for each test."""

from support.dynamodb.moto import moto, place, tables

__all__ = ["moto", "place", "tables"]
