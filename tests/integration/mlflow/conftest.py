"""One MLflow server for the whole package, filled once; and the API server's fixtures."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from support.kube.client import api, cluster, namespace
from support.servers.mlflow_server import MlflowServer

__all__ = ["api", "cluster", "namespace"]

_SEED = Path(__file__).with_name("seed.py")


@dataclass(frozen=True)
class Seeded:
    """The server, and the ids that its client was given."""

    server: MlflowServer
    run: str
    experiment: str
    model: str

    @property
    def files(self) -> Path:
        """The folder with the model's files, as the server keeps it."""
        return self.server.artifacts / self.experiment / "models" / self.model / "artifacts"


@pytest.fixture(scope="package")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seeded]:
    with MlflowServer(tmp_path_factory.mktemp("mlflow")) as server:
        yield Seeded(server=server, **json.loads(server.run(_SEED).splitlines()[-1]))
