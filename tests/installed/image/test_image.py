"""The image that the Dockerfile makes, on a base of Debian packages: what is in it, and whether it stays the same."""

import hashlib
import json
import re
import shlex
import shutil
import stat
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any, Final

import pytest

from localcluster.settings import CHECKOUT
from support.fenced.pages import lines_that_need
from support.fenced.runs import Where
from support.image.base import base
from support.image.build import BASE, Engine, context, engine
from support.image.result import NEXT, ROOT, SERINUS, archive, environment, keep_environment, note
from support.image.sandbox import in_sandbox
from support.realnode.programs import programs
from support.realnode.settings import PAUSE

_NAME: Final = "localhost/serinus"
_BASE_OF_READERS: Final = "python:3.12-slim@sha256:…"
_TAG_OF_READERS: Final = "serinus:0.1.0"
_MOST_BYTES: Final = 350e6
"""What the image may have beside its base: a dependency that makes it larger is to be noticed."""


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, str, str]]:
    """An engine and the ids of two builds without any cache between them; archives stay for the nodes."""
    builder = engine(tmp_path_factory.mktemp("buildah"))
    builder.import_base(base())
    source = context(tmp_path_factory.mktemp("context"))
    first, second = (builder.build(_words(name), source) for name in ("first", "second"))
    builder.of_program(programs().by_name["pause"], PAUSE)
    builder.save(first, archive("serinus"), SERINUS)
    builder.save(first, archive("serinus-next"), NEXT)
    builder.save(BASE, archive("base"), BASE)
    builder.save(PAUSE, archive("pause"), PAUSE)
    yield builder, first, second
    builder.run("rmi", "--all", "--force")


def _words(tag: str) -> list[str]:
    """Return the command of docs/how-to/build-the-image.md, with a base and a tag of these tests."""
    (line,) = lines_that_need(Where.IMAGE)
    commit = subprocess.run(
        ["git", "log", "-1", "--format=%ct"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    asked = '"$(git log -1 --format=%ct)"'
    assert all(part in line.text for part in (asked, _BASE_OF_READERS, _TAG_OF_READERS))
    text = line.text.replace(asked, commit.stdout.strip()).replace(_BASE_OF_READERS, BASE)
    return shlex.split(text.replace(_TAG_OF_READERS, f"{_NAME}:{tag}"))


@pytest.fixture(scope="module")
def root(images: tuple[Engine, str, str]) -> Iterator[Path]:
    """The root file system of the image; a copy stays for the tests in the cluster."""
    builder, image, _ = images
    with builder.mounted(image) as folder:
        shutil.rmtree(ROOT, ignore_errors=True)
        ROOT.parent.mkdir(exist_ok=True)
        # It has devices: what copies them by reading never ends.
        subprocess.run(["cp", "--archive", str(folder), str(ROOT)], check=True)
        keep_environment(dict(line.split("=", 1) for line in _settings(builder, image)["Env"]))
        yield folder


def _files(root: Path) -> dict[str, str]:
    found = {}
    for path in sorted((root / "opt").rglob("*")):
        name = str(path.relative_to(root))
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def test_two_builds_are_the_same_to_the_byte(images: tuple[Engine, str, str], root: Path) -> None:
    """The id of an image is the digest of its configuration, which has the digests of its layers."""
    builder, first, second = images
    with builder.mounted(second) as other:
        left, right = _files(root), _files(other)
        assert {name for name in left.keys() | right.keys() if left.get(name) != right.get(name)} == set()
    assert first == second


def _settings(builder: Engine, image: str) -> dict[str, Any]:
    settings: dict[str, Any] = json.loads(builder.run("inspect", "--type", "image", image))["OCIv1"]["config"]
    return settings


def test_it_starts_the_operator_as_an_unprivileged_user(images: tuple[Engine, str, str]) -> None:
    builder, image, _ = images
    settings = _settings(builder, image)
    assert (settings["User"], settings["Entrypoint"], settings["Cmd"]) == ("10001:10001", ["serinus"], ["run"])


def test_nothing_of_the_build_is_left(root: Path) -> None:
    assert not [name for name in _files(root) if "/pip/" in name or name.endswith((".whl", ".lock"))]
    assert not (root / "source").exists()
    assert not [name for name in environment() if name.startswith("PIP_")]


def test_the_user_can_change_nothing_of_it(root: Path) -> None:
    odd = []
    for path in (root / "opt").rglob("*"):
        mode = path.lstat()
        writable = mode.st_uid != 0 or bool(mode.st_mode & (stat.S_IWOTH | stat.S_IWGRP))
        privileged = bool(mode.st_mode & (stat.S_ISUID | stat.S_ISGID))
        if not path.is_symlink() and (writable or privileged):
            odd.append(path)
    assert odd == []


def test_it_has_exactly_what_the_bill_of_materials_lists(root: Path, tmp_path: Path) -> None:
    (libraries,) = (root / "opt" / "serinus" / "lib").glob("python3*/site-packages")
    found = {_named(PathDistribution(path)) for path in libraries.glob("*.dist-info")}
    file = tmp_path / "sbom.json"
    # As `make sbom` does.
    program = str(Path(sys.executable).with_name("cyclonedx-py"))
    arguments = ("requirements", "requirements-run.lock", "--pyproject", "pyproject.toml", "--output-file", str(file))
    done = subprocess.run([program, *arguments], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    bill = json.loads(file.read_text(encoding="utf-8"))
    listed = {(_plain(one["name"]), one["version"]) for one in bill["components"]}
    own = bill["metadata"]["component"]
    # Some dependencies are for other systems or older versions of Python: the lock has them, this image has not.
    assert found - listed == {(_plain(own["name"]), own["version"])}
    for component in bill["components"]:
        assert component["externalReferences"] or component["hashes"], component["name"]


def _named(distribution: Distribution) -> tuple[str, str]:
    return _plain(distribution.metadata["Name"]), distribution.version


def _plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


@pytest.fixture
def version_command(root: Path, tmp_path: Path) -> list[str]:
    """``serinus version`` in the image: read-only, unprivileged, without a shell."""
    own, given = tmp_path / "own", tmp_path / "given"
    own.mkdir()
    given.mkdir()
    return in_sandbox(ROOT, own, environment(), ["/opt/serinus/bin/serinus", "version"], given=given)


def test_it_starts_with_a_read_only_root_and_without_a_shell(version_command: list[str]) -> None:
    begun = time.monotonic()
    done = subprocess.run(version_command, capture_output=True, text=True, check=False)
    note(seconds_of_serinus_version=round(time.monotonic() - begun, 2))
    assert (done.returncode, done.stderr) == (0, "")
    assert tomllib.loads((CHECKOUT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"] in done.stdout


def test_its_size_is_noted(images: tuple[Engine, str, str], root: Path, tmp_path: Path) -> None:
    builder, image, _ = images
    builder.run("push", "--quiet", "--compression-format", "gzip", image, f"oci:{tmp_path}/pushed:latest")
    blobs = tmp_path / "pushed" / "blobs" / "sha256"
    (entry,) = json.loads((tmp_path / "pushed" / "index.json").read_text(encoding="utf-8"))["manifests"]
    manifest = json.loads((blobs / entry["digest"].removeprefix("sha256:")).read_text(encoding="utf-8"))
    base_layer, own_layer = (layer["size"] for layer in manifest["layers"])
    own = sum(path.lstat().st_size for path in (root / "opt").rglob("*") if path.is_file() and not path.is_symlink())
    note(
        megabytes_of_serinus=round(own / 1e6),
        megabytes_of_serinus_to_pull=round(own_layer / 1e6),
        megabytes_of_the_base_to_pull=round(base_layer / 1e6),
    )
    assert own < _MOST_BYTES
