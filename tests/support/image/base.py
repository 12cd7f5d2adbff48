"""A base image made of Debian packages alone, for machines that reach no container registry: built once into the cache.

``python -m support.image.base`` builds it; it needs root, debootstrap and a Debian mirror.
"""

import fcntl
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from localcluster.console import progress
from localcluster.errors import LocalClusterError
from localcluster.settings import cache_folder
from support.fetched import status_of

SUITE: Final = "bookworm"
_PACKAGES: Final = ("ca-certificates", "python3", "python3-venv")
_BUILD_SECONDS: Final = 1800


def base() -> Path:
    """Return the folder with the root file system of the base; the first call takes minutes.

    Raises:
        LocalClusterError: debootstrap is not installed, or failed.
    """
    folder = cache_folder() / "image-base" / SUITE
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / f"{SUITE}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            _build(folder)
    return folder


def _build(folder: Path) -> None:
    program = shutil.which("debootstrap")
    if program is None:
        raise LocalClusterError("debootstrap is not on PATH: apt-get install debootstrap")
    part = folder.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    command = [program, "--variant=minbase", f"--include={','.join(_PACKAGES)}", SUITE, str(part)]
    with progress(f"base image: debootstrap {SUITE}"):
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_BUILD_SECONDS)
    if done.returncode:
        last = "\n".join(done.stdout.strip().splitlines()[-5:])
        raise LocalClusterError(f"{' '.join(command)} failed:\n{last}{done.stderr}")
    # The Dockerfile's usual base has this name, too.
    (part / "usr" / "bin" / "python").symlink_to("python3")
    part.rename(folder)


if __name__ == "__main__":
    sys.exit(status_of(lambda: {"base image": base()}))
