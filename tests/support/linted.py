"""The command ``serinus lint`` on files that a test writes."""

from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from serinus.cli import main
from support.manifests.builders import Manifest


class Linted:
    """Runs the command on files."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self._folder, self._capsys = folder, capsys
        self.status = 0
        self.err = ""

    def write(self, *objects: Manifest, name: str = "rollout.yaml") -> None:
        (self._folder / name).parent.mkdir(exist_ok=True)
        (self._folder / name).write_text(yaml.safe_dump_all(objects, sort_keys=False), encoding="utf-8")

    def __call__(self, *words: str, cluster: bool = True, files: str = ".") -> str:
        """Run the command, and return what it prints."""
        self.status = main(["lint", "-f", files, *(["--cluster"] if cluster else []), *words])
        said = self._capsys.readouterr()
        self.err = said.err
        return said.out

    def of(self, *objects: Manifest, words: Sequence[str] = ()) -> list[str]:
        """Return the findings about these objects, as text."""
        self.write(*objects)
        return self(*words).splitlines()
