"""Translation of S3's failures, and termination of verifications. A real server is in tests/integration."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from serinus.api.model import Verification
from serinus.api.modelversion import Artifact
from serinus.api.quantities import Duration
from serinus.artifacts.verifier import Verifier
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.settings import AllowedBucket, ArtifactS3Settings, ArtifactSettings
from support.boto_session import new_session
from support.servers.artifact_server import ArtifactServer, Reply, Then
from support.servers.s3server import digest_of, give_credentials

BODY = b"a model" * 1000
DIGEST = digest_of(BODY)
PATH = "/models/fraud.onnx"
ARTIFACT = Artifact(uri=f"s3:/{PATH}", digest=DIGEST)
HEAD = Reply(length=len(BODY), headers={"ETag": '"abc"', "x-amz-version-id": "v7"})


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ArtifactServer]:
    give_credentials(monkeypatch)
    monkeypatch.setattr("boto3.session.Session", new_session)
    with ArtifactServer(tls=False).running() as running:
        running.heads[PATH] = HEAD
        running.replies[PATH] = Reply(body=BODY, headers={"ETag": '"abc"'})
        yield running


def a_verifier(server: ArtifactServer, *, silence: str = "5s", **settings: Any) -> Verifier:
    return Verifier(ArtifactSettings(s3=s3_settings(server.url, silence), **settings))


def s3_settings(endpoint: str, silence: str = "5s") -> ArtifactS3Settings:
    allowed = (AllowedBucket(bucket="models", namespaces=("ml",)),)
    return ArtifactS3Settings(endpoint=endpoint, timeout=Duration(silence), buckets=allowed)


async def verify(server: ArtifactServer, artifact: Artifact = ARTIFACT, **settings: Any) -> ArtifactFinding:
    verifier = a_verifier(server, **settings)
    try:
        return await verifier.verify("ml", artifact, Verification.CHECKSUM)
    finally:
        verifier.close()


async def test_the_bytes_read_are_of_the_revision_in_the_metadata(server: ArtifactServer) -> None:
    found = await verify(server)
    assert found.result is ArtifactResult.VERIFIED
    assert found.message.startswith('s3://models/fraud.onnx (ETag "abc", version v7) has the digest')
    assert server.headers[-1]["if-match"] == '"abc"'
    assert server.headers[0]["x-amz-checksum-mode"] == "ENABLED"


async def test_an_object_that_changes_between_the_two_requests_is_not_a_final_result(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(status=412)
    found = await verify(server)
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "changed while it was read" in found.message


@pytest.mark.parametrize(
    ("status", "result", "words"),
    [
        (404, ArtifactResult.MISSING, "no such object or bucket"),
        (403, ArtifactResult.COULD_NOT_ASK, "denied access (HTTP 403)"),
        (301, ArtifactResult.COULD_NOT_ASK, "another region"),
        (503, ArtifactResult.COULD_NOT_ASK, "HTTP 503"),
    ],
)
async def test_an_error_response_is_translated(
    server: ArtifactServer, status: int, result: ArtifactResult, words: str
) -> None:
    server.heads[PATH] = Reply(status=status)
    found = await verify(server)
    assert found.result is result
    assert words in found.message


async def test_a_denied_read_reveals_nothing_of_the_response(server: ArtifactServer) -> None:
    body = b"<Error><Code>AccessDenied</Code><Message>geheim</Message></Error>"
    server.replies[PATH] = Reply(status=403, body=body)
    found = await verify(server)
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "geheim" not in found.message
    assert "never-in-a-message" not in found.message


@pytest.mark.parametrize("reply", [Reply(silent=True), Reply(body=b"x", length=len(BODY), then=Then.HANG)])
async def test_a_silent_server_is_abandoned_after_the_timeout(server: ArtifactServer, reply: Reply) -> None:
    server.replies[PATH] = reply
    found = await verify(server, silence="200ms")
    assert found.result is ArtifactResult.COULD_NOT_ASK


async def test_a_truncated_response_is_not_a_finding_about_the_bytes(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(body=BODY[:100], length=len(BODY))
    found = await verify(server)
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "broke off" in found.message


async def test_two_gigabytes_that_the_head_did_not_announce_are_cut_off_at_the_limit(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(length=2 * 1024**3, then=Then.ZEROS)
    found = await verify(server, max_bytes=8 * 1024**2)
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "longer than the 8,388,608 bytes" in found.message
    assert await asyncio.to_thread(server.gone.wait, 5)


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize("then", [Then.ZEROS, Then.HANG])
async def test_cancelling_ends_the_reading_within_a_second(server: ArtifactServer, then: Then, *, keep: bool) -> None:
    server.heads[PATH] = Reply(length=2 * 1024**3, headers={"ETag": '"abc"'})
    server.replies[PATH] = Reply(body=bytes(2 * 1024**2), length=2 * 1024**3, then=then, keep=keep)
    others = set(threading.enumerate())
    verifier = a_verifier(server, silence="30s")
    task = asyncio.create_task(verifier.verify("ml", ARTIFACT, Verification.FULL))
    # Two chunks have been sent: the reading has begun.
    assert await asyncio.to_thread(server.sending.wait, 10)
    started = set(threading.enumerate()) - others
    (reading,) = [thread for thread in started if thread.name.startswith("serinus-artifacts")]
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    # An idle thread ends when its pool closes; a reading one continues.
    verifier.close()
    await asyncio.to_thread(reading.join, 5)
    assert time.monotonic() - began < 1


async def test_the_whole_verification_has_a_timeout(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(length=len(BODY), then=Then.HANG)
    found = await verify(server, timeout=Duration("300ms"))
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "was not read completely within 300ms" in found.message


@pytest.mark.parametrize("uri", ["s3://models", "s3://models/", "s3:///key", "s3://B@d!/key?X-Amz-Signature=geheim"])
async def test_a_uri_without_an_object_is_unsupported(server: ArtifactServer, uri: str) -> None:
    found = await verify(server, Artifact(uri=uri, digest=DIGEST))
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "geheim" not in found.message


async def test_nothing_is_sent_for_an_object_that_the_namespace_may_not_name(server: ArtifactServer) -> None:
    verifier = a_verifier(server)
    found = await verifier.verify("other-team", ARTIFACT, Verification.FULL)
    verifier.close()
    assert found.result is ArtifactResult.UNSUPPORTED
    assert found.message.startswith(
        "s3://models/fraud.onnx: artifacts.s3.buckets does not allow it for namespace other-team: an administrator"
    )
    assert server.headers == []


async def test_without_credentials_nothing_could_be_asked(
    server: ArtifactServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    found = await verify(server)
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "no credentials" in found.message


async def test_a_store_that_is_not_there_could_not_be_asked(server: ArtifactServer) -> None:
    verifier = Verifier(ArtifactSettings(s3=s3_settings("http://127.0.0.1:1")))
    found = await verifier.verify("ml", ARTIFACT, Verification.FULL)
    verifier.close()
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "cannot be reached" in found.message


@pytest.mark.parametrize("checksum", ["never base64!", "AAAA", "dGVzdA==-3"])
async def test_a_checksum_that_is_none_of_the_whole_is_not_believed(server: ArtifactServer, checksum: str) -> None:
    server.heads[PATH] = Reply(length=len(BODY), headers={"ETag": '"abc"', "x-amz-checksum-sha256": checksum})
    found = await verify(server)
    assert found.result is ArtifactResult.VERIFIED
    assert "by reading" in found.message
