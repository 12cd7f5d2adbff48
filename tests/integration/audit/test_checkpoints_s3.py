"""Checkpoints against a real S3 server with Object Lock: what is written stays, and what was tampered with is seen."""

import asyncio
import json
import logging
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from serinus.api.model import ChainHead, Head
from serinus.api.names import ObjectKey
from serinus.api.quantities import Duration
from serinus.audit.bucket import Bucket, Place, parse_place
from serinus.audit.checkpoint_reader import CheckpointAnchors, read_checkpoints
from serinus.audit.checkpoint_writer import Checkpoints, _due_in, keep_checkpoints
from serinus.audit.signing_keys import PublicKeys, fingerprint, new_key, private_pem
from serinus.engine.audit.chain import ChainFault
from serinus.engine.audit.checkpoint import hash_in_name
from serinus.errors import AmbiguousError, ConfigurationError, NotFoundError, RefusedError, TransientError
from serinus.settings import CheckpointSettings, S3Settings
from support.registry.memory import MemoryPlace, MemoryStore
from support.registry.place import audit_entry, registry_on
from support.servers.locked_bucket import a_bucket, client

AT = datetime(2026, 11, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
FRAUD, CREDIT = ObjectKey("ml", "fraud"), ObjectKey("ml", "credit")


def a_hash(letter: str) -> str:
    return f"sha256:{letter * 64}"


def ends(fraud: int, letter: str = "a") -> list[tuple[ObjectKey, ChainHead]]:
    return [(FRAUD, ChainHead(sequence=fraud, hash=a_hash(letter))), (CREDIT, ChainHead(sequence=7, hash=a_hash("c")))]


def settings_for(place: Place, key: Path) -> CheckpointSettings:
    return CheckpointSettings(
        bucket=place.bucket, key_file=str(key), prefix=place.prefix, retention_days=365, s3=place.s3
    )


@pytest.fixture
def key(tmp_path: Path) -> Path:
    file = tmp_path / "key.pem"
    file.write_bytes(private_pem(new_key()))
    return file


@pytest.fixture
async def checkpoints(endpoint: str, key: Path) -> AsyncIterator[Checkpoints]:
    found = Checkpoints(settings_for(a_bucket(endpoint), key))
    yield found
    await found.close()


async def read(place: Place, keys: PublicKeys, *, page: int = 1000, only: ObjectKey | None = None) -> CheckpointAnchors:
    bucket = Bucket(place, page=page)
    try:
        return await read_checkpoints(bucket, keys, only=[only] if only else None)
    finally:
        await bucket.close()


async def test_what_was_written_is_read_with_every_head_that_was_seen(checkpoints: Checkpoints) -> None:
    written = await checkpoints.write(ends(3), AT)
    seen = await read(checkpoints.bucket.place, checkpoints.keys)
    assert (seen.checkpoints, seen.last, seen.findings, seen.notes) == (1, AT, (), ())
    assert [(one.sequence, one.hash) for one in seen.of(FRAUD)] == [(3, a_hash("a"))]
    assert [(one.sequence, one.hash) for one in seen.of(CREDIT)] == [(7, a_hash("c"))]
    assert written.name.startswith("20261101T120000.000Z-")
    assert written.chains == 2


async def test_each_checkpoint_names_the_one_before_and_a_head_that_stays_is_one_anchor(
    checkpoints: Checkpoints,
) -> None:
    for hour in range(5):
        await checkpoints.write(ends(3 + hour // 2, "abc"[hour // 2]), AT + hour * HOUR)
    seen = await read(checkpoints.bucket.place, checkpoints.keys, page=2)
    assert seen.checkpoints == 5
    assert seen.findings == ()
    assert [one.sequence for one in seen.of(FRAUD)] == [3, 4, 5]
    assert seen.mentions[FRAUD] == 5
    assert "2026-11-01 12:00:00Z" in seen.of(FRAUD)[0].where


async def test_only_the_models_that_are_asked_for_are_kept_in_memory(checkpoints: Checkpoints) -> None:
    await checkpoints.write(ends(3), AT)
    assert set((await read(checkpoints.bucket.place, checkpoints.keys, only=CREDIT)).anchors) == {CREDIT}


async def test_the_server_refuses_to_remove_a_checkpoint_however_one_asks(checkpoints: Checkpoints) -> None:
    written = await checkpoints.write(ends(3), AT)
    place = checkpoints.bucket.place
    intruder = client(place.s3.endpoint or "")
    target = {"Bucket": place.bucket, "Key": place.prefix + written.name}
    found = intruder.head_object(**target)
    version = found["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        intruder.delete_object(**target, VersionId=version)
    with pytest.raises(ClientError, match="AccessDenied"):
        intruder.delete_object(**target, VersionId=version, BypassGovernanceRetention=True)
    assert found["ObjectLockMode"] == "COMPLIANCE"
    assert found["ObjectLockRetainUntilDate"] == AT + timedelta(days=365)


async def test_the_server_refuses_to_write_a_checkpoint_over(checkpoints: Checkpoints) -> None:
    written = await checkpoints.write(ends(3), AT)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client(checkpoints.bucket.place.s3.endpoint or "").put_object(
            Bucket=checkpoints.bucket.place.bucket,
            Key=checkpoints.bucket.place.prefix + written.name,
            Body=b"{}",
            IfNoneMatch="*",
        )


async def test_the_same_checkpoint_written_again_after_a_lost_answer_is_one_checkpoint(
    checkpoints: Checkpoints,
) -> None:
    await checkpoints.write(ends(3), AT)
    first = await checkpoints.last(AT)
    assert first is not None
    found = await checkpoints.bucket.get(first)
    await checkpoints._put(first, found.content, AT + HOUR)
    assert (await read(checkpoints.bucket.place, checkpoints.keys)).checkpoints == 1
    with pytest.raises(RefusedError, match="with another content"):
        await checkpoints._put(first, b"other", AT + HOUR)


async def test_one_that_a_deletion_or_a_later_version_hides_is_read_and_told(checkpoints: Checkpoints) -> None:
    deleted = await checkpoints.write(ends(3), AT)
    covered = await checkpoints.write(ends(4, "b"), AT + HOUR)
    place = checkpoints.bucket.place
    intruder = client(place.s3.endpoint or "")
    intruder.delete_object(Bucket=place.bucket, Key=place.prefix + deleted.name)
    intruder.put_object(Bucket=place.bucket, Key=place.prefix + covered.name, Body=b"nothing to see here")
    seen = await read(place, checkpoints.keys)
    assert [one.sequence for one in seen.of(FRAUD)] == [3, 4]
    assert [one.fault for one in seen.findings] == [ChainFault.CHECKPOINT_UNSIGNED]
    assert "2 checkpoints are hidden" in seen.notes[0]


async def test_one_by_another_key_is_a_finding_and_anchors_nothing(endpoint: str, key: Path, tmp_path: Path) -> None:
    place = a_bucket(endpoint)
    ours = Checkpoints(settings_for(place, key))
    other_file = tmp_path / "other.pem"
    other_file.write_bytes(private_pem(new_key()))
    theirs = Checkpoints(settings_for(place, other_file))
    await ours.write(ends(3), AT)
    await theirs.write(ends(9, "f"), AT + HOUR)
    seen = await read(place, ours.keys)
    assert [one.fault for one in seen.findings] == [ChainFault.CHECKPOINT_UNSIGNED]
    assert next(iter(theirs.keys)) in seen.findings[0].message
    assert [one.sequence for one in seen.of(FRAUD)] == [3]
    both = await read(place, {**ours.keys, **theirs.keys})
    assert (both.findings, both.checkpoints) == ((), 2)
    await ours.close()
    await theirs.close()


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"\xff", b'{"checkpoint":{},"key":"","signature":""}', b"[" * 100_000]
)
async def test_what_is_no_checkpoint_is_a_finding(checkpoints: Checkpoints, content: bytes) -> None:
    await checkpoints.bucket.put_new("20261101T120000.000Z-note.json", content)
    seen = await read(checkpoints.bucket.place, checkpoints.keys)
    assert [one.fault for one in seen.findings] == [ChainFault.CHECKPOINT_UNSIGNED]
    assert seen.checkpoints == 0


async def test_a_checkpoint_that_is_missing_between_others_is_a_finding(endpoint: str, key: Path) -> None:
    place = a_bucket(endpoint, locked=False)
    checkpoints = Checkpoints(settings_for(a_bucket(endpoint), key))
    names = [(await checkpoints.write(ends(3 + hour), AT + hour * HOUR)).name for hour in range(3)]
    copies = Bucket(place)
    for name in (names[0], names[2]):
        await copies.put_new(name, (await checkpoints.bucket.get(name)).content)
    seen = await read(place, checkpoints.keys)
    assert [one.fault for one in seen.findings] == [ChainFault.MISSING]
    assert str(hash_in_name(names[1])) in seen.findings[0].message
    assert "not seen to be locked" in seen.notes[0]
    await copies.close()
    await checkpoints.close()


async def test_the_oldest_may_be_gone_when_their_lock_has_ended(endpoint: str, key: Path) -> None:
    place = a_bucket(endpoint, locked=False)
    checkpoints = Checkpoints(settings_for(a_bucket(endpoint), key))
    names = [(await checkpoints.write(ends(3 + hour), AT + hour * HOUR)).name for hour in range(3)]
    copies = Bucket(place)
    for name in names[1:]:
        await copies.put_new(name, (await checkpoints.bucket.get(name)).content)
    assert (await read(place, checkpoints.keys)).findings == ()
    await copies.close()
    await checkpoints.close()


async def test_the_one_before_is_found_however_long_ago_it_was(checkpoints: Checkpoints) -> None:
    before = ""
    for day in (0, 1, 40, 400):
        name = (await checkpoints.write(ends(3 + day), AT + timedelta(days=day))).name
        stored = json.loads((await checkpoints.bucket.get(name)).content)
        assert stored["checkpoint"]["previous"] == before
        before = str(hash_in_name(name))
    seen = await read(checkpoints.bucket.place, checkpoints.keys)
    assert (seen.checkpoints, seen.findings) == (4, ())


async def test_a_bucket_without_object_lock_is_refused_with_what_to_do(endpoint: str, key: Path) -> None:
    checkpoints = Checkpoints(settings_for(a_bucket(endpoint, locked=False), key))
    with pytest.raises(RefusedError, match="Object Lock"):
        await checkpoints.write(ends(3), AT)
    await checkpoints.close()


async def test_a_bucket_that_is_not_there_is_refused_by_name(endpoint: str, key: Path) -> None:
    place = a_bucket(endpoint)
    checkpoints = Checkpoints(settings_for(replace(place, bucket="no-such-bucket"), key))
    with pytest.raises(RefusedError, match="no-such-bucket"):
        await checkpoints.write(ends(3), AT)
    await checkpoints.close()


async def test_an_object_that_is_not_there_is_said_so(checkpoints: Checkpoints) -> None:
    with pytest.raises(NotFoundError):
        await checkpoints.bucket.get("nothing")


async def test_a_server_that_is_gone_is_to_be_asked_again(key: Path) -> None:
    place = parse_place("s3://bucket/audit?region=eu-central-1&endpoint=http://127.0.0.1:9")
    checkpoints = Checkpoints(settings_for(place, key))
    with pytest.raises(TransientError):
        await checkpoints.write(ends(3), AT)
    with pytest.raises(AmbiguousError):
        await checkpoints.bucket.put_new("name", b"content")
    await checkpoints.close()


async def test_a_server_that_does_not_answer_is_given_up_after_its_time() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = S3Settings(region="eu-central-1", endpoint=endpoint, timeout=Duration("200ms"))
        bucket = Bucket(Place("bucket", "audit/", settings))
        with pytest.raises(TransientError):
            await bucket.get("name")
        await bucket.close()


async def test_an_object_that_is_too_large_is_refused(checkpoints: Checkpoints, tmp_path: Path) -> None:
    await checkpoints.bucket.put_new("large", b"x" * 100)
    with pytest.raises(RefusedError, match="more than 99 bytes"):
        await checkpoints.bucket.fetch("large", tmp_path / "large", 99)


class Clock:
    """A time of day that a test sets."""

    def __init__(self) -> None:
        self.at = AT

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return 0.0


async def until_there_are(checkpoints: Checkpoints, number: int) -> list[str]:
    async with asyncio.timeout(90):
        while len(names := [name async for name in checkpoints.bucket.names()]) < number:  # noqa: ASYNC110 - another process
            await asyncio.sleep(0.02)
    return names


async def test_the_background_writes_at_once_and_then_every_interval(checkpoints: Checkpoints) -> None:
    store = MemoryPlace().open()
    await registry_on(store).record(FRAUD, audit_entry())
    clock = Clock()
    work = asyncio.create_task(keep_checkpoints(store, checkpoints, clock, timedelta(seconds=0.1)))
    await until_there_are(checkpoints, 1)
    clock.at += HOUR
    await until_there_are(checkpoints, 2)
    work.cancel()
    seen = await read(checkpoints.bucket.place, checkpoints.keys)
    assert seen.findings == ()
    assert [one.sequence for one in seen.of(FRAUD)] == [1]


async def test_a_process_that_keeps_restarting_waits_for_the_next_one_as_one_that_does_not(
    checkpoints: Checkpoints,
) -> None:
    clock = Clock()
    assert await _due_in(checkpoints, clock, HOUR) == 0
    await checkpoints.write(ends(3), AT)
    clock.at += HOUR / 4
    assert await _due_in(checkpoints, clock, HOUR) == 45 * 60
    clock.at += HOUR
    assert await _due_in(checkpoints, clock, HOUR) == 0


async def test_a_bucket_that_refuses_is_logged_and_asked_again_and_never_raises(
    endpoint: str, key: Path, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints = Checkpoints(settings_for(a_bucket(endpoint, locked=False), key))
    caplog.set_level(logging.WARNING)
    work = asyncio.create_task(keep_checkpoints(MemoryPlace().open(), checkpoints, Clock(), HOUR))
    async with asyncio.timeout(90):
        while "Object Lock" not in caplog.text:  # noqa: ASYNC110 - a log can only be looked at
            await asyncio.sleep(0.02)
    assert "no checkpoint of the audit trail was written" in caplog.text
    assert "Trying again in 5 s" in caplog.text
    assert not work.done()
    work.cancel()
    await checkpoints.close()


async def test_a_bug_does_not_end_the_background_task(
    checkpoints: Checkpoints, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(MemoryStore):
        def list_models(self) -> AsyncIterator[tuple[ObjectKey, Head]]:
            raise ZeroDivisionError("a bug of ours")

    work = asyncio.create_task(keep_checkpoints(Broken({}), checkpoints, Clock(), HOUR))
    async with asyncio.timeout(90):
        while "a bug of ours" not in caplog.text:  # noqa: ASYNC110 - a log can only be looked at
            await asyncio.sleep(0.02)
    assert not work.done()
    work.cancel()


def test_a_key_of_another_kind_is_refused_at_the_start(tmp_path: Path) -> None:
    place = Place("bucket")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        Checkpoints(settings_for(place, tmp_path / "absent.pem"))
    (tmp_path / "text.pem").write_text("no key")
    with pytest.raises(ConfigurationError, match="unencrypted private key"):
        Checkpoints(settings_for(place, tmp_path / "text.pem"))


def test_the_fingerprint_is_that_of_the_public_key() -> None:
    one = new_key()
    assert fingerprint(one.public_key()) == fingerprint(one.public_key()) != fingerprint(new_key().public_key())
