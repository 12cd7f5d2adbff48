"""The release before this one, from Git: its operator and its CRDs."""

import io
import os
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from localcluster.settings import CHECKOUT

REVISION_VARIABLE: Final = "SERINUS_EARLIER"
_REVISION: Final = "ef0ed7b4212d4109f9d4657a9706fb93aa64c4e1"
"""What landed last before this work; `SERINUS_EARLIER` names another one."""

_PARTS: Final = ("operator", "deploy/crds")


@dataclass(frozen=True, slots=True)
class EarlierRelease:
    """A release in a folder. Its operator runs with the dependencies of today's environment.

    Attributes:
        revision: the commit.
        folder: where its files are.
    """

    revision: str
    folder: Path

    @classmethod
    def unpack(cls, folder: Path) -> Self:
        """Take the release out of Git; AssertionError where this checkout has no such commit."""
        revision = os.environ.get(REVISION_VARIABLE, _REVISION)
        command = ["git", "archive", "--format=tar", revision, *_PARTS]
        done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, check=False)
        assert done.returncode == 0, (
            f"{' '.join(command)}: {done.stderr.decode()}: fetch the history, or set another one"
        )
        with tarfile.open(fileobj=io.BytesIO(done.stdout)) as archive:
            archive.extractall(folder, filter="data")
        return cls(revision, folder)

    @property
    def crds(self) -> Path:
        """The folder with its CRDs."""
        return self.folder / "deploy" / "crds"

    def environment(self, base: dict[str, str]) -> dict[str, str]:
        """Return the environment in which ``import serinus`` finds this release."""
        rest = base.get("PYTHONPATH")
        path = str(self.folder / "operator")
        return base | {"PYTHONPATH": f"{path}:{rest}" if rest else path}
