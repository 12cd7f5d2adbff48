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
from serinus.settings import AllowedBucket, ArtifactS3Settings, ArtifactSettings
from support.servers.s3server import S3Server, digest_of, give_credentials

BODY = b"weights" * 400_000
DIGEST = digest_of(BODY)
ALLOWED = tuple(AllowedBucket(bucket=bucket, namespaces=("ml",)) for bucket in ("models", "kept", "no-such-bucket"))
SECRET = b"name,card\nAda,4111"


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with S3Server(tmp_path_factory.mktemp("s3")) as server:
        server.bucket("models")
        yield server


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    give_credentials(monkeypatch)


def settings(s3: S3Server, **fields: Any) -> ArtifactSettings:
    return ArtifactSettings(s3=s3_settings(s3, *ALLOWED), **fields)


def s3_settings(s3: S3Server, *allowed: AllowedBucket) -> ArtifactS3Settings:
    return ArtifactS3Settings(endpoint=s3.url, region="eu-central-1", buckets=allowed)


async def verify(s3: S3Server, how: Verification, uri: str, **fields: Any) -> ArtifactFinding:
    verifier = Verifier(settings(s3))
    try:
        return await verifier.verify("ml", Artifact(uri=uri, **{"digest": DIGEST, **fields}), how)
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


@pytest.fixture(scope="module")
def others(s3: S3Server) -> S3Server:
    """The server with a bucket of two teams."""
    s3.bucket("shared")
    for key in ("team-a/model.onnx", "team-abc/customers.csv", "team-b/customers.csv", "customers.csv"):
        s3.put("shared", key, SECRET)
    return s3


@pytest.mark.parametrize(
    "uri",
    [
        "s3://shared/team-b/customers.csv",
        "s3://shared/team-b/no-such-object.csv",
        "s3://shared/team-abc/customers.csv",
        "s3://shared/team-b/",
        "s3://shared/team-",
        "s3://shared/team-a",
        "s3://shared/customers.csv",
        "s3://shared//team-a/model.onnx",
        "s3://shared/team-a/../team-b/customers.csv",
        "s3://shared/team-a/./model.onnx",
        "s3://SHARED/team-a/model.onnx",
        "s3://models/full.onnx",
        "s3://arn:aws:s3:eu-central-1:123456789012:accesspoint/all/team-a/x",
    ],
)
@pytest.mark.parametrize("stated", [{}, {"size_bytes": len(SECRET), "digest": digest_of(SECRET)}, {"digest": None}])
async def test_what_a_namespace_may_not_name_is_refused_whatever_is_there(
    others: S3Server, uri: str, stated: dict[str, Any]
) -> None:
    own = AllowedBucket(bucket="shared", prefix="team-a/", namespaces=("team-a",))
    everything = AllowedBucket(bucket="models", namespaces=("team-b",))
    verifier = Verifier(ArtifactSettings(s3=s3_settings(others, own, everything)))
    artifact = Artifact(uri=uri, **{"digest": DIGEST, **stated})
    found = [await verifier.verify("team-a", artifact, how) for how in (Verification.FULL, Verification.CHECKSUM)]
    verifier.close()
    assert found[0] == found[1]
    assert found[0].result is ArtifactResult.UNSUPPORTED
    refused = "artifacts.s3.buckets does not allow it for namespace team-a" in found[0].message
    assert refused or "a part of the path is . or .." in found[0].message


async def test_each_namespace_may_name_what_is_listed_for_it(others: S3Server) -> None:
    own = AllowedBucket(bucket="shared", prefix="team-a/", namespaces=("team-a", "team-a-test"))
    of_all = AllowedBucket(bucket="shared", prefix="team-b/", namespaces=("*",))
    verifier = Verifier(ArtifactSettings(s3=s3_settings(others, own, of_all)))
    asked = [
        ("team-a", "s3://shared/team-a/model.onnx"),
        ("team-a-test", "s3://shared/team-a/model.onnx"),
        ("anybody", "s3://shared/team-b/customers.csv"),
        ("anybody", "s3://shared/team-a/model.onnx"),
    ]
    found = [
        await verifier.verify(namespace, Artifact(uri=uri, digest=digest_of(SECRET)), Verification.FULL)
        for namespace, uri in asked
    ]
    verifier.close()
    assert [finding.result for finding in found] == [ArtifactResult.VERIFIED] * 3 + [ArtifactResult.UNSUPPORTED]


async def test_without_configuration_no_bucket_is_allowed(others: S3Server) -> None:
    verifier = Verifier(ArtifactSettings(s3=s3_settings(others)))
    found = await verifier.verify("ml", Artifact(uri="s3://shared/team-a/model.onnx"), Verification.FULL)
    verifier.close()
    assert found.result is ArtifactResult.UNSUPPORTED


async def test_what_was_found_instead_is_not_told(others: S3Server) -> None:
    uri, size, digest = "s3://models/telling.onnx", str(len(SECRET)), digest_of(SECRET).removeprefix("sha256:")
    checksum = base64.b64encode(sha256(SECRET).digest()).decode()
    others.put("models", "telling.onnx", SECRET, ChecksumAlgorithm="SHA256", ChecksumSHA256=checksum)
    etag = others.client.head_object(Bucket="models", Key="telling.onnx")["ETag"].strip('"')
    verifier = Verifier(ArtifactSettings(s3=s3_settings(others, *ALLOWED), max_bytes=10))
    for stated in ({"digest": DIGEST}, {"digest": DIGEST, "size_bytes": 5}, {"digest": None}):
        for how in (Verification.FULL, Verification.CHECKSUM):
            found = await verifier.verify("ml", Artifact(uri=uri, **stated), how)
            assert found.result is not ArtifactResult.VERIFIED
            assert not [told for told in (size, digest, etag) if told in found.message.replace(DIGEST, "")]
    verifier.close()


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
