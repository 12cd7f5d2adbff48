"""Artifacts in a folder: single files, whole folders, and attempts to leave the folder."""

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serinus.api.model import Verification
from serinus.api.modelversion import Artifact
from serinus.artifacts.fetch import Inspection, folder_digest, measure
from serinus.artifacts.local import LocalStore
from serinus.artifacts.verifier import Verifier, measured
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.errors import ConflictError, RefusedError
from serinus.settings import ArtifactSettings
from support.servers.s3server import digest_of


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "models"
    (inside / "fraud" / "data").mkdir(parents=True)
    (inside / "fraud" / "MLmodel").write_bytes(b"flavors")
    (inside / "fraud" / "data" / "model.onnx").write_bytes(b"weights")
    (inside / "model.onnx").write_bytes(b"weights")
    (tmp_path / "secret").write_bytes(b"weights")
    return inside


async def verify(root: Path | None, uri: str, **fields: Any) -> ArtifactFinding:
    verifier = Verifier(ArtifactSettings(local_root=str(root) if root is not None else None))
    try:
        return await verifier.verify("ml", Artifact(uri=uri, **fields), Verification.CHECKSUM)
    finally:
        verifier.close()


async def test_a_file_is_found_by_each_notation_of_its_path(root: Path) -> None:
    for uri in (
        "model.onnx",
        f"{root}/model.onnx",
        f"file://{root}/model.onnx",
        f"file://localhost{root}/model%2Eonnx",
    ):
        found = await verify(root, uri, digest=digest_of(b"weights"), size_bytes=7)
        assert found.result is ArtifactResult.VERIFIED, found


async def test_a_folder_has_the_digest_of_its_files_digests_in_the_order_of_their_paths(root: Path) -> None:
    expected = sha256(sha256(b"flavors").digest() + sha256(b"weights").digest()).hexdigest()
    found = await verify(root, "fraud", digest=f"sha256:{expected}", size_bytes=14)
    assert found.result is ArtifactResult.VERIFIED
    assert "fraud (2 files)" in found.message
    (root / "fraud" / "data" / "model.onnx").write_bytes(b"WEIGHTS")
    assert (await verify(root, "fraud", digest=f"sha256:{expected}")).result is ArtifactResult.DIGEST_DIFFERS


@given(st.dictionaries(st.text("ab/c", min_size=1), st.binary(min_size=32, max_size=32), max_size=5))
def test_a_folders_digest_does_not_depend_on_the_order_in_which_it_is_listed(files: dict[str, bytes]) -> None:
    assert folder_digest(files.items()) == folder_digest(reversed(files.items()))


async def test_an_absent_file_is_missing(root: Path) -> None:
    for uri in ("none.onnx", "model.onnx/below"):
        assert (await verify(root, uri)).result is ArtifactResult.MISSING


async def test_nothing_outside_the_folder_can_be_reached(root: Path) -> None:
    (root / "link").symlink_to("../secret")
    (root / "loop").symlink_to("loop")
    outside = ["../secret", f"{root}/../secret", f"file://{root}/../secret", "/etc/passwd", "link", "loop", "a\0b"]
    for uri in [*outside, f"file://elsewhere{root}/model.onnx"]:
        found = await verify(root, uri, digest=digest_of(b"weights"))
        assert found.result is ArtifactResult.UNSUPPORTED, uri


async def test_a_link_within_the_folder_is_followed(root: Path) -> None:
    (root / "current").symlink_to("model.onnx")
    assert (await verify(root, "current", digest=digest_of(b"weights"))).result is ArtifactResult.VERIFIED


async def test_a_folder_with_anything_but_files_is_refused(root: Path) -> None:
    (root / "fraud" / "link").symlink_to("MLmodel")
    found = await verify(root, "fraud", digest=digest_of(b"weights"))
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "contains link" in found.message


async def test_a_pipe_is_refused_without_blocking(root: Path) -> None:
    os.mkfifo(root / "pipe")
    assert (await verify(root, "pipe", digest=digest_of(b"weights"))).result is ArtifactResult.UNSUPPORTED


async def test_without_a_folder_no_path_is_allowed(root: Path) -> None:
    found = await verify(None, f"{root}/model.onnx")
    assert found.result is ArtifactResult.UNSUPPORTED
    assert "artifacts.localRoot" in found.message


def test_a_link_created_during_the_verification_is_not_followed(root: Path) -> None:
    inspection = Inspection()
    with LocalStore(str(root)).stat("fraud", inspection) as artifact:
        (root / "fraud" / "data" / "model.onnx").unlink()
        (root / "fraud" / "data").rmdir()
        (root / "fraud" / "data").symlink_to(root)
        with pytest.raises(Exception, match="cannot be read"):
            measure(artifact, inspection, most=100)


def test_a_file_that_changes_while_it_is_read_is_a_conflict(root: Path) -> None:
    inspection = Inspection()
    with LocalStore(str(root)).stat("model.onnx", inspection) as artifact:
        (root / "model.onnx").write_bytes(b"heavier weights")
        with pytest.raises(ConflictError, match="changed while it was read"):
            measure(artifact, inspection, most=100)


def test_an_artifact_can_be_measured_without_a_modelversion(root: Path) -> None:
    settings = ArtifactSettings(local_root=str(root), max_bytes=7)
    assert measured(settings, "model.onnx").digest == digest_of(b"weights")
    with pytest.raises(RefusedError, match="longer than 7 bytes"):
        measured(settings, "fraud")
