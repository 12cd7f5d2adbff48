"""Artifacts in a folder of the operator's own file system, such as a mounted volume."""

import os
import stat
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import unquote, urlsplit

from serinus.artifacts.fetch import CHUNK, ArtifactFile, ArtifactStat, Inspection, check_count, one_part
from serinus.errors import ConflictError, NotFoundError, RefusedError, TransientError

# O_NONBLOCK: opening a FIFO must not wait for its writer.
_FLAGS: Final = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC


class LocalStore:
    """Paths and file:// URIs under one folder, whatever symbolic links say; none where no folder is given."""

    def __init__(self, root: str | None) -> None:
        """Look only under ``root``."""
        self._root = Path(root).resolve() if root is not None else None

    @contextmanager
    def sight(self, uri: str, look: Inspection) -> Iterator[ArtifactStat]:
        """Find the file or folder; see :class:`Store`."""
        inside = self._inside(uri)
        look.check()
        descriptor = self._open(inside, uri)
        try:
            found = os.fstat(descriptor)
            if stat.S_ISDIR(found.st_mode):
                yield self._folder(descriptor, uri)
            else:
                yield _file(descriptor, found, uri)
        finally:
            os.close(descriptor)

    def _inside(self, uri: str) -> Path:
        """Return the path under the root, symbolic links followed; RefusedError where it leads out of it."""
        if self._root is None:
            raise RefusedError(f"{uri}: local artifacts are not allowed: set artifacts.localRoot to their folder")
        parts = urlsplit(uri)
        if parts.scheme == "file" and parts.netloc not in {"", "localhost"}:
            raise RefusedError(f"{uri} names another host: write file:///path")
        path = unquote(parts.path) if parts.scheme == "file" else uri
        try:
            # A relative path begins at the root; an absolute one replaces it.
            found = (self._root / path).resolve(strict=True)
        except (FileNotFoundError, NotADirectoryError) as problem:
            raise NotFoundError(f"{uri} is not there") from problem
        except (OSError, ValueError, RuntimeError) as problem:
            raise RefusedError(f"{uri} is no path that can be followed: {type(problem).__name__}") from problem
        if not found.is_relative_to(self._root):
            raise RefusedError(f"{uri} is not under {self._root}, which artifacts.localRoot allows")
        return found.relative_to(self._root)

    def _open(self, inside: Path, uri: str) -> int:
        assert self._root is not None  # noqa: S101 - _inside has refused otherwise
        with _asked(uri):
            root = os.open(self._root, _FLAGS)
            try:
                return _descend(root, inside.parts)
            finally:
                os.close(root)

    def _folder(self, descriptor: int, uri: str) -> ArtifactStat:
        with _asked(uri):
            files = dict(sorted(_walk(descriptor, (), uri)))
            check_count(len(files), uri)

        def parts() -> Generator[ArtifactFile, None, None]:
            for names, before in files.items():
                path = "/".join(names)
                with _asked(uri):
                    opened = _descend(descriptor, names)
                try:
                    yield ArtifactFile(path, _chunks(opened, before, f"{uri} ({path})"))
                finally:
                    os.close(opened)

        size = sum(found.st_size for found in files.values())
        return ArtifactStat(place=uri, size=size, mark=f"{len(files)} files", parts=parts, folder=True)


def _descend(descriptor: int, names: Sequence[str]) -> int:
    """Open what these names lead to, step by step, so that no link put there meanwhile is followed."""
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
        for name in os.listdir(here):  # noqa: PTH208 - a pathlib.Path knows no open folder
            found = os.stat(name, dir_fd=here, follow_symlinks=False)
            if stat.S_ISDIR(found.st_mode):
                yield from _walk(descriptor, (*above, name), uri)
            elif stat.S_ISREG(found.st_mode):
                yield (*above, name), found
            else:
                path = "/".join((*above, name))
                raise RefusedError(
                    f"{uri} holds {path}, which is neither a file nor a folder: put the file itself there"
                )
    finally:
        os.close(here)


def _file(descriptor: int, found: os.stat_result, uri: str) -> ArtifactStat:
    if not stat.S_ISREG(found.st_mode):
        raise RefusedError(f"{uri} is neither a file nor a folder")
    return ArtifactStat(
        place=uri,
        size=found.st_size,
        mark=f"modified at {found.st_mtime_ns} ns",
        parts=lambda: one_part(_chunks(descriptor, found, uri)),
    )


def _chunks(descriptor: int, before: os.stat_result, place: str) -> Generator[bytes, None, None]:
    while True:
        with _asked(place):
            chunk = os.read(descriptor, CHUNK)
        if not chunk:
            break
        yield chunk
    if _state(os.fstat(descriptor)) != _state(before):
        raise ConflictError(f"{place} changed while it was read")


def _state(found: os.stat_result) -> tuple[int, int]:
    return (found.st_size, found.st_mtime_ns)


@contextmanager
def _asked(place: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as problem:
        raise NotFoundError(f"{place} is not there") from problem
    except OSError as problem:
        raise TransientError(f"{place} cannot be read: {problem.strerror or type(problem).__name__}") from problem
