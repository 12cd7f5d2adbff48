"""Artifacts in a folder of the operator's file system, such as a mounted volume."""

import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from serinus.artifacts.fetch import CHUNK, ArtifactFile, ArtifactStat, Inspection, check_count, single_file
from serinus.errors import ConflictError, NotFoundError, RefusedError, TransientError

# O_NONBLOCK: opening a FIFO must not block until it has a writer.
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalStore:
    """Paths and file:// URIs under one folder, which symbolic links cannot leave; none without a folder."""

    def __init__(self, root: str | None) -> None:
        """Allow paths under ``root`` only."""
        self._root = Path(root).resolve() if root is not None else None

    @contextmanager
    def stat(self, uri: str, inspection: Inspection) -> Iterator[ArtifactStat]:
        """Open the file or folder; see :class:`ArtifactStore`."""
        root, relative = self._resolved(uri)
        inspection.check()
        descriptor = _open(root, relative, uri)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISDIR(status.st_mode):
                yield _folder(descriptor, uri)
            else:
                yield _file(descriptor, status, uri)
        finally:
            os.close(descriptor)

    def _resolved(self, uri: str) -> tuple[Path, Path]:
        """Return the root, and the path relative to it after symbolic links; RefusedError if it leaves the root."""
        if self._root is None:
            raise RefusedError(f"{uri}: local artifacts are not allowed: set artifacts.localRoot to their folder")
        try:
            parts = urlsplit(uri)
        except ValueError as problem:
            raise RefusedError("the artifact's uri is not a valid address: write file:///path") from problem
        if parts.scheme == "file" and parts.netloc not in {"", "localhost"}:
            raise RefusedError(f"{uri} names another host: write file:///path")
        path = unquote(parts.path) if parts.scheme == "file" else uri
        try:
            # A relative path begins at the root; an absolute one replaces it.
            resolved = (self._root / path).resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError) as problem:
            raise NotFoundError(f"{uri} does not exist") from problem
        except (OSError, ValueError, RuntimeError) as problem:
            raise RefusedError(f"{uri} is not a valid path: {type(problem).__name__}") from problem
        if not resolved.is_relative_to(self._root):
            raise RefusedError(f"{uri} is not under {self._root}, which artifacts.localRoot allows")
        return self._root, resolved.relative_to(self._root)


def _open(root: Path, relative: Path, uri: str) -> int:
    with _mapped(uri):
        descriptor = os.open(root, _FLAGS)
        try:
            return _descend(descriptor, relative.parts)
        finally:
            os.close(descriptor)


def _folder(descriptor: int, uri: str) -> ArtifactStat:
    with _mapped(uri):
        contents = dict(sorted(_walk(descriptor, (), uri)))
        check_count(len(contents), uri)

    def files() -> Generator[ArtifactFile, None, None]:
        for names, before in contents.items():
            path = "/".join(names)
            with _mapped(uri):
                opened = _descend(descriptor, names)
            try:
                yield ArtifactFile(path, _chunks(opened, before, f"{uri} ({path})"))
            finally:
                os.close(opened)

    size = sum(status.st_size for status in contents.values())
    return ArtifactStat(place=uri, size=size, revision=f"{len(contents)} files", files=files, folder=True)


def _descend(descriptor: int, names: Sequence[str]) -> int:
    """Open the path of these names step by step, so that no link created meanwhile is followed."""
    here = os.dup(descriptor)
    for name in names:
        try:
            below = os.open(name, _FLAGS, dir_fd=here)
        finally:
            os.close(here)
        here = below
    return here


def _walk(descriptor: int, above: tuple[str, ...], uri: str) -> Iterator[tuple[tuple[str, ...], os.stat_result]]:
    here = _descend(descriptor, above)
    try:
        for name in os.listdir(here):  # noqa: PTH208 - pathlib cannot list an open descriptor
            status = os.stat(name, dir_fd=here, follow_symlinks=False)
            if stat.S_ISDIR(status.st_mode):
                yield from _walk(descriptor, (*above, name), uri)
            elif stat.S_ISREG(status.st_mode):
                yield (*above, name), status
            else:
                path = "/".join((*above, name))
                raise RefusedError(
                    f"{uri} contains {path}, which is neither a file nor a folder: put the file itself there"
                )
    finally:
        os.close(here)


def _file(descriptor: int, status: os.stat_result, uri: str) -> ArtifactStat:
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError(f"{uri} is neither a file nor a folder")
    return ArtifactStat(
        place=uri,
        size=status.st_size,
        revision=f"modified at {status.st_mtime_ns} ns",
        files=lambda: single_file(_chunks(descriptor, status, uri)),
    )


def _chunks(descriptor: int, before: os.stat_result, place: str) -> Generator[bytes, None, None]:
    while True:
        with _mapped(place):
            chunk = os.read(descriptor, CHUNK)
        if not chunk:
            break
        yield chunk
    if _state(os.fstat(descriptor)) != _state(before):
        raise ConflictError(f"{place} changed while it was read")


def _state(status: os.stat_result) -> tuple[int, int]:
    return (status.st_size, status.st_mtime_ns)


@contextmanager
def _mapped(place: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as problem:
        raise NotFoundError(f"{place} does not exist") from problem
    except OSError as problem:
        raise TransientError(f"{place} cannot be read: {problem.strerror or type(problem).__name__}") from problem
