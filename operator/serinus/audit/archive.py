"""Where removed audit records are kept: a folder or a bucket, in which nothing is ever written over."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile
from typing import Final, Protocol
from urllib.parse import unquote, urlsplit

from serinus.audit.bucket import Bucket, parse_place
from serinus.errors import ConfigurationError, ConflictError, NotFoundError, TransientError

MOST_BYTES: Final = 5 * 1024**3
"""Of one export: what S3 takes in one request."""


class ArchivePlace(Protocol):
    """A place for files by name; names may hold slashes."""

    @property
    def address(self) -> str:
        """Where it is, as the audit trail names it; opens the same place again."""

    async def put_new(self, name: str, file: Path) -> None:
        """Keep a copy of the file; ConflictError where there is one of this name."""

    async def fetch(self, name: str, into: Path) -> None:
        """Write a copy to a file; NotFoundError where there is none."""

    def names(self, under: str) -> AsyncIterator[str]:
        """Yield the names that begin with a folder's, in order."""

    async def close(self) -> None:
        """Let go of connections and threads."""


def open_archive(address: str) -> ArchivePlace:
    """Return the archive: a folder, as a path or ``file://…``, or ``s3://bucket/prefix?region=…&endpoint=…``.

    Raises:
        ConfigurationError: it is neither.
    """
    scheme = urlsplit(address).scheme
    if scheme == "s3":
        return BucketArchive(address)
    if scheme == "file":
        return FolderArchive(Path(unquote(urlsplit(address).path)))
    if scheme:
        raise ConfigurationError(f"{address}: an archive is a folder or s3://bucket/prefix")
    return FolderArchive(Path(address))


class FolderArchive:
    """A folder on this machine."""

    def __init__(self, folder: Path) -> None:
        """Nothing is made before something is kept."""
        self._folder = folder.absolute()

    @property
    def address(self) -> str:
        """Where it is."""
        return self._folder.as_uri()

    async def put_new(self, name: str, file: Path) -> None:
        """Keep a copy, on the disk when this returns."""
        await asyncio.to_thread(self._keep, name, file)

    def _keep(self, name: str, file: Path) -> None:
        target = self._folder / name
        if target.exists():
            raise ConflictError(f"{target} is there already")
        part = target.with_name(f"{target.name}.part")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            copyfile(file, part)
            for path in (part, part.parent):
                _flush(path)
            part.replace(target)
            _flush(part.parent)
        except OSError as problem:
            raise ConfigurationError(f"{target} cannot be written: {problem.strerror}") from problem

    async def fetch(self, name: str, into: Path) -> None:
        """Copy a file out of it."""
        try:
            await asyncio.to_thread(copyfile, self._folder / name, into)
        except FileNotFoundError as problem:
            raise NotFoundError(f"{self._folder / name} is not there") from problem
        except OSError as problem:
            raise TransientError(f"{self._folder / name} cannot be read: {problem.strerror}") from problem

    async def names(self, under: str) -> AsyncIterator[str]:
        """Yield the names in one folder of it."""
        folder = self._folder / under
        found = await asyncio.to_thread(lambda: sorted(folder.iterdir()) if folder.is_dir() else [])
        for path in found:
            yield f"{under}{path.name}"

    async def close(self) -> None:
        """Nothing is open."""


def _flush(path: Path) -> None:
    """Have the disk keep it before anything is removed elsewhere."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)


class BucketArchive:
    """A prefix of a bucket."""

    def __init__(self, address: str) -> None:
        """Nothing is asked yet; ConfigurationError where the address is none."""
        self.address = address
        self._bucket = Bucket(parse_place(address))

    async def put_new(self, name: str, file: Path) -> None:
        """Keep a copy; the errors are those of :meth:`Bucket.put_new`."""
        await self._bucket.put_new(name, file)

    async def fetch(self, name: str, into: Path) -> None:
        """Copy an object to a file."""
        await self._bucket.fetch(name, into, MOST_BYTES)

    def names(self, under: str) -> AsyncIterator[str]:
        """Yield the names below a folder."""
        return self._bucket.names(under)

    async def close(self) -> None:
        """End the threads."""
        await self._bucket.close()
