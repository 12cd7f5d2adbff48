"""The archive of removed audit records: a folder or a bucket, in which nothing is ever overwritten."""

import asyncio
import os
from collections.abc import AsyncIterator
from pathlib import Path
from shutil import copyfile
from typing import Final, Protocol
from urllib.parse import unquote

from serinus.addresses import split_url
from serinus.audit.bucket import Bucket, parse_place
from serinus.errors import ConfigurationError, ConflictError, NotFoundError, TransientError

MOST_BYTES: Final = 5 * 1024**3
"""The largest export: S3 accepts no more in one request."""


class ArchivePlace(Protocol):
    """A store of files by name; names may contain slashes."""

    @property
    def address(self) -> str:
        """Its address in the audit trail, by which :func:`open_archive` opens it again."""

    async def put_new(self, name: str, file: Path) -> None:
        """Store a copy of the file; ConflictError where there is one of this name."""

    async def fetch(self, name: str, into: Path) -> None:
        """Write a copy to a file; NotFoundError where there is none of this name."""

    def names(self, under: str) -> AsyncIterator[str]:
        """Yield the names that begin with this prefix, in order."""

    async def close(self) -> None:
        """Release connections and threads."""


def open_archive(address: str) -> ArchivePlace:
    """Return the archive: a folder, as a path or ``file://…``, or ``s3://bucket/prefix?region=…&endpoint=…``.

    Raises:
        ConfigurationError: the address is neither.
    """
    scheme = split_url(address, address).scheme
    if scheme == "s3":
        return BucketArchive(address)
    if scheme == "file":
        return FolderArchive(Path(unquote(split_url(address, address).path)))
    if scheme:
        raise ConfigurationError(f"{address} is not the address of an archive: give a folder or s3://bucket/prefix")
    return FolderArchive(Path(address))


class FolderArchive:
    """A folder on this machine."""

    def __init__(self, folder: Path) -> None:
        """Initialize; the folder is created by the first file."""
        self._folder = folder.absolute()

    @property
    def address(self) -> str:
        """Its ``file://`` URI."""
        return self._folder.as_uri()

    async def put_new(self, name: str, file: Path) -> None:
        """Store a copy, which is flushed to the disk when this returns."""
        await asyncio.to_thread(self._store, name, file)

    def _store(self, name: str, file: Path) -> None:
        target = self._folder / name
        if target.exists():
            raise ConflictError(f"{target} exists already")
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
            raise NotFoundError(f"{self._folder / name} does not exist") from problem
        except OSError as problem:
            raise TransientError(f"{self._folder / name} cannot be read: {problem.strerror}") from problem

    async def names(self, under: str) -> AsyncIterator[str]:
        """Yield the names in one subfolder."""
        folder = self._folder / under
        paths = await asyncio.to_thread(lambda: sorted(folder.iterdir()) if folder.is_dir() else [])
        for path in paths:
            yield f"{under}{path.name}"

    async def close(self) -> None:
        """Do nothing: no connection is open."""


def _flush(path: Path) -> None:
    """Flush a file or folder to the disk, before any record is removed."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


class BucketArchive:
    """A prefix of a bucket."""

    def __init__(self, address: str) -> None:
        """Initialize without sending a request; ConfigurationError for an invalid address."""
        self.address = address
        self._bucket = Bucket(parse_place(address))

    async def put_new(self, name: str, file: Path) -> None:
        """Store a copy; errors as of :meth:`Bucket.put_new`."""
        await self._bucket.put_new(name, file)

    async def fetch(self, name: str, into: Path) -> None:
        """Copy an object to a file."""
        await self._bucket.fetch(name, into, MOST_BYTES)

    def names(self, under: str) -> AsyncIterator[str]:
        """Yield the names that begin with this prefix."""
        return self._bucket.names(under)

    async def close(self) -> None:
        """Release connections and threads."""
        await self._bucket.close()
