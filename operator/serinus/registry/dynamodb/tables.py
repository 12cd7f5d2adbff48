"""The registry's tables: what they must be, how they are made, and whether a place has what the registry needs."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from botocore.exceptions import BotoCoreError, ClientError, WaiterError

from serinus.errors import ConfigurationError, RefusedError, TransientError
from serinus.registry.dynamodb.client import code_of, failure, read, write
from serinus.registry.dynamodb.items import ARTIFACT_INDEX, DATA_INDEX, FLEET_INDEX
from serinus.registry.dynamodb.names import TableNames

EXPIRES: Final = "expires"
"""The attribute by which DynamoDB removes the notes of what is recorded."""

_CREATE: Final = "serinus registry dynamodb create-tables"
_DENIED: Final = "AccessDeniedException"
_POLL_SECONDS, _POLLS = 1, 120


@dataclass(frozen=True, slots=True)
class Shape:
    """What a table must be: partition and sort key, the same for each index, and the attribute of its TTL."""

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
    """Return what each table must be."""
    return {tables.registry: REGISTRY, tables.audit: AUDIT}


def definition(name: str, shape: Shape, *, protect: bool) -> dict[str, Any]:
    """Return the request that makes a table; indexes hold keys only, so that promoting writes none of them."""
    attributes = sorted({*shape.key, *(one for key in shape.indexes.values() for one in key)})
    request: dict[str, Any] = {
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [{"AttributeName": one, "AttributeType": "S"} for one in attributes],
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


# ---- making them -------------------------------------------------------------------------------


def create(
    client: Any,  # noqa: ANN401 - boto3's own
    tables: TableNames,
    *,
    protect: bool,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[str]:
    """Make what is missing and yield a sentence for each thing done or found; doing it again changes nothing.

    Args:
        client: of boto3.
        tables: their names.
        protect: switch on deletion protection and point-in-time recovery, which emulators do not have.
        pause: waits for seconds.

    Raises:
        ConfigurationError: a table of that name has other keys.
        RefusedError, TransientError, AmbiguousError: as they say; run it again.
    """
    for name, shape in shapes(tables).items():
        yield _ensure(client, name, shape, protect=protect)
        if shape.expires:
            yield _ensure_expiry(client, name, shape.expires)
        if protect:
            yield _ensure_recovery(client, name, pause)


def _ensure(client: Any, name: str, shape: Shape, *, protect: bool) -> str:  # noqa: ANN401 - boto3's own
    try:
        write(client.create_table, **definition(name, shape, protect=protect))
    except RefusedError as problem:
        if not _there_already(problem):
            raise
        _wait(client, name)
        _check(name, shape, read(client.describe_table, TableName=name)["Table"])
        return f"table {name}: there already"
    _wait(client, name)
    return f"table {name}: created"


def _there_already(problem: RefusedError) -> bool:
    cause = problem.__cause__
    return isinstance(cause, Exception) and code_of(cause) == "ResourceInUseException"


def _wait(client: Any, name: str) -> None:  # noqa: ANN401 - boto3's own
    try:
        client.get_waiter("table_exists").wait(
            TableName=name, WaiterConfig={"Delay": _POLL_SECONDS, "MaxAttempts": _POLLS}
        )
    except WaiterError as problem:
        raise RefusedError(
            f"table {name} was not active within {_POLLS} s: look at it in the AWS console, then run this again"
        ) from problem
    except (ClientError, BotoCoreError) as problem:
        raise failure(problem) from problem


def _ensure_expiry(client: Any, name: str, attribute: str) -> str:  # noqa: ANN401 - boto3's own
    found = read(client.describe_time_to_live, TableName=name)["TimeToLiveDescription"]
    if found.get("TimeToLiveStatus") in {"ENABLED", "ENABLING"}:
        if found.get("AttributeName") != attribute:
            raise ConfigurationError(
                f"table {name} expires items by {found.get('AttributeName')!r}, not {attribute!r}: name another prefix"
            )
        return f"table {name}: expires by {attribute} already"
    wish = {"Enabled": True, "AttributeName": attribute}
    write(client.update_time_to_live, TableName=name, TimeToLiveSpecification=wish)
    return f"table {name}: expires by {attribute}"


def _ensure_recovery(client: Any, name: str, pause: Callable[[float], None]) -> str:  # noqa: ANN401 - boto3's own
    wish = {"PointInTimeRecoveryEnabled": True}
    for _ in range(_POLLS):
        try:
            client.update_continuous_backups(TableName=name, PointInTimeRecoverySpecification=wish)
        except (ClientError, BotoCoreError) as problem:
            # Of a table that is just made, AWS is still preparing the backups.
            if code_of(problem) != "ContinuousBackupsUnavailableException":
                raise failure(problem, writing=True) from problem
            pause(_POLL_SECONDS)
        else:
            return f"table {name}: point-in-time recovery is on"
    raise TransientError(f"table {name}: AWS is still preparing its backups, run this again in a minute")


# ---- looking at them ---------------------------------------------------------------------------


def probe(client: Any, tables: TableNames) -> None:  # noqa: ANN401 - boto3's own
    """See that tables and transactions are there, before anything depends on them; writes nothing.

    What the role may not look at is left out: a reader needs neither, and the first request says what is missing.

    Raises:
        ConfigurationError: they are not; the sentence says what to do.
        RefusedError: it will not answer.
        TransientError: it cannot be asked now.
    """
    for name, shape in shapes(tables).items():
        try:
            found = client.describe_table(TableName=name)["Table"]
        except (ClientError, BotoCoreError) as problem:
            code = code_of(problem)
            if code == "ResourceNotFoundException":
                raise ConfigurationError(f"the table {name} is not there: run {_CREATE}") from problem
            if code != _DENIED:
                raise failure(problem) from problem
        else:
            _check(name, shape, found)
    _probe_transactions(client, tables.registry)


def _probe_transactions(client: Any, table: str) -> None:  # noqa: ANN401 - boto3's own
    key = {"pk": {"S": "PROBE"}, "sk": {"S": "-"}}
    check = {"TableName": table, "Key": key, "ConditionExpression": "attribute_not_exists(pk)"}
    try:
        client.transact_write_items(TransactItems=[{"ConditionCheck": check}])
    except (ClientError, BotoCoreError) as problem:
        code = code_of(problem)
        if code in {"TransactionCanceledException", _DENIED}:
            return
        # ScyllaDB's Alternator answers so: scylladb/scylladb#5064.
        if code in {"UnknownOperationException", "UnsupportedOperationException", "NotImplementedError"}:
            raise ConfigurationError(
                "this place has no TransactWriteItems: without transactions two promoters could make two "
                "productions. Use AWS DynamoDB or DynamoDB Local, or keep the registry in Kubernetes"
            ) from problem
        raise failure(problem) from problem


def _check(name: str, shape: Shape, found: Mapping[str, Any]) -> None:
    problems = [f"its key is {_key_of(found)}, not {shape.key}"] if _key_of(found) != shape.key else []
    indexes = {one["IndexName"]: _key_of(one) for one in found.get("GlobalSecondaryIndexes", ())}
    for index, key in shape.indexes.items():
        if indexes.get(index) != key:
            problems.append(f"its index {index} is {indexes.get(index, 'missing')}, not {key}")
    if problems:
        raise ConfigurationError(
            f"the table {name} is not the registry's: {'; '.join(problems)}. Name another tablePrefix and run {_CREATE}"
        )


def _key_of(described: Mapping[str, Any]) -> tuple[str, ...]:
    by_type = {one["KeyType"]: one["AttributeName"] for one in described["KeySchema"]}
    return tuple(by_type[kind] for kind in ("HASH", "RANGE") if kind in by_type)
