"""Published files, believed only when their SHA-256 is the published one."""

import hashlib
import platform
import shutil
import tarfile
import urllib.error
import urllib.request
from http.client import HTTPResponse
from pathlib import Path
from typing import Final

from localcluster.errors import ChecksumError, LocalClusterError
from localcluster.programs.catalogue import Download

_CHUNK: Final = 1 << 20
_ARCHITECTURES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


def architecture() -> str:
    """Say what Go calls this machine.

    Raises:
        LocalClusterError: No program is published for it.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise LocalClusterError(f"this machine is a {machine}; the local cluster runs on x86_64 and aarch64")
    return _ARCHITECTURES[machine]


def fetch(download: Download, base: str, target: Path, timeout: float) -> None:
    """Put a published file, or the one member of it, at a path.

    Args:
        download: What to fetch.
        base: The address that stands for the publisher's.
        target: Where the program goes; its folder exists.
        timeout: Seconds that a connection may be silent.

    Raises:
        ChecksumError: The file is not the published one.
        LocalClusterError: The file cannot be had, or the archive lacks its member.
    """
    fields = {"base": base, "arch": architecture()}
    address = download.url.format(**fields)
    wanted = _published_checksum(download.checksums.format(**fields), address.rpartition("/")[2], timeout)
    received = target.with_name(f"{target.name}.received")
    try:
        found = _save(address, received, timeout)
        if found != wanted:
            raise ChecksumError(
                f"{address}: SHA-256 is {found}, published is {wanted}; try again, or use another mirror"
            )
        _place(received, target, download.member.format(**fields))
    finally:
        received.unlink(missing_ok=True)
    target.chmod(0o755)


def _published_checksum(address: str, file_name: str, timeout: float) -> str:
    text = _read(address, timeout)
    for line in text.splitlines():
        checksum, _, name = line.strip().partition(" ")
        if checksum and (not name or name.strip().lstrip("*") == file_name):
            return checksum.lower()
    raise LocalClusterError(f"{address} names no checksum of {file_name}")


def _read(address: str, timeout: float) -> str:
    try:
        with _open(address, timeout) as answer:
            content = answer.read()
    except (urllib.error.URLError, OSError) as error:
        raise LocalClusterError(f"cannot download {address}: {error}") from error
    return content.decode()


def _save(address: str, target: Path, timeout: float) -> str:
    digest = hashlib.sha256()
    try:
        with _open(address, timeout) as answer, target.open("wb") as file:
            while chunk := answer.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
    except (urllib.error.URLError, OSError) as error:
        raise LocalClusterError(f"cannot download {address}: {error}") from error
    return digest.hexdigest()


def _open(address: str, timeout: float) -> HTTPResponse:
    if not address.startswith(("https://", "http://")):
        raise LocalClusterError(f"{address} is no http(s) address: correct the base of the downloads")
    answer: HTTPResponse = urllib.request.urlopen(address, timeout=timeout)  # noqa: S310 - see the line above
    return answer


def _place(received: Path, target: Path, member: str) -> None:
    if not member:
        received.replace(target)
        return
    with tarfile.open(received) as archive:
        try:
            content = archive.extractfile(member)
        except KeyError:
            content = None
        if content is None:
            raise LocalClusterError(f"{received.name} has no file {member}")
        with content, target.open("wb") as file:
            shutil.copyfileobj(content, file)
