"""The files of a model that MLflow's server hands out (``mlflow-artifacts:``), as an artifact that can be hashed."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import Final
from urllib.parse import quote, urlsplit

import requests

from serinus.artifacts.fetch import CHUNK, ArtifactFile, ArtifactStat, Inspection, check_count
from serinus.errors import NotFoundError, RefusedError, TransientError
from serinus.mlflow.client import Tracking

SCHEME: Final = "mlflow-artifacts"
_DEEPEST: Final = 32


class ProxiedFiles:
    """A :class:`Store` over the artifact proxy of one tracking server."""

    def __init__(self, tracking: Tracking) -> None:
        """Read through this server."""
        self._tracking = tracking

    @contextmanager
    def sight(self, uri: str, look: Inspection) -> Iterator[ArtifactStat]:
        """Find the folder; see :class:`Store`."""
        parts = urlsplit(uri)
        root = parts.path.strip("/")
        if parts.scheme != SCHEME or not root:
            raise RefusedError(f"{uri} is not among the files that MLflow's server hands out")
        files = sorted(self._walk(root, "", look))
        check_count(len(files), uri)
        if not files:
            raise NotFoundError(f"{uri} is not there: MLflow lists no file in it")

        def opened() -> Generator[ArtifactFile, None, None]:
            for path in files:
                yield ArtifactFile(path, self._chunks(f"{root}/{path}"))

        yield ArtifactStat(place=uri, size=None, mark=f"{len(files)} files", parts=opened, folder=True)

    def _walk(self, root: str, prefix: str, look: Inspection) -> Iterator[str]:
        if prefix.count("/") > _DEEPEST:
            raise RefusedError(f"{root} has folders in folders, more than {_DEEPEST} deep")
        look.check()
        for entry in self._tracking.folder(f"{root}/{prefix}".rstrip("/")):
            # Some stores list the whole path, some only the name.
            path = prefix + entry.path.rstrip("/").rpartition("/")[2]
            if entry.is_dir:
                yield from self._walk(root, f"{path}/", look)
            else:
                yield path

    def _chunks(self, path: str) -> Generator[bytes, None, None]:
        what = f"the file {path}"
        with closing(self._tracking.get(f"api/2.0/mlflow-artifacts/artifacts/{quote(path)}", {}, what)) as answer:
            try:
                yield from answer.iter_content(CHUNK)
            except (requests.RequestException, OSError) as problem:
                raise TransientError(f"MLflow at {self._tracking.place} broke off {what}") from problem
