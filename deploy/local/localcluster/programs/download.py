"""Downloads published files and verifies them against their published SHA-256."""

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
    """Return Go's name of this machine's architecture.

    Raises:
        LocalClusterError: The architecture is not supported.
    """
    machine = platform.machine()
    if machine not in _ARCHITECTURES:
        raise LocalClusterError(f"this machine is a {machine}; the local cluster runs on x86_64 and aarch64")
    return _ARCHITECTURES[machine]


def fetch(download: Download, base: str, target: Path, timeout: float) -> None:
    """Download a published file, or its one member, to a path.

    Args:
        download: The file.
        base: The value of {base} in its URLs.
        target: The path of the program; its folder must exist.
        timeout: Seconds without data after which a connection fails.

    Raises:
        ChecksumError: The file does not have the published checksum.
        LocalClusterError: The file cannot be downloaded, or the archive lacks its member.
    """
    fields = {"base": base, "arch": architecture()}
    address = download.url.format(**fields)
    published = _published_checksum(download.checksums.format(**fields), address.rpartition("/")[2], timeout)
    received = target.with_name(f"{target.name}.received")
    try:
        checksum = _save(address, received, timeout)
        if checksum != published:
            raise ChecksumError(
                f"{address}: SHA-256 is {checksum}, published is {published}: try again, or use another mirror"
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
    raise LocalClusterError(f"{address} has no checksum of {file_name}")


def _read(address: str, timeout: float) -> str:
    try:
        with _open(address, timeout) as response:
            content = response.read()
    except (urllib.error.URLError, OSError) as error:
        raise LocalClusterError(f"cannot download {address}: {error}") from error
    return content.decode()


def _save(address: str, target: Path, timeout: float) -> str:
    digest = hashlib.sha256()
    try:
        with _open(address, timeout) as response, target.open("wb") as file:
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
    except (urllib.error.URLError, OSError) as error:
        raise LocalClusterError(f"cannot download {address}: {error}") from error
    return digest.hexdigest()


def _open(address: str, timeout: float) -> HTTPResponse:
    if not address.startswith(("https://", "http://")):
        raise LocalClusterError(f"{address} is not an http(s) URL: correct the base of the downloads")
    response: HTTPResponse = urllib.request.urlopen(address, timeout=timeout)  # noqa: S310 - checked above
    return response


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
