"""The files of a model behind MLflow's artifact proxy (``mlflow-artifacts:``), as an artifact that can be hashed."""

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
    """An :class:`ArtifactStore` over the artifact proxy of one tracking server."""

    def __init__(self, tracking: Tracking) -> None:
        """Read through this server."""
        self._tracking = tracking

    @contextmanager
    def stat(self, uri: str, inspection: Inspection) -> Iterator[ArtifactStat]:
        """List the folder; see :class:`ArtifactStore`."""
        parts = urlsplit(uri)
        root = parts.path.strip("/")
        if parts.scheme != SCHEME or not root:
            raise RefusedError(f"{uri} is not behind the artifact proxy of MLflow's server")
        paths = sorted(self._walk(root, "", inspection))
        check_count(len(paths), uri)
        if not paths:
            raise NotFoundError(f"{uri} does not exist: MLflow lists no file in it")

        def files() -> Generator[ArtifactFile, None, None]:
            for path in paths:
                yield ArtifactFile(path, self._chunks(f"{root}/{path}"))

        yield ArtifactStat(place=uri, size=None, revision=f"{len(paths)} files", files=files, folder=True)

    def _walk(self, root: str, prefix: str, inspection: Inspection) -> Iterator[str]:
        if prefix.count("/") > _DEEPEST:
            raise RefusedError(f"{root} has nested folders more than {_DEEPEST} deep")
        inspection.check()
        for entry in self._tracking.folder(f"{root}/{prefix}".rstrip("/")):
            # Some stores list the full path, some only the name.
            path = prefix + entry.path.rstrip("/").rpartition("/")[2]
            if entry.is_dir:
                yield from self._walk(root, f"{path}/", inspection)
            else:
                yield path

    def _chunks(self, path: str) -> Generator[bytes, None, None]:
        what = f"the file {path}"
        with closing(self._tracking.get(f"api/2.0/mlflow-artifacts/artifacts/{quote(path)}", {}, what)) as response:
            try:
                yield from response.iter_content(CHUNK)
            except (requests.RequestException, OSError) as problem:
                raise TransientError(f"MLflow at {self._tracking.place} broke off {what}") from problem
