"""The image, built from the Dockerfile by buildah, and its root file system."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pytest

from localcluster.settings import CHECKOUT

_BUILD_SECONDS: Final = 1800
BASE: Final = "localhost/serinus-base:1"
# Where pip finds packages is the machine's affair: its settings are mounted, and are no part of the image.
_OF_THE_MACHINE: Final = ("/etc/ssl/certs", "/etc/pip.conf")


def context(folder: Path) -> Path:
    """Copy what a build of this checkout reads into a folder, in which nobody edits it, and return the folder."""
    ignored = (CHECKOUT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    included = [line.removeprefix("!") for line in ignored if line.startswith("!")]
    for name in ("Dockerfile", ".dockerignore", *included):
        source, target = CHECKOUT / name, folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if source.is_dir():
            shutil.copytree(source, target)
        else:
            shutil.copy(source, target)
    return folder


@dataclass(frozen=True, slots=True)
class Engine:
    """buildah with a storage of its own."""

    storage: Path

    def run(self, *arguments: str) -> str:
        """Run buildah and return what it printed; AssertionError where it failed."""
        program = shutil.which("buildah")
        assert program is not None, "buildah is not on PATH: apt-get install buildah"
        options = ("--root", str(self.storage / "root"), "--runroot", str(self.storage / "run"))
        driver = os.environ.get("STORAGE_DRIVER", "vfs")
        command = [program, *options, "--storage-driver", driver, *arguments]
        done = subprocess.run(
            command, cwd=CHECKOUT, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS
        )
        assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout[-4000:]}{done.stderr[-4000:]}"
        return done.stdout.strip()

    def import_base(self, folder: Path) -> None:
        """Make an image of a root file system, under the name that ``build`` gives as BASE."""
        container = self.run("from", "scratch")
        self.run("add", "--quiet", container, str(folder), "/")
        self.run("commit", "--quiet", "--timestamp", "0", container, BASE)
        self.run("rm", container)

    def build(self, words: Sequence[str], context: Path) -> str:
        """Build the Dockerfile in a folder without any cache, as a command line says, and return the image's id.

        Args:
            words: ``buildah build`` and its arguments; the last is the folder of the reader.
            context: the folder that stands for it.
        """
        assert (*words[:2], words[-1]) == ("buildah", "build", ".")
        mounted = [f"--volume={path}:{path}:ro" for path in _OF_THE_MACHINE if Path(path).exists()]
        machine = ("--quiet", "--no-cache", "--isolation", "chroot", "--network", "host", "--pull-never", *mounted)
        return self.run("build", *machine, *words[2:-1], str(context))

    def of_program(self, program: Path, name: str) -> None:
        """Make an image that is one program, linked to nothing."""
        container = self.run("from", "scratch")
        self.run("copy", "--quiet", container, str(program), "/program")
        self.run("config", "--entrypoint", '["/program"]', container)
        self.run("commit", "--quiet", container, name)
        self.run("rm", container)

    def save(self, image: str, archive: Path, name: str) -> None:
        """Write an image into an archive, under this name."""
        archive.unlink(missing_ok=True)
        self.run("push", "--quiet", image, f"oci-archive:{archive}:{name}")

    @contextmanager
    def mounted(self, image: str) -> Iterator[Path]:
        """Provide the root file system of an image."""
        container = self.run("from", "--pull-never", image)
        try:
            yield Path(self.run("mount", container))
        finally:
            self.run("rm", container)


def engine(folder: Path) -> Engine:
    """Return an engine; the test is skipped where the machine has no right to run one."""
    if os.geteuid() != 0:
        pytest.skip("building an image needs root here")
    return Engine(folder)
