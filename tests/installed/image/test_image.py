"""The image that the Dockerfile makes, on a base of Debian packages: what is in it, and whether it stays the same."""

import hashlib
import json
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import Distribution, PathDistribution
from pathlib import Path
from typing import Any, Final

import pytest

from localcluster.settings import CHECKOUT
from support.image.base import base
from support.image.build import Engine, engine
from support.image.result import ROOT, note

_EPOCH: Final = 1767225600
_NAME: Final = "localhost/serinus"


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Engine, str, str]]:
    """An engine and the ids of two builds, without any cache between them."""
    builder = engine(tmp_path_factory.mktemp("buildah"))
    builder.import_base(base())
    yield builder, builder.build(f"{_NAME}:first", epoch=_EPOCH), builder.build(f"{_NAME}:second", epoch=_EPOCH)
    builder.run("rmi", "--all", "--force")


@pytest.fixture(scope="module")
def root(images: tuple[Engine, str, str]) -> Iterator[Path]:
    """The root file system of the image; a copy stays for the tests in the cluster."""
    builder, image, _ = images
    with builder.mounted(image) as folder:
        shutil.rmtree(ROOT, ignore_errors=True)
        # The devices of the base have no end.
        shutil.copytree(folder, ROOT, symlinks=True, ignore=shutil.ignore_patterns("dev", "proc", "sys"))
        yield folder


def _files(root: Path) -> dict[str, str]:
    found = {}
    for path in sorted((root / "opt").rglob("*")):
        name = str(path.relative_to(root))
        content = str(path.readlink()).encode() if path.is_symlink() else path.read_bytes() if path.is_file() else b""
        found[name] = hashlib.sha256(content).hexdigest()
    return found


def test_two_builds_are_the_same_to_the_byte(images: tuple[Engine, str, str], root: Path) -> None:
    builder, first, second = images
    with builder.mounted(second) as other:
        left, right = _files(root), _files(other)
        assert {name for name in left.keys() | right.keys() if left.get(name) != right.get(name)} == set()
    assert first == second


def _settings(images: tuple[Engine, str, str]) -> dict[str, Any]:
    builder, image, _ = images
    settings: dict[str, Any] = json.loads(builder.run("inspect", "--type", "image", image))["OCIv1"]["config"]
    return settings


def test_it_starts_the_operator_as_an_unprivileged_user(images: tuple[Engine, str, str]) -> None:
    settings = _settings(images)
    assert (settings["User"], settings["Entrypoint"], settings["Cmd"]) == ("10001:10001", ["serinus"], ["run"])


def test_nothing_of_the_build_is_left(images: tuple[Engine, str, str], root: Path) -> None:
    assert not [name for name in _files(root) if "/pip/" in name or name.endswith((".whl", ".lock"))]
    assert not (root / "source").exists()
    assert not [line for line in _settings(images)["Env"] if line.startswith("PIP_")]


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
    program = str(Path(sys.executable).with_name("cyclonedx-py"))
    file = tmp_path / "sbom.json"
    command = [
        program,
        "requirements",
        "requirements-run.lock",
        "--pyproject",
        "pyproject.toml",
        "--output-file",
        str(file),
    ]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=False)
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


def test_its_size_is_noted(root: Path) -> None:
    own = sum(path.lstat().st_size for path in (root / "opt").rglob("*") if path.is_file() and not path.is_symlink())
    note(megabytes_of_serinus=round(own / 1e6, 1))
    assert own < 200e6
