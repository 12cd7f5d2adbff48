"""The registry's tables: their schema, their creation, and the check of an existing installation."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from serinus.errors import ConfigurationError, RefusedError, TransientError
from serinus.registry.dynamodb.api import DynamoDbApi
from serinus.registry.dynamodb.client import code_of, failure, read, write
from serinus.registry.dynamodb.items import ARTIFACT_INDEX, DATA_INDEX, FLEET_INDEX
from serinus.registry.dynamodb.names import TableNames

EXPIRES: Final = "expires"
"""The attribute by which DynamoDB removes the items that map record ids to numbers."""

_CREATE: Final = "serinus registry dynamodb create-tables"
_DENIED: Final = "AccessDeniedException"
_POLL_SECONDS, _POLLS = 1, 120


@dataclass(frozen=True, slots=True)
class Shape:
    """The schema of a table: partition and sort key of the table and of each index, and the TTL attribute."""

    key: tuple[str, str]
    indexes: Mapping[str, tuple[str, str]]
    expires: str = ""


REGISTRY: Final = Shape(
    ("pk", "sk"),
    {FLEET_INDEX: ("fleet", "fleetModel"), ARTIFACT_INDEX: ("artifact", "pk"), DATA_INDEX: ("dataHash", "pk")},
    EXPIRES,
)
AUDIT: Final = Shape(("pk", "sk"), {})


def shapes(tables: TableNames) -> dict[str, Shape]:
    """Return the schema of each table by its name."""
    return {tables.registry: REGISTRY, tables.audit: AUDIT}


def definition(name: str, shape: Shape, *, protect: bool) -> dict[str, Any]:
    """Return the request that creates a table; indexes contain keys only, so that a promotion updates none of them."""
    attributes = sorted({*shape.key, *(attribute for key in shape.indexes.values() for attribute in key)})
    request: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in attributes],
        "KeySchema": _key_schema(shape.key),
        "DeletionProtectionEnabled": protect,
    }
    if shape.indexes:
        request["GlobalSecondaryIndexes"] = [
            {"IndexName": index, "KeySchema": _key_schema(key), "Projection": {"ProjectionType": "KEYS_ONLY"}}
            for index, key in shape.indexes.items()
        ]
    return request


def _key_schema(key: tuple[str, str]) -> list[dict[str, str]]:
    partition, sort = key
    return [{"AttributeName": partition, "KeyType": "HASH"}, {"AttributeName": sort, "KeyType": "RANGE"}]


# ---- creation ----------------------------------------------------------------------------------


def create(
    client: DynamoDbApi,
    tables: TableNames,
    *,
    protect: bool,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Create what is missing and yield a sentence for each thing created or already there; idempotent.

    Args:
        client: of boto3.
        tables: their names.
        protect: enable deletion protection and point-in-time recovery, which emulators lack.
        pause: sleeps for some seconds.

    Raises:
        ConfigurationError: a table of that name has another schema.
        RefusedError, TransientError, AmbiguousError: see serinus.errors; run it again.
    """
    for name, shape in shapes(tables).items():
        yield _ensure(client, name, shape, protect=protect)
        if shape.expires:
            yield _ensure_expiry(client, name, shape.expires)
        if protect:
            yield _ensure_recovery(client, name, pause)


def _ensure(client: DynamoDbApi, name: str, shape: Shape, *, protect: bool) -> str:
    try:
        write(client.create_table, **definition(name, shape, protect=protect))
    except RefusedError as problem:
        if not _exists_already(problem):
            raise
        _wait(client, name)
        _check(name, shape, read(client.describe_table, TableName=name)["Table"])
        return f"table {name}: there already"
    _wait(client, name)
    return f"table {name}: created"


def _exists_already(problem: RefusedError) -> bool:
    cause = problem.__cause__
    return isinstance(cause, Exception) and code_of(cause) == "ResourceInUseException"


def _wait(client: DynamoDbApi, name: str) -> None:
    try:
        client.get_waiter("table_exists").wait(
            TableName=name, WaiterConfig={"Delay": _POLL_SECONDS, "MaxAttempts": _POLLS}
        )
    except WaiterError as problem:
        raise RefusedError(
            f"table {name} was not active within {_POLLS} s: check it in the AWS console, then run this again"
        ) from problem
    except (ClientError, BotoCoreError) as problem:
        raise failure(problem) from problem


def _ensure_expiry(client: DynamoDbApi, name: str, attribute: str) -> str:
    current = read(client.describe_time_to_live, TableName=name)["TimeToLiveDescription"]
    if current.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}:
        if current.get("AttributeName") != attribute:
            raise ConfigurationError(
                f"table {name} expires items by {current.get('AttributeName')!r}, not {attribute!r}: name another "
                "prefix"
            )
        return f"table {name}: expires by {attribute} already"
    specification = {"Enabled": True, "AttributeName": attribute}
    write(client.update_time_to_live, TableName=name, TimeToLiveSpecification=specification)
    return f"table {name}: expires by {attribute}"


def _ensure_recovery(client: DynamoDbApi, name: str, pause: Callable[[float], None]) -> str:
    specification = {"PointInTimeRecoveryEnabled": True}
    for _ in range(_POLLS):
        try:
            client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=specification)
        except (ClientError, BotoCoreError) as problem:
            # AWS prepares the backups of a new table for a while.
            if code_of(problem) != "ContinuousBackupsUnavailableException":
                raise failure(problem, writing=True) from problem
            pause(_POLL_SECONDS)
        else:
            return f"table {name}: point-in-time recovery is on"
    raise TransientError(f"table {name}: AWS is still preparing its backups, run this again in a minute")


# ---- checks ------------------------------------------------------------------------------------


def probe(client: DynamoDbApi, tables: TableNames) -> None:
    """Check that the tables and transactions are available before anything depends on them; writes nothing.

    A check that the role is not allowed to make is skipped: a reader needs neither, and the first request that lacks a
    permission names it.

    Raises:
        ConfigurationError: they are not; the message has the remedy.
        RefusedError: DynamoDB refuses the request.
        TransientError: DynamoDB is unavailable.
    """
    for name, shape in shapes(tables).items():
        try:
            table = client.describe_table(TableName=name)["Table"]
        except (ClientError, BotoCoreError) as problem:
            code = code_of(problem)
            if code == "ResourceNotFoundException":
                raise ConfigurationError(f"the table {name} does not exist: run {_CREATE}") from problem
            if code != _DENIED:
                raise failure(problem) from problem
        else:
            _check(name, shape, table)
    _probe_transactions(client, tables.registry)


def _probe_transactions(client: DynamoDbApi, table: str) -> None:
    key = {"pk": {"S": "PROBE"}, "sk": {"S": "-"}}
    check = {"TableName": table, "Key": key, "ConditionExpression": "attribute_not_exists(pk)"}
    try:
        client.transact_write_items(TransactItems=[{"ConditionCheck": check}])
    except (ClientError, BotoCoreError) as problem:
        code = code_of(problem)
        if code in {"TransactionCanceledException", _DENIED}:
            return
        # The response of ScyllaDB's Alternator: scylladb/scylladb#5064.
        if code in {"UnknownOperationException", "UnsupportedOperationException", "NotImplementedError"}:
            raise ConfigurationError(
                "this endpoint has no TransactWriteItems: without transactions two concurrent promotions could both "
                "succeed. Use AWS DynamoDB or DynamoDB Local, or keep the registry in Kubernetes"
            ) from problem
        raise failure(problem) from problem


def _check(name: str, shape: Shape, table: Mapping[str, Any]) -> None:
    problems = [f"its key is {_key_of(table)}, not {shape.key}"] if _key_of(table) != shape.key else []
    indexes = {index["IndexName"]: _key_of(index) for index in table.get("GlobalSecondaryIndexes", ())}
    for index, key in shape.indexes.items():
        if indexes.get(index) != key:
            problems.append(f"its index {index} is {indexes.get(index, 'missing')}, not {key}")
    if problems:
        raise ConfigurationError(
            f"the table {name} is not the registry's: {'; '.join(problems)}. Name another tablePrefix and run {_CREATE}"
        )


def _key_of(described: Mapping[str, Any]) -> tuple[str, ...]:
    by_type = {element["KeyType"]: element["AttributeName"] for element in described["KeySchema"]}
    return tuple(by_type[kind] for kind in ("HASH", "RANGE") if kind in by_type)
