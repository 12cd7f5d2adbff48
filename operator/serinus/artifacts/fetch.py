"""One look at an artifact: what a store says of it, its bytes in bounded chunks, and how the look is ended early.

A folder's digest is SHA-256 over the SHA-256 digests of its files, raw, in the order of their paths: the root digest of
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
"""The most bytes that are held at a time."""

MOST_FILES: Final = 10_000
"""The most files that a folder may have."""

_LONGEST_MARK: Final = 120
# struct linger: on, for no time.
_RESET: Final = struct.pack("ii", 1, 0)


class Inspection:
    """A look that another thread may end: the reading stops at its next chunk, and a blocked one is broken off."""

    def __init__(self) -> None:
        """Begin."""
        self._ended = Event()
        self._lock = Lock()
        self._why = ""
        self._break: Callable[[], None] | None = None

    @property
    def ended(self) -> str:
        """Why it was ended; empty while it goes on."""
        return self._why if self._ended.is_set() else ""

    def end(self, why: str) -> None:
        """End it; the first reason stays."""
        with self._lock:
            if self._ended.is_set():
                return
            self._why = why
            self._ended.set()
            if self._break is not None:
                self._break()

    def check(self) -> None:
        """Raise TransientError where it was ended."""
        if self._ended.is_set():
            raise TransientError(self._why)

    @contextmanager
    def breakable(self, stop: Callable[[], None]) -> Iterator[None]:
        """Let ``stop``, called from another thread, break off a read that blocks inside."""
        with self._lock:
            self.check()
            self._break = stop
        try:
            yield
        finally:
            with self._lock:
                self._break = None


@dataclass(frozen=True, slots=True)
class ArtifactFile:
    """One file of an artifact: its path within it (empty where the artifact is one file) and its bytes."""

    path: str
    chunks: Generator[bytes, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArtifactStat:
    """An artifact that is there, before it is read.

    Attributes:
        place: scheme, host and path, for messages: no credentials, no query.
        size: in bytes, where the store says it.
        checksum: the store's own SHA-256 of the whole, as ``sha256:<hex>``, where it keeps one.
        mark: what tells this state of it from another, such as its ETag; empty where the store has nothing.
        folder: whether it is many files.
        parts: opens its files, one after the other.
    """

    place: str
    size: int | None
    mark: str
    parts: Callable[[], Generator[ArtifactFile, None, None]]
    checksum: str | None = None
    folder: bool = False


class ArtifactStore(Protocol):
    """One way to reach artifacts. Its calls block: use them in a thread."""

    def sight(self, uri: str, look: Inspection) -> AbstractContextManager[ArtifactStat]:
        """Find the artifact.

        Raises (also while its parts are read):
            NotFoundError: it is not there.
            RefusedError: this store may not or cannot be asked for it.
            ConflictError: it changed while it was looked at.
            TransientError: it could not be asked.
        """


@dataclass(frozen=True, slots=True)
class Measured:
    """What was read: its length in bytes and its digest; None where reading was cut off at the limit."""

    size: int
    digest: str | None


def one_part(chunks: Generator[bytes, None, None]) -> Generator[ArtifactFile, None, None]:
    """Return the only part of an artifact that is one file."""
    yield ArtifactFile("", chunks)


def measure(sight: ArtifactStat, look: Inspection, *, most: int) -> Measured:
    """Read and hash an artifact, at most so many bytes; errors as :meth:`ArtifactStore.sight`."""
    digests: list[tuple[str, bytes]] = []
    size = 0
    with closing(sight.parts()) as parts:
        for part in parts:
            hasher = sha256()
            with closing(part.chunks) as chunks:
                for chunk in chunks:
                    look.check()
                    size += len(chunk)
                    if size > most:
                        return Measured(size, None)
                    hasher.update(chunk)
            # A read that was broken off looks like the end of the bytes.
            look.check()
            digests.append((part.path, hasher.digest()))
    whole = folder_digest(digests) if sight.folder else digests[0][1]
    return Measured(size, f"sha256:{whole.hex()}")


def folder_digest(digests: Iterable[tuple[str, bytes]]) -> bytes:
    """Return the digest of a folder from the path and raw SHA-256 of each of its files."""
    return sha256(b"".join(digest for _, digest in sorted(digests))).digest()


def check_count(files: int, place: str) -> None:
    """Raise RefusedError where a folder has too many files."""
    if files > MOST_FILES:
        raise RefusedError(f"{place} has more than {MOST_FILES:,} files: pack them, and name the digest of the pack")


def break_off(line: socket.socket) -> None:
    """End another thread's read from this connection, and tell the server that nobody listens any more."""
    try:
        # Closing then resets it: a server whose sends wait for our window would learn of a plain end a minute later.
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        # Not SSLSocket.shutdown, which also takes the TLS state away from under the thread that reads.
        socket.socket.shutdown(line, socket.SHUT_RDWR)
    except OSError:
        # It is closed already.
        return


def readable(text: str) -> str:
    """Return what a server says, fit for a message: printable and short."""
    return "".join(letter for letter in text[:_LONGEST_MARK] if letter.isprintable())
