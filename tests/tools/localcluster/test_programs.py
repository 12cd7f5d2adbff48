"""Programs are fetched once, and only used if they have the published checksum."""

import hashlib
import io
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from localcluster.errors import ChecksumError, LocalClusterError
from localcluster.programs import download, provide
from localcluster.programs.catalogue import Download, Program

CONTENT = b"#!/bin/sh\necho a program\n"
PLAIN = Download(url="{base}/tool-{arch}", base="http://unused", checksums="{base}/tool-{arch}.sha256")
PROGRAM = Program(name="tool", version="v1", download=PLAIN)


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Suppress the access log."""


@pytest.fixture
def published(tmp_path: Path) -> Path:
    folder = tmp_path / "published"
    folder.mkdir()
    file = folder / f"tool-{download.architecture()}"
    file.write_bytes(CONTENT)
    file.with_name(f"{file.name}.sha256").write_text(hashlib.sha256(CONTENT).hexdigest())
    return folder


@pytest.fixture
def base(published: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(published))) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_file_with_the_published_checksum_is_accepted(base: str, tmp_path: Path) -> None:
    target = tmp_path / "tool"

    download.fetch(PLAIN, base, target, timeout=3)

    assert target.read_bytes() == CONTENT
    assert target.stat().st_mode & 0o111


def test_a_file_with_another_checksum_is_refused(base: str, published: Path, tmp_path: Path) -> None:
    (published / f"tool-{download.architecture()}").write_bytes(b"something else")
    target = tmp_path / "tool"

    with pytest.raises(ChecksumError, match=hashlib.sha256(CONTENT).hexdigest()):
        download.fetch(PLAIN, base, target, timeout=3)

    assert list(tmp_path.glob("tool*")) == []


def test_a_member_of_an_archive_is_found_by_the_list_of_checksums(base: str, published: Path, tmp_path: Path) -> None:
    packed = published / "tool.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        entry = tarfile.TarInfo("tool-v1/tool")
        entry.size = len(CONTENT)
        archive.addfile(entry, io.BytesIO(CONTENT))
    digest = hashlib.sha256(packed.read_bytes()).hexdigest()
    (published / "SHA256SUMS").write_text(f"{'0' * 64}  other.tar.gz\n{digest}  tool.tar.gz\n")
    archived = replace(PLAIN, url="{base}/tool.tar.gz", checksums="{base}/SHA256SUMS", member="tool-v1/tool")

    download.fetch(archived, base, tmp_path / "tool", timeout=3)

    assert (tmp_path / "tool").read_bytes() == CONTENT


def test_a_fetched_program_is_cached(
    base: str, published: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(provide.BASE_VARIABLE, base)
    monkeypatch.delenv(provide.ASSETS_VARIABLE, raising=False)
    first = provide.resolve(PROGRAM)
    for file in published.iterdir():
        file.unlink()

    assert provide.resolve(PROGRAM) == first
    assert first.is_relative_to(tmp_path / "cache")


def test_the_error_for_an_unavailable_program_lists_the_attempts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv(provide.BASE_VARIABLE, "http://127.0.0.1:9")
    monkeypatch.delenv(provide.ASSETS_VARIABLE, raising=False)

    with pytest.raises(LocalClusterError, match=r"KUBEBUILDER_ASSETS.*\n.*http://127.0.0.1:9/tool"):
        provide.resolve(PROGRAM)


def test_the_assets_folder_takes_precedence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tool").write_bytes(CONTENT)
    monkeypatch.setenv(provide.ASSETS_VARIABLE, str(tmp_path))

    assert provide.resolve(PROGRAM) == tmp_path / "tool"
