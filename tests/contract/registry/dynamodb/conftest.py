"""DynamoDB as moto plays it: one server for each module, tables of its own for each test."""

from support.dynamodb.moto import moto, place, tables

__all__ = ["moto", "place", "tables"]
