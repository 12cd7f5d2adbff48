"""The IAM permissions that a call of DynamoDB needs, and the ones that a policy allows or denies."""

import json
from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

PLACE: Final = {"partition": "aws", "region": "eu-central-1", "account": "123456789012"}

Right = tuple[str, str]
"""An action and the resource, from the table's name on, such as ``serinus-registry/index/*``."""

_IN_TRANSACTION: Final = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
"""AWS, "Using IAM with DynamoDB transactions": there is no permission named TransactWriteItems."""


def needed(operation: str, request: dict[str, Any]) -> Iterator[Right]:
    """Yield the permissions that a call needs."""
    match operation:
        case "TransactWriteItems":
            for item in request["TransactItems"]:
                for kind, action in item.items():
                    yield f"dynamodb:{_IN_TRANSACTION[kind]}", action["TableName"]
        case "BatchGetItem":
            yield from (("dynamodb:BatchGetItem", table) for table in request["RequestItems"])
        case "Query" if "IndexName" in request:
            yield "dynamodb:Query", f"{request['TableName']}/index/*"
        case _:
            yield f"dynamodb:{operation}", request["TableName"]


def policy(file: Path, prefix: str) -> dict[str, Any]:
    """Return a policy of deploy/aws for these tables, as Terraform fills it in."""
    text = file.read_text(encoding="utf-8")
    for name, value in (PLACE | {"prefix": prefix}).items():
        text = text.replace(f"${{{name}}}", value)
    assert "${" not in text, "an unknown variable"
    document = json.loads(text)
    assert isinstance(document, dict)
    return document


def rights(document: dict[str, Any], effect: str) -> set[Right]:
    """Return the permissions that a policy allows or denies."""
    return {
        (action, str(resource).rpartition(":table/")[2])
        for statement in document["Statement"]
        if statement["Effect"] == effect
        for action in _listed(statement["Action"])
        for resource in _listed(statement["Resource"])
    }


def permitted(document: dict[str, Any], asked: Iterable[Right]) -> bool:
    """Return whether a policy allows, and does not deny, all of these permissions."""
    allow, deny = rights(document, "Allow"), rights(document, "Deny")
    return all(_matches(right, allow) and not _matches(right, deny) for right in asked)


def _matches(right: Right, among: set[Right]) -> bool:
    return any(fnmatchcase(right[0], action) and right[1] == resource for action, resource in among)


def _listed(value: str | list[str]) -> list[str]:
    return [value] if isinstance(value, str) else value
