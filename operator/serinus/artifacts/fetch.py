"""Reading an artifact: its metadata in the store, its bytes in bounded chunks, and early termination.

A folder's digest is SHA-256 over the raw SHA-256 digests of its files in the order of their paths: the root digest of
the OpenSSF model signing specification 1.0, so that a signed model has the same one.
"""

import socket
import struct
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass
from hashlib import sha256
from threading import Event, Lock
from typing import Final, Protocol

from serinus.errors import RefusedError, TransientError

CHUNK: Final = 1024 * 1024
"""The most bytes in memory at a time."""

MOST_FILES: Final = 10_000
"""The most files that a folder may have."""

_LONGEST_TEXT: Final = 120
# struct linger: on, for no time.
_RESET: Final = struct.pack("ii", 1, 0)


class Inspection:
    """One verification, which another thread may end: reading stops at its next chunk, a blocking read is aborted."""

    def __init__(self) -> None:
        """Begin."""
        self._ended = Event()
        self._lock = Lock()
        self._why = ""
        self._abort: Callable[[], None] | None = None

    @property
    def ended(self) -> str:
        """Why it was ended; empty while it goes on."""
        return self._why if self._ended.is_set() else ""

    def end(self, why: str) -> None:
        """End it; the first reason is kept."""
        with self._lock:
            if self._ended.is_set():
                return
            self._why = why
            self._ended.set()
            if self._abort is not None:
                self._abort()

    def check(self) -> None:
        """Raise TransientError if it was ended."""
        if self._ended.is_set():
            raise TransientError(self._why)

    @contextmanager
    def abortable(self, abort: Callable[[], None]) -> Iterator[None]:
        """Have :meth:`end`, in another thread, call ``abort`` to unblock a read in this context."""
        with self._lock:
            self.check()
            self._abort = abort
        try:
            yield
        finally:
            with self._lock:
                self._abort = None


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file of an artifact: its path within it (empty for a single file) and its bytes."""

    path: str
    chunks: Generator[bytes, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactStat:
    """The metadata of an existing artifact, before it is read.

    Attributes:
        place: scheme, host and path, for messages: no credentials, no query.
        size: in bytes; None where the store does not report it.
        checksum: the store's own SHA-256 of the whole, as ``sha256:<hex>``; None where it has none.
        revision: identifies the state of the content, such as its ETag; empty where the store has nothing.
        folder: whether it consists of several files.
        files: opens its files, one after the other.
    """

    place: str
    size: int | None
    revision: str
    files: Callable[[], Generator[ArtifactFile, None, None]]
    checksum: str | None = None
    folder: bool = False


class ArtifactStore(Protocol):
    """One store of artifacts. Its calls block: use them in a thread."""

    def stat(self, uri: str, inspection: Inspection) -> AbstractContextManager[ArtifactStat]:
        """Open the artifact.

        Raises (also while its files are read):
            NotFoundError: it does not exist.
            RefusedError: its location is not allowed or not supported.
            ConflictError: it changed while it was read.
            TransientError: the store is unavailable.
        """


@dataclass(frozen=True, slots=True)
class Measured:
    """The length in bytes and the digest of what was read; no digest where reading stopped at the limit."""

    size: int
    digest: str | None


def single_file(chunks: Generator[bytes, None, None]) -> Generator[ArtifactFile, None, None]:
    """Yield the only file of an artifact that is a single file."""
    yield ArtifactFile("", chunks)


def measure(artifact: ArtifactStat, inspection: Inspection, *, most: int) -> Measured:
    """Read and hash an artifact, up to ``most`` bytes; errors as of :meth:`ArtifactStore.stat`."""
    digests: list[tuple[str, bytes]] = []
    size = 0
    with closing(artifact.files()) as files:
        for file in files:
            hasher = sha256()
            with closing(file.chunks) as chunks:
                for chunk in chunks:
                    inspection.check()
                    size += len(chunk)
                    if size > most:
                        return Measured(size, None)
                    hasher.update(chunk)
            # An aborted read looks like the end of the file.
            inspection.check()
            digests.append((file.path, hasher.digest()))
    whole = folder_digest(digests) if artifact.folder else digests[0][1]
    return Measured(size, f"sha256:{whole.hex()}")


def folder_digest(digests: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the digest of a folder from the path and raw SHA-256 of each of its files."""
    return sha256(b"".join(digest for _, digest in sorted(digests))).digest()


def check_count(files: int, place: str) -> None:
    """Raise RefusedError if a folder has too many files."""
    if files > MOST_FILES:
        raise RefusedError(f"{place} has more than {MOST_FILES:,} files: pack them, and name the digest of the pack")


def abort_connection(connection: socket.socket) -> None:
    """Unblock another thread's read from this connection, and have its close reset the connection."""
    try:
        # A server whose sends wait for our window would notice a regular close only a minute later.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # Not SSLSocket.shutdown, which also discards the TLS state that the reading thread is using.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        # It is closed already.
        return


def readable(text: str) -> str:
    """Return text from a server in a form fit for a message: printable and short."""
    return "".join(letter for letter in text[:_LONGEST_TEXT] if letter.isprintable())
