"""Verifies a version's artifact: whether it exists, and whether size and digest are those in its ModelVersion.

The work is done in the verifier's own threads, so that an artifact of many gigabytes blocks neither the event loop nor
the threads that the rest of the operator shares.

A finding is shown to whoever may read the ModelVersion, and its author chose the place. So it says whether size and
digest are the stated ones, and never which others were found: that would tell of bytes that the reader may not read.
"""

import asyncio
import logging
import re
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, assert_never
from urllib.parse import urlsplit

from serinus.api.model import Verification
from serinus.api.modelversion import Artifact
from serinus.artifacts.fetch import ArtifactStat, ArtifactStore, Inspection, Measured, measure
from serinus.artifacts.https import HttpsStore
from serinus.artifacts.local import LocalStore
from serinus.artifacts.s3_address import S3Address, check_allowed
from serinus.artifacts.s3_on_demand import S3OnDemand
from serinus.engine.versions.artifact import ArtifactFinding, ArtifactResult
from serinus.errors import NotFoundError, RefusedError, SerinusError, TransientError
from serinus.settings import ArtifactSettings

_LOG: Final = logging.getLogger(__name__)
_SCHEME: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9+.-]*):")


@dataclass(frozen=True, slots=True)
class _Request:
    """One artifact to verify, and the namespace of the ModelVersion that names it."""

    namespace: str
    artifact: Artifact
    how: Verification


class Verifier:
    """The port ``ArtifactVerifier`` over S3, https and a local folder."""

    def __init__(self, settings: ArtifactSettings, *, https: HttpsStore | None = None) -> None:
        """Initialize without sending a request.

        Args:
            settings: the administrator's.
            https: replaces the store for https://, such as by one that trusts other certificates.

        Raises:
            RefusedError: an entry of ``https_hosts`` is invalid.
        """
        self._settings = settings
        self._s3 = S3OnDemand(settings.s3, workers=settings.workers)
        self._stores = _stores(settings, self._s3, https)
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="serinus-artifacts")
        self._inspections: set[Inspection] = set()
        self._closed = False

    async def verify(self, namespace: str, artifact: Artifact, how: Verification) -> ArtifactFinding:
        """Verify an artifact that a ModelVersion of this namespace names; see the port.

        Waits for a free worker; the time-out counts from there. Cancelling ends the reading.
        """
        if how is Verification.OFF:
            return ArtifactFinding(ArtifactResult.UNSUPPORTED, "The artifact was not verified: verification is Off.")
        if self._closed:
            return _closing()
        loop, inspection = asyncio.get_running_loop(), Inspection()
        timers: list[asyncio.TimerHandle] = []

        def begun() -> None:
            late = f"it was not read completely within {self._settings.timeout}: raise artifacts.timeout"
            timers.append(loop.call_later(self._settings.timeout.seconds, inspection.end, late))

        self._inspections.add(inspection)
        work = loop.run_in_executor(
            self._pool,
            self._inspect,
            _Request(namespace, artifact, how),
            inspection,
            lambda: loop.call_soon_threadsafe(begun),
        )
        try:
            return await work
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is not None and task.cancelling():
                raise
            # close() has removed it from the queue.
            return _closing()
        finally:
            self._inspections.discard(inspection)
            inspection.end("its caller no longer waits for it")
            for timer in timers:
                timer.cancel()

    def close(self) -> None:
        """End all inspections, including queued ones; returns at once, the threads end soon after."""
        self._closed = True
        for inspection in self._inspections:
            inspection.end("the operator is stopping")
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._s3.close()

    def _inspect(self, request: _Request, inspection: Inspection, begun: Callable[[], object]) -> ArtifactFinding:
        artifact = request.artifact
        try:
            begun()
            store = _store(self._stores, artifact.uri)
            if store is self._s3:
                check_allowed(S3Address.parse(artifact.uri), request.namespace, self._settings.s3.buckets)
            with store.stat(artifact.uri, inspection) as stored:
                return _compared(artifact, request.how, stored, inspection, self._settings.max_bytes)
        except SerinusError as problem:
            return _finding(problem, artifact, inspection)
        except Exception as problem:  # noqa: BLE001 - the port never raises
            # A library's message may contain the address with its signature: only the type is logged.
            _LOG.error("the verification of an artifact failed: %s", type(problem).__name__)
            return _finding(TransientError(f"{_place(artifact.uri)}: {type(problem).__name__}"), artifact, inspection)


def measured(settings: ArtifactSettings, uri: str) -> Measured:
    """Read and hash an artifact synchronously, for a command.

    Raises:
        SerinusError: as of :meth:`ArtifactStore.stat`; RefusedError also if it is longer than ``max_bytes``.
    """
    s3 = S3OnDemand(settings.s3, workers=1)
    inspection = Inspection()
    try:
        with _store(_stores(settings, s3, None), uri).stat(uri, inspection) as stored:
            result = measure(stored, inspection, most=settings.max_bytes)
    finally:
        s3.close()
    if result.digest is None:
        raise RefusedError(f"{_place(uri)} is longer than {settings.max_bytes:,} bytes: hash it where it is stored")
    return result


def _stores(settings: ArtifactSettings, s3: S3OnDemand, https: HttpsStore | None) -> Mapping[str, ArtifactStore]:
    return {
        "s3": s3,
        "https": https or HttpsStore(settings.https_hosts, timeout=settings.s3.timeout.seconds),
        "file": LocalStore(settings.local_root),
    }


def _store(stores: Mapping[str, ArtifactStore], uri: str) -> ArtifactStore:
    explicit = _SCHEME.match(uri)
    scheme = explicit.group(1) if explicit is not None else "file"
    if scheme not in stores:
        raise RefusedError(f"{_place(uri)}: only s3://, https:// and local paths can be verified, not {scheme}:")
    return stores[scheme]


def _compared(
    artifact: Artifact, how: Verification, stored: ArtifactStat, inspection: Inspection, most: int
) -> ArtifactFinding:
    stated = artifact.size_bytes
    if stated is not None and stored.size is not None and stated != stored.size:
        return _size_differs(stored.place, stated)
    if artifact.digest is None:
        return ArtifactFinding(
            ArtifactResult.NO_DIGEST, f"{stored.place} exists; the ModelVersion names no digest to compare it with."
        )
    match how:
        case Verification.CHECKSUM:
            if stored.checksum is not None:
                return _digests(stored, artifact.digest, stored.checksum, "by the store's own checksum")
        case Verification.FULL | Verification.OFF:
            pass
        case _:
            assert_never(how)
    if stored.size is not None and stored.size > most:
        return _too_long(stored.place, most)
    read = measure(stored, inspection, most=most if stated is None else min(most, stated))
    if stated is not None and read.size != stated:
        return _size_differs(stored.place, stated)
    if read.digest is None:
        return _too_long(stored.place, most)
    return _digests(stored, artifact.digest, read.digest, f"by reading {read.size:,} bytes")


def _digests(stored: ArtifactStat, stated: str, actual: str, method: str) -> ArtifactFinding:
    if actual == stated:
        # Only here with its revision: an ETag is often the MD5 of the bytes.
        return ArtifactFinding(ArtifactResult.VERIFIED, f"{_named(stored)} has the digest {stated}, {method}.")
    return ArtifactFinding(
        ArtifactResult.DIGEST_DIFFERS,
        f"{stored.place} has another digest than the {stated} of the ModelVersion: put the right bytes there, or "
        "release the bytes that are there as another version.",
    )


def _size_differs(place: str, stated: int) -> ArtifactFinding:
    return ArtifactFinding(
        ArtifactResult.SIZE_DIFFERS,
        f"{place} has another size than the {stated:,} bytes of the ModelVersion: put the right bytes there, or "
        "release the bytes that are there as another version.",
    )


def _too_long(place: str, most: int) -> ArtifactFinding:
    return ArtifactFinding(
        ArtifactResult.UNSUPPORTED,
        f"{place} is longer than the {most:,} bytes that are read at most: raise artifacts.maxBytes, or let the store "
        "keep a SHA-256 checksum and verify by Checksum.",
    )


def _finding(problem: SerinusError, artifact: Artifact, inspection: Inspection) -> ArtifactFinding:
    """Return the finding for an error; for an ended inspection, the reason of its end."""
    if inspection.ended:
        return ArtifactFinding(
            ArtifactResult.COULD_NOT_ASK, f"{_place(artifact.uri)} could not be checked: {inspection.ended}."
        )
    match problem:
        case NotFoundError():
            result = ArtifactResult.MISSING
        case RefusedError():
            result = ArtifactResult.UNSUPPORTED
        case _:
            # It changed meanwhile, or the store was unavailable: both are retried.
            result = ArtifactResult.COULD_NOT_ASK
    return ArtifactFinding(result, f"{problem}.")


def _closing() -> ArtifactFinding:
    return ArtifactFinding(ArtifactResult.COULD_NOT_ASK, "The artifact was not verified: the operator is stopping.")


def _named(stored: ArtifactStat) -> str:
    return f"{stored.place} ({stored.revision})" if stored.revision else stored.place


def _place(uri: str) -> str:
    """Return scheme, host and path: a query may contain a signature, and the text before an @ a password."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        return "the artifact"
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}{parts.path}" if parts.scheme else parts.path
