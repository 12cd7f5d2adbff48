"""Looks at a version's bytes: are they there, and are they what its ModelVersion says.

The work is done in threads of its own, a few at a time: neither the event loop nor the threads that the operator's
other work shares wait for an artifact of many gigabytes.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, assert_never
from urllib.parse import urlsplit

from serinus.api.model import Verification
from serinus.api.modelversion import Artifact
from serinus.artifacts.fetch import ArtifactStat, ArtifactStore, Inspection, Measured, measure
from serinus.artifacts.https import HttpsStore
from serinus.artifacts.local import LocalStore
from serinus.artifacts.s3 import S3Store
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.errors import NotFoundError, RefusedError, SerinusError, TransientError
from serinus.settings import ArtifactSettings

_LOG: Final = logging.getLogger(__name__)
_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")


class Verifier:
    """The port ``ArtifactVerifier`` over S3, https and a local folder."""

    def __init__(self, settings: ArtifactSettings, *, https: HttpsStore | None = None) -> None:
        """Prepare; nothing is asked yet.

        Args:
            settings: the administrator's.
            https: another way to https:// than the settings' own, such as one that trusts other certificates.

        Raises:
            RefusedError: an entry of ``https_hosts`` is none.
        """
        self._settings = settings
        self._s3 = S3Store(settings.s3, workers=settings.workers)
        self._stores = _stores(settings, self._s3, https)
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="serinus-artifacts")
        self._looks: set[Inspection] = set()
        self._closed = False

    async def verify(self, artifact: Artifact, how: Verification) -> ArtifactFinding:
        """Say whether the bytes are there and what the spec says; see the port.

        Waits for a free worker; its time counts from there. Cancelling ends the reading.
        """
        if how is Verification.OFF:
            return ArtifactFinding(ArtifactResult.UNSUPPORTED, "The artifact was not looked at: verification is Off.")
        if self._closed:
            return _closing()
        loop, look = asyncio.get_running_loop(), Inspection()
        timers: list[asyncio.TimerHandle] = []

        def begun() -> None:
            late = f"it was not read whole within {self._settings.timeout}: raise artifacts.timeout"
            timers.append(loop.call_later(self._settings.timeout.seconds, look.end, late))

        self._looks.add(look)
        work = loop.run_in_executor(
            self._pool, self._look, artifact, how, look, lambda: loop.call_soon_threadsafe(begun)
        )
        try:
            return await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # close() has taken it out of the queue.
            return _closing()
        finally:
            self._looks.discard(look)
            look.end("nobody waits for it any more")
            for timer in timers:
                timer.cancel()

    def close(self) -> None:
        """End all looks, also those that wait; returns at once, the threads end within a moment."""
        self._closed = True
        for look in self._looks:
            look.end("the operator is stopping")
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._s3.close()

    def _look(
        self, artifact: Artifact, how: Verification, look: Inspection, begun: Callable[[], object]
    ) -> ArtifactFinding:
        try:
            begun()
            with _store(self._stores, artifact.uri).sight(artifact.uri, look) as sight:
                return _judged(artifact, how, sight, look, self._settings.max_bytes)
        except SerinusError as problem:
            return _finding(problem, artifact, look)
        except Exception as problem:  # noqa: BLE001 - never raises, says the port
            # What a library throws may hold the address with its signature: only its kind is told.
            _LOG.error("looking at an artifact failed: %s", type(problem).__name__)
            return _finding(TransientError(f"{_place(artifact.uri)}: {type(problem).__name__}"), artifact, look)


def measured(settings: ArtifactSettings, uri: str) -> Measured:
    """Read and hash an artifact here and now, for a person at a terminal.

    Raises:
        SerinusError: as :meth:`ArtifactStore.sight`; RefusedError also where it is longer than ``max_bytes``.
    """
    s3 = S3Store(settings.s3, workers=1)
    look = Inspection()
    try:
        with _store(_stores(settings, s3, None), uri).sight(uri, look) as sight:
            found = measure(sight, look, most=settings.max_bytes)
    finally:
        s3.close()
    if found.digest is None:
        raise RefusedError(f"{_place(uri)} is longer than {settings.max_bytes:,} bytes: hash it where it is")
    return found


def _stores(settings: ArtifactSettings, s3: S3Store, https: HttpsStore | None) -> Mapping[str, ArtifactStore]:
    return {
        "s3": s3,
        "https": https or HttpsStore(settings.https_hosts, timeout=settings.s3.timeout.seconds),
        "file": LocalStore(settings.local_root),
    }


def _store(stores: Mapping[str, ArtifactStore], uri: str) -> ArtifactStore:
    found = _SCHEME.match(uri)
    scheme = found.group(1) if found is not None else "file"
    if scheme not in stores:
        raise RefusedError(f"{_place(uri)}: only s3://, https:// and local paths can be looked at, not {scheme}:")
    return stores[scheme]


def _judged(artifact: Artifact, how: Verification, sight: ArtifactStat, look: Inspection, most: int) -> ArtifactFinding:
    stated, place = artifact.size_bytes, _named(sight)
    if stated is not None and sight.size is not None and stated != sight.size:
        return _size_differs(place, f"{sight.size:,}", stated)
    if artifact.digest is None:
        size = f"{sight.size:,} bytes" if sight.size is not None else "of a size that the server does not tell"
        return ArtifactFinding(
            ArtifactResult.NO_DIGEST, f"{place} is there, {size}; the ModelVersion names no digest to check it against."
        )
    match how:
        case Verification.CHECKSUM:
            if sight.checksum is not None:
                return _compared(place, artifact.digest, sight.checksum, "by the store's own checksum")
        case Verification.FULL | Verification.OFF:
            pass
        case _:
            assert_never(how)
    if sight.size is not None and sight.size > most:
        return _too_long(place, f"{sight.size:,}", most)
    read = measure(sight, look, most=most if stated is None else min(most, stated))
    if stated is not None and read.size != stated:
        return _size_differs(place, f"{read.size:,} or more" if read.digest is None else f"{read.size:,}", stated)
    if read.digest is None:
        return _too_long(place, f"more than {most:,}", most)
    return _compared(place, artifact.digest, read.digest, f"by reading {read.size:,} bytes")


def _compared(place: str, stated: str, found: str, way: str) -> ArtifactFinding:
    if found == stated:
        return ArtifactFinding(ArtifactResult.VERIFIED, f"{place} has the digest {stated}, {way}.")
    return ArtifactFinding(
        ArtifactResult.DIGEST_DIFFERS,
        f"{place} has the digest {found}, {way}, but the ModelVersion says {stated}: put the right bytes there, or "
        "release these as another version.",
    )


def _size_differs(place: str, found: str, stated: int) -> ArtifactFinding:
    return ArtifactFinding(
        ArtifactResult.SIZE_DIFFERS,
        f"{place} has {found} bytes, but the ModelVersion says {stated:,}: put the right bytes there, or release these "
        "as another version.",
    )


def _too_long(place: str, found: str, most: int) -> ArtifactFinding:
    return ArtifactFinding(
        ArtifactResult.UNSUPPORTED,
        f"{place} has {found} bytes, and at most {most:,} are read: raise artifacts.maxBytes, or let the store keep a "
        "SHA-256 checksum and verify by Checksum.",
    )


def _finding(problem: SerinusError, artifact: Artifact, look: Inspection) -> ArtifactFinding:
    """Say what an error means; a look that was ended says why, not how its reading broke."""
    if look.ended:
        return ArtifactFinding(
            ArtifactResult.COULD_NOT_ASK, f"{_place(artifact.uri)} could not be checked: {look.ended}."
        )
    match problem:
        case NotFoundError():
            result = ArtifactResult.MISSING
        case RefusedError():
            result = ArtifactResult.UNSUPPORTED
        case _:
            # It changed meanwhile, or nothing was learnt: both are asked again.
            result = ArtifactResult.COULD_NOT_ASK
    return ArtifactFinding(result, f"{problem}.")


def _closing() -> ArtifactFinding:
    return ArtifactFinding(ArtifactResult.COULD_NOT_ASK, "The artifact was not looked at: the operator is stopping.")


def _named(sight: ArtifactStat) -> str:
    return f"{sight.place} ({sight.mark})" if sight.mark else sight.place


def _place(uri: str) -> str:
    """Return scheme, host and path: a query may be a signature, and what stands before an @ a password."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "the artifact"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else parts.path
