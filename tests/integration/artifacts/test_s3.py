"""Artifacts in an S3 server: moto's, in a separate process on loopback."""

import base64
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from serinus.api.model import Verification
from serinus.api.modelversion import Artifact
from serinus.artifacts.fetch import Inspection, measure
from serinus.artifacts.s3 import S3Store
from serinus.artifacts.verifier import Verifier, measured
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.errors import ConflictError
from serinus.settings import ArtifactSettings, S3Settings
from support.servers.s3server import S3Server, digest_of, give_credentials

BODY = b"weights" * 400_000
DIGEST = digest_of(BODY)


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        server.bucket("models")
        yield server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    give_credentials(monkeypatch)


def settings(s3: S3Server, **fields: Any) -> ArtifactSettings:
    return ArtifactSettings(s3=S3Settings(endpoint=s3.url, region="eu-central-1"), **fields)


async def verify(s3: S3Server, how: Verification, uri: str, **fields: Any) -> ArtifactFinding:
    verifier = Verifier(settings(s3))
    try:
        return await verifier.verify(Artifact(uri=uri, **{"digest": DIGEST, **fields}), how)
    finally:
        verifier.close()


async def test_a_full_verification_reads_the_bytes(s3: S3Server) -> None:
    uri = s3.put("models", "full.onnx", BODY)
    found = await verify(s3, Verification.FULL, uri, size_bytes=len(BODY))
    assert found.result is ArtifactResult.VERIFIED
    assert "by reading 2,800,000 bytes" in found.message
    assert "ETag" in found.message


async def test_the_stores_own_checksum_is_enough_where_it_is_of_the_whole(s3: S3Server) -> None:
    checksum = base64.b64encode(sha256(BODY).digest()).decode()
    uri = s3.put("models", "checked.onnx", BODY, ChecksumAlgorithm="SHA256", ChecksumSHA256=checksum)
    found = await verify(s3, Verification.CHECKSUM, uri)
    assert found.result is ArtifactResult.VERIFIED
    assert "by the store's own checksum" in found.message
    other = await verify(s3, Verification.CHECKSUM, uri, digest=digest_of(b"other"))
    assert other.result is ArtifactResult.DIGEST_DIFFERS
    assert "by reading" in (await verify(s3, Verification.FULL, uri)).message


async def test_a_checksum_of_parts_is_not_enough_and_the_bytes_are_read(s3: S3Server) -> None:
    # S3 takes no smaller part but the last.
    first = bytes(5 * 1024**2)
    uri = s3.put_in_parts("models", "parts.onnx", first, b"the rest")
    found = await verify(s3, Verification.CHECKSUM, uri, digest=digest_of(first + b"the rest"))
    assert found.result is ArtifactResult.VERIFIED
    assert "by reading" in found.message


async def test_other_bytes_another_size_and_no_digest_are_findings(s3: S3Server) -> None:
    uri = s3.put("models", "other.onnx", BODY)
    differs = await verify(s3, Verification.FULL, uri, digest=digest_of(b"other"))
    assert differs.result is ArtifactResult.DIGEST_DIFFERS
    longer = await verify(s3, Verification.FULL, uri, size_bytes=1)
    assert longer.result is ArtifactResult.SIZE_DIFFERS
    nothing = await verify(s3, Verification.FULL, uri, digest=None)
    assert nothing.result is ArtifactResult.NO_DIGEST


async def test_a_missing_object_and_a_missing_bucket_are_missing(s3: S3Server) -> None:
    for uri in ("s3://models/none.onnx", "s3://no-such-bucket/x.onnx", "s3://models/none/"):
        found = await verify(s3, Verification.FULL, uri)
        assert found.result is ArtifactResult.MISSING, found
        assert uri in found.message


async def test_denied_access_is_not_missing(s3: S3Server) -> None:
    uri = s3.put("models", "hidden.onnx", BODY)
    with s3.checking_credentials():
        found = await verify(s3, Verification.FULL, uri)
    assert found.result is ArtifactResult.COULD_NOT_ASK
    assert "s3:GetObject" in found.message
    assert "never-in-a-message" not in found.message


async def test_an_object_with_versions_is_named_by_its_version(s3: S3Server) -> None:
    s3.bucket("kept")
    s3.client.put_bucket_versioning(Bucket="kept", VersioningConfiguration={"Status": "Enabled"})
    uri = s3.put("kept", "model.onnx", BODY)
    version = s3.client.head_object(Bucket="kept", Key="model.onnx")["VersionId"]
    found = await verify(s3, Verification.FULL, uri)
    assert f"version {version}" in found.message


async def test_a_prefix_is_a_folder_with_the_same_digest_as_on_disk(s3: S3Server, tmp_path: Path) -> None:
    files = {"MLmodel": b"flavors", "data/model.onnx": BODY, "data/a.txt": b""}
    for path, content in files.items():
        s3.put("models", f"fraud/7/{path}", content)
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_bytes(content)
    local = measured(ArtifactSettings(local_root=str(tmp_path)), str(tmp_path))
    assert measured(settings(s3), "s3://models/fraud/7/") == local
    found = await verify(s3, Verification.CHECKSUM, "s3://models/fraud/7/", digest=local.digest, size_bytes=local.size)
    assert found.result is ArtifactResult.VERIFIED


def test_a_folder_of_more_than_one_page_is_read_whole(s3: S3Server) -> None:
    for number in range(5):
        s3.put("models", f"many/{number}", b"x")
    store, inspection = S3Store(settings(s3).s3, workers=1, page=2), Inspection()
    with store.stat("s3://models/many/", inspection) as artifact:
        assert measure(artifact, inspection, most=5).size == 5
    store.close()


def test_an_object_that_is_replaced_between_the_two_requests_is_told(s3: S3Server) -> None:
    uri = s3.put("models", "moving.onnx", b"old")
    store, inspection = S3Store(settings(s3).s3, workers=1), Inspection()
    with store.stat(uri, inspection) as artifact:
        s3.put("models", "moving.onnx", b"new")
        with pytest.raises(ConflictError, match="changed while it was read"):
            measure(artifact, inspection, most=5)
    store.close()
