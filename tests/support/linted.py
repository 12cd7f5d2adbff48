"""The command ``serinus lint`` on files that a test writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import pytest
import yaml

from serinus.cli import main
from support.cluster_world import Change, World
from support.manifests.builders import Manifest
from support.manifests.stored import PLAN

No: TypeAlias = tuple[Change, str, str, str]
"""What is changed in the cluster, and the level, the check and the first words of what is found then."""


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


def id_of(case: No) -> str:
    """Return the name of a case."""
    return " ".join(case[1:])[:70]


def assert_found(world: World, lint: Linted, case: No) -> None:
    """Lint the plan in the changed cluster: the finding is there once, with its level and its status."""
    change, level, check, words = case
    change(world)
    found = [line for line in lint.of(PLAN) if line.endswith(f"[{check}]")]
    (line,) = [line for line in found if f": {level}Rollout fraud-detector: {words}" in line]
    assert line.startswith("rollout.yaml:")
    assert lint.status == (0 if level else 1)
