"""The translation of DynamoDB's failures to errors, and the idempotency of repeated steps."""

import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.exceptions import (
    ConnectionClosedError,
    ConnectTimeoutError,
    EndpointConnectionError,
    NoCredentialsError,
    ReadTimeoutError,
)
from botocore.retries.bucket import TokenBucket
from botocore.retries.standard import ExponentialBackoff

from serinus.api.audit_record import AuditEvent
from serinus.api.model import Head
from serinus.api.names import ObjectKey
from serinus.engine.audit.head import seal
from serinus.engine.versions.catalogue import Query
from serinus.errors import (
    AmbiguousError,
    ConfigurationError,
    ConflictError,
    NotFoundError,
    RefusedError,
    SerinusError,
    TransientError,
)
from serinus.ports.registry_store import Commit, Yank
from serinus.registry.dynamodb.client import connect
from serinus.registry.dynamodb.names import TableNames
from serinus.registry.dynamodb.store import COMMIT_TRIES, DynamoDbStore
from serinus.registry.dynamodb.tables import AUDIT, REGISTRY, create, definition
from support.dynamodb.place import CLUSTER, DynamoDbPlace, credentials, intercept, settings_at
from support.dynamodb.scripted import Scripted, cancelled, error
from support.registry.place import BY, audit_entry, digest_for, version_entry

MODEL = ObjectKey("ml", "fraud")
NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
NOWHERE = "http://127.0.0.1:9"
FAILED = "ConditionalCheckFailed"

Opened = Callable[[Scripted], DynamoDbStore]


@pytest.fixture
async def opened(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opened]:
    credentials(monkeypatch)
    # After a throttled response botocore waits for seconds, which no test here is about.
    monkeypatch.setattr(TokenBucket, "acquire", lambda *_, **__: True)
    monkeypatch.setattr(ExponentialBackoff, "delay_amount", lambda *_: 0.0)
    place = DynamoDbPlace(settings_at(NOWHERE, table_prefix="serinus"))
    yield lambda script: place.open(exchange=script)
    await place.close()


def a_step(**fields: Any) -> Commit:
    record, after = seal(Head(), audit_entry(AuditEvent.PROMOTED, version="2.0.0"), MODEL, by=BY, now=NOW)
    return Commit(**{"model": MODEL, "before": Head(), "record": record, "after": after, **fields})


@pytest.mark.parametrize(
    ("answer", "kind", "words"),
    [
        (error("ProvisionedThroughputExceededException"), TransientError, "busy"),
        (error("ThrottlingException"), TransientError, "busy"),
        (error("InternalServerError", status=500), TransientError, "retried"),
        (error("ExpiredTokenException"), TransientError, "have expired"),
        (error("AccessDeniedException"), RefusedError, "deploy/aws"),
        (error("ResourceNotFoundException"), RefusedError, "create-tables"),
        (error("ValidationException", message="what a key"), RefusedError, "what a key"),
        (ReadTimeoutError(endpoint_url=NOWHERE), TransientError, "reached"),
        (EndpointConnectionError(endpoint_url=NOWHERE), TransientError, "reached"),
        (NoCredentialsError(), RefusedError, "AWS_PROFILE"),
    ],
)
async def test_a_failed_read_is_transient_or_refused(
    opened: Opened, answer: dict[str, Any] | Exception, kind: type[SerinusError], words: str
) -> None:
    with pytest.raises(kind, match=words):
        await opened(Scripted(answer)).read_head(MODEL)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (ReadTimeoutError(endpoint_url=NOWHERE), AmbiguousError),
        (ConnectionClosedError(endpoint_url=NOWHERE), AmbiguousError),
        (error("InternalServerError", status=500), AmbiguousError),
        (error("ServiceUnavailable", status=503), AmbiguousError),
        (error("TransactionInProgressException"), AmbiguousError),
        (ConnectTimeoutError(endpoint_url=NOWHERE), TransientError),
        (EndpointConnectionError(endpoint_url=NOWHERE), TransientError),
        (error("AccessDeniedException"), RefusedError),
        (error("IdempotentParameterMismatchException"), ConflictError),
    ],
)
async def test_a_failed_commit_is_translated_and_not_repeated_without_a_re_read(
    opened: Opened, answer: dict[str, Any] | Exception, kind: type[SerinusError]
) -> None:
    script = Scripted(answer)
    with pytest.raises(kind):
        await opened(script).commit(a_step())
    assert len(script.asked) == 1


@pytest.mark.parametrize(
    "busy",
    [
        cancelled("TransactionConflict", "None", "None"),
        cancelled("None", "None", "ThrottlingError"),
        error("ThrottlingException"),
    ],
)
async def test_a_contended_step_is_repeated_with_the_same_token_until_it_is_stored(
    opened: Opened, busy: dict[str, Any]
) -> None:
    script = Scripted(busy, busy, {})
    await opened(script).commit(a_step())
    assert len(script.asked) == 3
    assert script.asked[0] == script.asked[1] == script.asked[2]
    assert 1 <= len(script.asked[0]["ClientRequestToken"]) <= 36


async def test_a_step_that_is_always_contended_is_a_transient_error(opened: Opened) -> None:
    script = Scripted(cancelled("TransactionConflict", "None", "None"))
    with pytest.raises(TransientError, match="TransactionConflict"):
        await opened(script).commit(a_step())
    assert len(script.asked) == COMMIT_TRIES


async def test_two_steps_never_have_the_same_token(opened: Opened) -> None:
    script = Scripted({})
    store = opened(script)
    await store.commit(a_step())
    await store.commit(a_step())
    assert script.asked[0]["ClientRequestToken"] != script.asked[1]["ClientRequestToken"]


async def test_a_step_whose_id_is_recorded_already_succeeds_whatever_else_failed(opened: Opened) -> None:
    await opened(Scripted(cancelled(FAILED, FAILED, FAILED))).commit(a_step())


async def test_a_conflict_names_the_state_that_the_other_writer_stored(opened: Opened) -> None:
    winner = {"Code": FAILED, "Item": {"seq": {"N": "12"}, "version": {"S": "2.3.1"}}}
    script = Scripted(cancelled(winner, FAILED, "None"))
    with pytest.raises(ConflictError, match=r"record 12 with 2\.3\.1 in production, not at 0"):
        await opened(script).commit(a_step())
    assert len(script.asked) == 1


async def test_a_record_beyond_the_head_is_damage_rather_than_a_conflict(opened: Opened) -> None:
    with pytest.raises(RefusedError, match="restored or changed by hand"):
        await opened(Scripted(cancelled("None", FAILED, "None"))).commit(a_step())


@pytest.mark.parametrize(
    ("item", "kind", "words"),
    [
        (None, NotFoundError, r"2\.0\.0 is not registered"),
        ({"version": {"S": "2.0.0"}, "yanked": {"S": "it leaks"}}, RefusedError, "it leaks"),
        ({"version": {"S": "2.0.0"}, "digest": {"S": "sha256:1"}}, RefusedError, "has the digest sha256:1"),
    ],
    ids=["unknown", "yanked", "other bytes"],
)
async def test_a_version_that_may_not_serve_is_distinguished_from_a_missing_one(
    opened: Opened, item: dict[str, Any] | None, kind: type[SerinusError], words: str
) -> None:
    reason = {"Code": FAILED} | ({"Item": item} if item else {})
    with pytest.raises(kind, match=words):
        await opened(Scripted(cancelled("None", "None", "None", reason))).commit(
            a_step(serves="2.0.0", digest=digest_for("bytes"))
        )


async def test_a_version_that_is_not_semver_is_not_registered_and_needs_no_request(opened: Opened) -> None:
    script = Scripted({})
    store = opened(script)
    assert await store.read_version(MODEL, "latest") is None
    with pytest.raises(NotFoundError, match="latest"):
        await store.commit(a_step(serves="latest"))
    with pytest.raises(NotFoundError, match="latest"):
        await store.commit(a_step(yanks=Yank("latest", "it leaks")))
    assert script.asked == []


async def test_a_version_that_is_registered_and_serves_in_one_step_must_be_the_one_decided_on(opened: Opened) -> None:
    script = Scripted({})
    entry = version_entry(MODEL, "2.0.0")
    store = opened(script)
    with pytest.raises(RefusedError, match="shall serve with"):
        await store.commit(a_step(registers=entry, serves="2.0.0", digest=digest_for("other bytes")))
    await store.commit(a_step(registers=entry, serves="2.0.0", digest=entry.digest))
    actions = script.asked[0]["TransactItems"]
    changed = [str(action["Update"]["Key"]) for action in actions if "Update" in action]
    assert len(changed) == len(set(changed)) == 2, "a transaction may contain an item once only"
    assert not any("ConditionCheck" in action for action in actions)


async def test_a_corrupt_head_is_refused(opened: Opened) -> None:
    for text in ('{"production": {"version": 7}}', "{", '{"news": 1}'):
        with pytest.raises(RefusedError, match="the head of ml/fraud cannot be read"):
            await opened(Scripted({"Item": {"head": {"S": text}}})).read_head(MODEL)


async def test_unprocessed_keys_are_requested_again(opened: Opened) -> None:
    keys = [{"pk": {"S": f"K#/{CLUSTER}/ml/{name}"}, "sk": {"S": "HEAD"}} for name in ("one", "two")]
    first, second = ({"pk": key["pk"], "sk": key["sk"], "head": {"S": "{}"}} for key in keys)
    script = Scripted(
        {"Items": keys, "Count": 2},
        {"Responses": {"serinus-registry": [first]}, "UnprocessedKeys": {"serinus-registry": {"Keys": [keys[1]]}}},
        {"Responses": {"serinus-registry": [second]}, "UnprocessedKeys": {}},
    )
    found = [model.name async for model, _ in opened(script).list_models()]
    assert found == ["one", "two"]
    assert [request["operation"] for request in script.asked] == ["Query", "BatchGetItem", "BatchGetItem"]


async def test_versions_of_all_models_are_found_by_a_digest_only(opened: Opened) -> None:
    with pytest.raises(RefusedError, match="digest"):
        _ = [version async for version in opened(Scripted({"Items": []})).find_versions(Query(major=1))]


async def test_an_endpoint_without_transactions_or_tables_is_refused(opened: Opened) -> None:
    key = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
    index = {"fleet": ("fleet", "fleetModel"), "artifact": ("artifact", "pk"), "data": ("dataHash", "pk")}
    indexes = [
        {
            "IndexName": name,
            "KeySchema": [{"AttributeName": h, "KeyType": "HASH"}, {"AttributeName": r, "KeyType": "RANGE"}],
        }
        for name, (h, r) in index.items()
    ]
    registry = {"Table": {"KeySchema": key, "GlobalSecondaryIndexes": indexes}}
    audit = {"Table": {"KeySchema": key}}
    unsupported = error("UnknownOperationException", message="Unsupported operation TransactWriteItems")
    with pytest.raises(ConfigurationError, match="no TransactWriteItems"):
        await opened(Scripted(registry, audit, unsupported)).probe()
    with pytest.raises(ConfigurationError, match="its index data is missing"):
        await opened(Scripted({"Table": {"KeySchema": key, "GlobalSecondaryIndexes": indexes[:2]}})).probe()
    with pytest.raises(ConfigurationError, match="serinus-registry does not exist: run serinus registry dynamodb"):
        await opened(Scripted(error("ResourceNotFoundException"))).probe()
    await opened(Scripted(registry, audit, {})).probe()


async def test_a_role_that_may_only_read_passes_checks_that_it_may_not_make(opened: Opened) -> None:
    script = Scripted(error("AccessDeniedException"))
    await opened(script).probe()
    operations = [request["operation"] for request in script.asked]
    assert operations == ["DescribeTable", "DescribeTable", "TransactWriteItems"]


async def test_without_any_response_a_request_ends_after_the_stores_patience(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    credentials(monkeypatch)
    settings, released = settings_at(NOWHERE, table_prefix="serinus"), threading.Event()
    clients = connect(settings)

    def hang(request: Any, _: Any) -> AWSResponse:
        released.wait(30)
        raise ReadTimeoutError(endpoint_url=request.url)

    intercept(clients, hang)
    store = DynamoDbStore(settings, clients, patience=0.2)
    try:
        with pytest.raises(TransientError, match=r"within 0\.2 s"):
            await store.read_head(MODEL)
        with pytest.raises(AmbiguousError, match="stored or not"):
            await store.commit(a_step())
    finally:
        released.set()
        await store.close()


def test_backups_of_a_new_table_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    credentials(monkeypatch)
    clients = connect(settings_at(NOWHERE))
    waited: list[float] = []
    names = TableNames("serinus-registry", "serinus-audit")
    registry, audit = (
        {"Table": {"TableStatus": "ACTIVE", **definition(name, shape, protect=True)}}
        for name, shape in ((names.registry, REGISTRY), (names.audit, AUDIT))
    )
    expiry = {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": "expires"}}
    preparing = error("ContinuousBackupsUnavailableException")
    script = Scripted({}, registry, expiry, preparing, preparing, {}, {}, audit, {})
    intercept(clients, script)
    done = list(create(clients.reads, names, protect=True, pause=waited.append))
    assert len(waited) == 2
    assert done[-1] == "table serinus-audit: point-in-time recovery is on"
    clients.close()
