"""Artifacts behind https://: reading, refusals, and termination."""

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from serinus.api.model import Verification
from serinus.api.modelversion import Artifact
from serinus.api.quantities import Duration
from serinus.artifacts.https import AllowedHost, HttpsStore
from serinus.artifacts.verifier import Verifier
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.errors import RefusedError
from serinus.settings import ArtifactSettings
from support.servers.artifact_server import NAME, ArtifactServer, Reply, Then, trusting
from support.servers.s3server import digest_of

BODY = b"a model" * 1000
DIGEST = digest_of(BODY)
PATH = "/models/fraud/2.3.1.onnx"


@pytest.fixture
def server() -> Iterator[ArtifactServer]:
    with ArtifactServer(tls=True).running() as running:
        running.replies[PATH] = Reply(body=BODY, headers={"ETag": '"abc"'})
        yield running


def store(server: ArtifactServer, *hosts: str, timeout: float = 5, address: str = "127.0.0.1") -> HttpsStore:
    allowed = [f"{host}:{server.host.partition(':')[2]}" for host in hosts or ("127.0.0.1",)]
    return HttpsStore(allowed, timeout=timeout, tls=trusting(), resolve=lambda _host, _port: [address])


async def verify(
    server: ArtifactServer, artifact: Artifact, *, https: HttpsStore | None = None, **settings: Any
) -> ArtifactFinding:
    verifier = Verifier(ArtifactSettings(**settings), https=https or store(server))
    try:
        return await verifier.verify("ml", artifact, Verification.FULL)
    finally:
        verifier.close()


def artifact(server: ArtifactServer, path: str = PATH, **fields: Any) -> Artifact:
    return Artifact(**{"uri": server.url + path, "digest": DIGEST, **fields})


async def test_the_right_bytes_are_verified(server: ArtifactServer) -> None:
    found = await verify(server, artifact(server, size_bytes=len(BODY)))
    assert found.result is ArtifactResult.VERIFIED
    assert found.message == f'{server.url}{PATH} (ETag "abc") has the digest {DIGEST}, by reading 7,000 bytes.'
    assert server.headers[0]["host"] == server.host
    assert server.headers[0]["accept-encoding"] == "identity"


async def test_other_bytes_are_reported_without_the_digest_and_etag_that_were_found(server: ArtifactServer) -> None:
    other = digest_of(b"other")
    found = await verify(server, artifact(server, digest=other))
    assert found.result is ArtifactResult.DIGEST_DIFFERS
    assert f"has another digest than the {other} of the ModelVersion" in found.message
    assert DIGEST.removeprefix("sha256:") not in found.message
    assert "abc" not in found.message


async def test_another_size_is_reported_without_reading_the_body(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(body=BODY[:10], length=len(BODY), then=Then.HANG)
    found = await verify(server, artifact(server, size_bytes=5))
    assert found.result is ArtifactResult.SIZE_DIFFERS
    assert "has another size than the 5 bytes of the ModelVersion" in found.message
    assert "7,000" not in found.message


async def test_a_body_longer_than_stated_is_not_read_to_its_end(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(length=-1, then=Then.ZEROS)
    found = await verify(server, artifact(server, size_bytes=3_000_000))
    assert found.result is ArtifactResult.SIZE_DIFFERS
    assert server.gone.wait(5)


async def test_an_endless_body_is_cut_off_at_the_limit(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(length=-1, then=Then.ZEROS)
    found = await verify(server, artifact(server), max_bytes=8 * 1024**2)
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "is longer than the 8,388,608 bytes that are read at most: raise artifacts.maxBytes" in found.message
    assert server.gone.wait(5)


async def test_two_gigabytes_are_refused_by_their_announced_length_alone(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(length=2 * 1024**3, then=Then.HANG)
    found = await verify(server, artifact(server), max_bytes=1024**3)
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "is longer than the 1,073,741,824 bytes" in found.message


async def test_without_a_digest_only_existence_is_reported(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(length=51_200_000, then=Then.HANG)
    found = await verify(server, artifact(server, digest=None))
    assert found.result is ArtifactResult.NO_DIGEST
    assert found.message.endswith(" exists; the ModelVersion names no digest to compare it with.")


async def test_a_missing_artifact_is_distinguished_from_an_unavailable_server(server: ArtifactServer) -> None:
    missing = await verify(server, artifact(server, "/none.onnx"))
    assert (missing.result, missing.final) == (ArtifactResult.MISSING, True)
    server.replies["/down.onnx"] = Reply(status=503, body=b"secret body")
    down = await verify(server, artifact(server, "/down.onnx"))
    assert (down.result, down.final) == (ArtifactResult.COULD_NOT_ASK, False)
    assert "HTTP 503" in down.message
    assert "secret" not in down.message


async def test_a_signature_in_the_address_is_sent_but_never_in_a_message(server: ArtifactServer) -> None:
    signed = f"{PATH}?X-Signature=geheim"
    for status in (200, 403, 404, 500):
        server.replies[PATH] = Reply(status=status, body=b"x")
        found = await verify(server, artifact(server, signed))
        assert "geheim" not in found.message
        assert f"{server.url}{PATH}" in found.message
    assert set(server.asked) == {f"GET {signed}"}


async def test_credentials_in_the_address_are_refused_and_never_in_a_message(server: ArtifactServer) -> None:
    found = await verify(server, Artifact(uri=f"https://anna:geheim@{server.host}{PATH}", digest=DIGEST))
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "geheim" not in found.message
    assert server.asked == []


@pytest.mark.parametrize("uri", ["https://elsewhere.test/x", "https://127.0.0.1/x", "https://", "https://[::1/x"])
async def test_a_host_that_is_not_listed_gets_no_request(server: ArtifactServer, uri: str) -> None:
    found = await verify(server, Artifact(uri=uri, digest=DIGEST))
    assert found.result is ArtifactResult.UNSUPPORTED
    assert server.asked == []


async def test_without_listed_hosts_none_is_allowed(server: ArtifactServer) -> None:
    verifier = Verifier(ArtifactSettings())
    found = await verifier.verify("ml", artifact(server), Verification.FULL)
    verifier.close()
    assert found.result is ArtifactResult.UNSUPPORTED


async def test_a_host_listed_by_its_name_may_have_a_private_address(server: ArtifactServer) -> None:
    uri = server.url.replace("127.0.0.1", NAME) + PATH
    found = await verify(server, Artifact(uri=uri, digest=DIGEST), https=store(server, NAME))
    assert found.result is ArtifactResult.VERIFIED


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.1.1",
        "169.254.169.254",
        "0.0.0.0",  # noqa: S104 - nothing is bound to it
        "::1",
        "fd00::1",
        "fe80::1%eth0",
        "::ffff:10.0.0.1",
        "64:ff9b::a00:1",
        "2002:a00:1::",
    ],
)
async def test_a_host_that_only_matches_a_pattern_may_not_have_a_private_address(
    server: ArtifactServer, address: str
) -> None:
    uri = server.url.replace("127.0.0.1", NAME) + PATH
    https = store(server, "*.example.test", address=address)
    found = await verify(server, Artifact(uri=uri, digest=DIGEST), https=https)
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "which is not public" in found.message
    assert server.asked == []


async def test_no_name_leads_to_a_clouds_metadata_service(server: ArtifactServer) -> None:
    uri = server.url.replace("127.0.0.1", NAME) + PATH
    https = store(server, NAME, address="169.254.169.254")
    found = await verify(server, Artifact(uri=uri, digest=DIGEST), https=https)
    assert found.result is ArtifactResult.UNSUPPORTED


async def test_a_redirect_within_the_host_is_followed(server: ArtifactServer) -> None:
    server.replies["/latest"] = Reply(status=302, headers={"Location": PATH})
    found = await verify(server, artifact(server, "/latest"))
    assert found.result is ArtifactResult.VERIFIED


@pytest.mark.parametrize("target", ["https://elsewhere.test/x", "http://127.0.0.1/x", "//169.254.169.254/", "/again"])
async def test_a_redirect_elsewhere_or_without_end_is_refused(server: ArtifactServer, target: str) -> None:
    server.replies["/again"] = Reply(status=307, headers={"Location": target})
    found = await verify(server, artifact(server, "/again"))
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "name the final address" in found.message


async def test_a_truncated_response_is_not_a_finding_about_the_bytes(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(body=BODY[:100], length=len(BODY))
    found = await verify(server, artifact(server))
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "broke off" in found.message


async def test_a_truncated_response_without_a_length_is_not_a_finding_about_the_bytes(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(body=BODY, length=-1)
    found = await verify(server, artifact(server))
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "broke off" in found.message


@pytest.mark.parametrize("reply", [Reply(silent=True), Reply(body=b"x", length=9, then=Then.HANG)])
async def test_a_silent_server_is_abandoned_after_the_timeout(server: ArtifactServer, reply: Reply) -> None:
    server.replies[PATH] = reply
    found = await verify(server, artifact(server), https=store(server, timeout=0.2))
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "did not respond in time" in found.message


@pytest.mark.parametrize("reply", [Reply(silent=True), Reply(length=-1, then=Then.HANG), Reply(then=Then.ZEROS)])
async def test_the_whole_verification_has_a_timeout(server: ArtifactServer, reply: Reply) -> None:
    server.replies[PATH] = Reply(**{**_fields(reply), "length": -1})
    found = await verify(server, artifact(server), timeout=Duration("300ms"))
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "was not read completely within 300ms" in found.message


def _fields(reply: Reply) -> dict[str, Any]:
    return {name: getattr(reply, name) for name in ("status", "body", "then", "silent")}


@pytest.mark.parametrize("then", [Then.ZEROS, Then.HANG])
async def test_cancelling_ends_the_reading_within_a_second(server: ArtifactServer, then: Then) -> None:
    server.replies[PATH] = Reply(length=-1, then=then)
    verifier = Verifier(ArtifactSettings(), https=store(server, timeout=30))
    task = asyncio.create_task(verifier.verify("ml", artifact(server), Verification.FULL))
    assert await asyncio.to_thread(server.sending.wait, 5)
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(server.gone.wait, 5)
    assert time.monotonic() - began < 1
    verifier.close()


async def test_an_unknown_certificate_is_not_trusted(server: ArtifactServer) -> None:
    found = await verify(server, artifact(server), https=HttpsStore([server.host], timeout=5))
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "certificate is not trusted" in found.message


async def test_a_name_that_does_not_resolve_is_not_a_final_result(server: ArtifactServer) -> None:
    https = HttpsStore(["nowhere.invalid"], timeout=5)
    found = await verify(server, Artifact(uri="https://nowhere.invalid/x", digest=DIGEST), https=https)
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "cannot be resolved" in found.message


async def test_bytes_that_come_compressed_cannot_be_checked(server: ArtifactServer) -> None:
    server.replies[PATH] = Reply(body=BODY, headers={"Content-Encoding": "gzip"})
    found = await verify(server, artifact(server))
    assert found.result is ArtifactResult.UNSUPPORTED


@pytest.mark.parametrize("entry", ["", "https://a.test", "a.test/path", "u@a.test", "*", "a.*.test", "a.test:x"])
def test_an_invalid_host_is_refused_at_the_start(entry: str) -> None:
    with pytest.raises(RefusedError, match="httpsHosts"):
        Verifier(ArtifactSettings(https_hosts=(entry,)))


@pytest.mark.parametrize(
    ("entry", "host", "port", "matches"),
    [
        ("a.test", "a.test", 443, True),
        ("a.test", "a.test", 8443, False),
        ("A.test:8443", "a.test", 8443, True),
        ("a.test", "b.a.test", 443, False),
        ("*.a.test", "b.a.test", 443, True),
        ("*.a.test", "a.test", 443, False),
        ("*.a.test", "ba.test", 443, False),
        ("[::1]:8443", "::1", 8443, True),
    ],
)
def test_an_entry_matches_a_host_and_a_port(entry: str, host: str, port: int, *, matches: bool) -> None:
    assert AllowedHost.parse(entry).matches(host, port) is matches
