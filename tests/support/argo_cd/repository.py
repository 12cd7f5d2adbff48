"""A Git repository in a folder, to which a test commits manifests as a team does."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Self

import yaml

_SECONDS: Final = 60
_IDENTITY: Final = {
    "GIT_AUTHOR_NAME": "ada",
    "GIT_AUTHOR_EMAIL": "ada@bank.example",
    "GIT_COMMITTER_NAME": "ada",
    "GIT_COMMITTER_EMAIL": "ada@bank.example",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_SYSTEM": os.devnull,
}

Manifest = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Repository:
    """A repository with one branch, ``main``."""

    folder: Path

    @classmethod
    def create(cls, folder: Path) -> Self:
        """Make an empty one."""
        folder.mkdir(parents=True)
        repository = cls(folder)
        repository.git("init", "--quiet", "--initial-branch=main")
        return repository

    @property
    def url(self) -> str:
        """Its address for Argo CD."""
        return self.folder.as_uri()

    def commit(self, message: str, files: Mapping[str, Sequence[Manifest] | None]) -> str:
        """Write these files, remove those that are None, commit, and return the commit's hash."""
        for name, manifests in files.items():
            path = self.folder / name
            if manifests is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(yaml.safe_dump_all(manifests, sort_keys=False), encoding="utf-8")
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD").strip()

    def git(self, *arguments: str) -> str:
        """Run git in it and return what it printed."""
        done = subprocess.run(
            ["git", *arguments],
            cwd=self.folder,
            env=os.environ | _IDENTITY,
            capture_output=True,
            text=True,
            check=False,
            timeout=_SECONDS,
        )
        assert done.returncode == 0, f"git {' '.join(arguments)}: {done.stderr}"
        return done.stdout
