"""The S3 store, loaded with boto3 when the first artifact in it is asked for.

boto3 takes 8 MiB and half a second: most installations keep no artifact in S3, or verify none.
"""

from contextlib import AbstractContextManager
from threading import Lock
from typing import TYPE_CHECKING

from serinus.artifacts.fetch import ArtifactStat, Inspection
from serinus.settings import S3Settings

if TYPE_CHECKING:
    from serinus.artifacts.s3 import S3Store


class S3OnDemand:
    """The port ``ArtifactStore`` for ``s3://``; its calls block."""

    def __init__(self, settings: S3Settings, *, workers: int) -> None:
        """Load nothing yet; for this number of threads."""
        self._settings, self._workers = settings, workers
        self._lock = Lock()
        self._loaded: S3Store | None = None

    def stat(self, uri: str, inspection: Inspection) -> AbstractContextManager[ArtifactStat]:
        """Open the artifact; see :class:`ArtifactStore`."""
        return self._store().stat(uri, inspection)

    def close(self) -> None:
        """Close the connections, if there are any."""
        with self._lock:
            if self._loaded is not None:
                self._loaded.close()

    def _store(self) -> "S3Store":
        from serinus.artifacts.s3 import S3Store  # noqa: PLC0415 - boto3, as said above

        with self._lock:
            if self._loaded is None:
                self._loaded = S3Store(self._settings, workers=self._workers)
            return self._loaded
